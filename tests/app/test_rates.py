"""Token buckets: how often callers may ask, and addresses be refused."""

from __future__ import annotations

import msgspec
import pytest

from pileus.app.rates import BURST, Buckets, Rates
from pileus.app.settings import Settings
from pileus.model import bounds
from pileus.model.bounds import Bound
from pileus.model.caller import Caller
from pileus.model.errors import Throttled

SLOW = 0.001
"""Tokens a second: none comes in during a test."""


def caller(name: str) -> Caller:
    return Caller(user=name, user_name=name, project="p")


def test_a_bucket_holds_a_burst_and_fills_again() -> None:
    buckets = Buckets(1000.0)
    count = 0
    while buckets.take("ann"):
        count += 1
    assert count >= 1000 * BURST
    assert buckets.take("bob")
    while not buckets.take("ann"):
        pass


def test_processes_divide_a_rate() -> None:
    buckets = Buckets(10 / BURST + SLOW, lambda: 5)
    assert [buckets.take("ann") for _ in range(3)] == [True, True, False]


def test_a_full_bucket_gives_any_amount_once() -> None:
    buckets = Buckets(5 / BURST)
    assert buckets.take("ann", 1000)
    assert not buckets.take("ann")
    assert buckets.empty("ann")


def test_zero_is_no_limit() -> None:
    buckets = Buckets(0)
    assert all(buckets.take("ann", 10_000) for _ in range(1000))
    assert not buckets.empty("ann")


def test_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "RATE_KEYS", Bound(what="keys", per="process", most=2, answer=""))
    buckets = Buckets(1 / BURST + SLOW)
    assert [buckets.take(key) for key in ("ann", "bob", "ann", "eve", "ann")] == [True, True, False, True, False]


def test_reads_changes_and_launches_have_their_own() -> None:
    settings = msgspec.structs.replace(
        Settings(), rate_reads=2 / BURST, rate_changes=2 / BURST, rate_launches=2 / BURST
    )
    rates, ann = Rates(settings), caller("ann")
    for _ in range(2):
        rates.take(ann, reads=True)
    with pytest.raises(Throttled):
        rates.take(ann, reads=True)
    rates.take(ann, reads=False, launches=2)
    with pytest.raises(Throttled, match="instances"):
        rates.take(ann, reads=False, launches=1)
    rates.take(caller("bob"), reads=True)


def test_an_address_that_is_refused_often_is_let_in_by_what_was_good_there_before() -> None:
    rates = Rates(msgspec.structs.replace(Settings(), rate_refusals=2 / BURST))
    rates.proved("192.0.2.1", "AKIAGOOD")
    assert [rates.refused("192.0.2.1") for _ in range(3)] == [False, False, True]
    for credential in ("", "AKIAOTHER"):
        with pytest.raises(Throttled):
            rates.turn("192.0.2.1", credential)
    own = rates.turn("192.0.2.1", "AKIAGOOD")
    assert own != rates.turn("192.0.2.2", "AKIAGOOD")
    assert rates.turn("192.0.2.2", "") == rates.turn("192.0.2.2", "AKIAOTHER") != own


def test_a_good_credential_that_is_refused_often_is_a_strangers() -> None:
    """The id of an access key is no secret: bad signatures under it would cost without end."""
    rates = Rates(Settings(rate_refusals=1))
    rates.proved("192.0.2.1", "AKIAGOOD")
    most = 1000
    refusals = next(number for number in range(most) if not _refused_as_proven(rates, "AKIAGOOD"))
    assert 0 < refusals < most - 1
    with pytest.raises(Throttled):
        rates.turn("192.0.2.1", "AKIAGOOD")
    assert rates.turn("192.0.2.2", "AKIAGOOD") == ("192.0.2.2", False), "elsewhere it is as before"


def _refused_as_proven(rates: Rates, credential: str) -> bool:
    """Refuse a request with this credential; whether it has turns of its own still."""
    rates.refused("192.0.2.1", credential)
    return f"192.0.2.1 {credential}" in rates._proven


def test_the_credential_that_was_good_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "RATE_KEYS", Bound(what="keys", per="process", most=2, answer=""))
    rates = Rates(Settings())
    for credential in ("AKIAFIRST", "AKIASECOND", "AKIAFIRST", "AKIATHIRD"):
        rates.proved("192.0.2.1", credential)
    proven = {name: rates.turn("192.0.2.1", name)[1] for name in ("AKIAFIRST", "AKIASECOND", "AKIATHIRD")}
    assert proven == {"AKIAFIRST": True, "AKIASECOND": False, "AKIATHIRD": True}


def test_a_sites_ipv6_addresses_are_one() -> None:
    rates = Rates(msgspec.structs.replace(Settings(), rate_refusals=1 / BURST + SLOW))
    assert not rates.refused("2001:db8::1")
    assert rates.refused("2001:db8::2:3")
    assert not rates.refused("2001:db8:0:1::1")
    assert not rates.refused("::ffff:192.0.2.1")
    assert rates.refused("192.0.2.1")
    assert not rates.refused("fe80::1%lo")
