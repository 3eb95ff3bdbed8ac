"""Session tokens: only those of this cloud, with the access key that they were made for, are anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.rules import session
from tests.faces.ec2.cloud import Cloud

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENTS = session.Session(user="u", project="p", until=1.7e9, name="visit")


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """A cloud, for its key."""
    shared = Cloud()
    yield shared
    shared.core.store.close()


def test_a_token_is_read_with_its_access_key_alone(cloud: Cloud) -> None:
    one, other = (session.seal(cloud.core, CONTENTS) for _ in range(2))
    opened = session.unseal(cloud.core, one.access_key, one.token)
    assert opened is not None
    assert opened[0] == CONTENTS
    assert opened[1].secret == one.secret_key.encode()
    assert len(one.secret_key) == 40
    assert len(one.token) < session.LONGEST_TOKEN
    assert session.unseal(cloud.core, other.access_key, one.token) is None


def test_any_change_of_a_token_makes_it_worthless(cloud: Cloud) -> None:
    credentials = session.seal(cloud.core, CONTENTS)
    token = credentials.token
    for position in range(len(token.rstrip("=")) - 2):
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        assert session.unseal(cloud.core, credentials.access_key, changed) is None


@given(st.text(max_size=3000))
def test_any_other_text_is_no_token(cloud: Cloud, text: str) -> None:
    assert session.unseal(cloud.core, "ASIAX", text) is None
