"""Answers of any length cross the bus: in pages, none of which is larger than a message may be."""

from __future__ import annotations

import random

import pytest

from pileus.bus import messages, pages
from pileus.bus.messages import Order, Removed, Report
from pileus.model.instance import Power
from pileus.model.spec import InstanceSpec


def spec(number: int) -> InstanceSpec:
    return InstanceSpec(uuid=f"u{number}", power=Power(), vcpus=1, memory=64, ec2_id="i-0", user_data="x" * number)


ORDERS = {f"u{i}": Order(uuid=f"u{i}", revision=(1, i), spec=spec(i)) for i in range(99)}
REMOVED = {f"r{i}": Removed(revision=(1, i), why="gone") for i in range(1000)}
ANSWER = Report(host="h", epoch=3, sequence=4, full=True, answer="call", forgotten=(1, 2), unknown=("?",))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "LARGEST", 2000)


def test_pages_in_any_order_some_of_them_twice_are_the_whole_answer() -> None:
    parts = pages.split(ANSWER, ORDERS, REMOVED)
    assert len(parts) > 10
    assert max(len(messages.encode(part)) for part in parts) < 2400
    shuffled = [*parts, *parts[::3]]
    random.shuffle(shuffled)
    gathered = pages.Pages()
    found = [whole for part in shuffled if (whole := gathered.add(part)) is not None]
    assert found
    assert found[0].orders == ORDERS
    assert found[0].removed == REMOVED
    assert (found[0].unknown, found[0].forgotten, found[0].pages) == (("?",), (1, 2), 1)


def test_a_small_answer_is_one_message_as_it_always_was() -> None:
    (only,) = pages.split(ANSWER, {}, {})
    assert pages.Pages().add(only) == only
    assert b"pages" not in messages.encode(only)


def test_pages_of_an_earlier_answer_are_not_mixed_with_those_of_a_later() -> None:
    earlier, later = (
        pages.split(Report(host="h", epoch=3, sequence=number), {}, REMOVED | {str(number): REMOVED["r0"]})
        for number in (4, 5)
    )
    gathered = pages.Pages()
    assert [gathered.add(part) for part in earlier[:-1]] == [None] * (len(earlier) - 1)
    assert gathered.add(later[0]) is None
    assert gathered.add(earlier[-1]) is None
    whole = [gathered.add(part) for part in later[1:]][-1]
    assert whole is not None
    assert "5" in whole.removed
    assert "4" not in whole.removed


def test_an_answer_of_endless_pages_is_none() -> None:
    gathered = pages.Pages()
    for number in (0, 1, 10**9, -1):
        page = Report(host="h", epoch=3, sequence=4, removed={str(number): REMOVED["r0"]}, page=number, pages=10**9)
        assert gathered.add(page) is None
    assert gathered._pages == {}
