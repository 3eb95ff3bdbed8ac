"""Tokens of the metadata service: whose they are, how long they last, and that nobody else makes one."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from pileus.faces.metadata import tokens

SECRET = b"secret"
NOW = 1_700_000_000.25

seconds = st.integers(1, tokens.LONGEST)


@given(life=seconds, age=st.floats(0, 2 * tokens.LONGEST, allow_nan=False))
def test_a_token_lasts_as_long_as_was_asked(life: int, age: float) -> None:
    token = tokens.issue(SECRET, "one", life, NOW)
    left = tokens.remaining(SECRET, "one", token, NOW + age)
    if age < life - 0.01:
        assert left is not None
        assert 0 < left <= life
    if age > life + 0.01:
        assert left is None


def test_a_token_is_as_long_as_ec2s() -> None:
    assert len(tokens.issue(SECRET, "one", 60, NOW)) == 56


@given(life=seconds, other=st.text(max_size=40))
def test_a_token_is_good_for_its_instance_and_secret_only(life: int, other: str) -> None:
    token = tokens.issue(SECRET, "one", life, NOW)
    assert tokens.remaining(b"other", "one", token, NOW) is None
    if other != "one":
        assert tokens.remaining(SECRET, other, token, NOW) is None


@given(place=st.integers(0, 39), flip=st.integers(1, 255))
def test_no_changed_byte_passes(place: int, flip: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(tokens.issue(SECRET, "one", 60, NOW)))
    raw[place] ^= flip
    forged = base64.urlsafe_b64encode(bytes(raw)).decode()
    assert tokens.remaining(SECRET, "one", forged, NOW) is None


@given(st.one_of(st.text(max_size=80), st.text("AZaz09-_=", min_size=56, max_size=56)))
def test_garbage_is_no_token(text: str) -> None:
    assert tokens.remaining(SECRET, "one", text, NOW) is None


def test_a_clock_set_back_does_not_lengthen_a_life() -> None:
    token = tokens.issue(SECRET, "one", tokens.LONGEST, NOW)
    assert tokens.remaining(SECRET, "one", token, NOW - 3600) is None
