"""Claims and usage: whatever is taken is taken once, and never beyond its limit."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.model.errors import Duplicate, QuotaExceeded
from pileus.store import tables
from tests import databases
from tests.store.clock import Clock, flavor

if TYPE_CHECKING:
    from pileus.store.store import Store
    from pileus.store.writer import Writer


def test_a_value_has_one_holder(store: Store) -> None:
    one, other = flavor("one"), flavor("other")
    with store.write() as tx:
        tx.claim("mac", "a", one)
        tx.claim("mac", "a", one)
        tx.claim("address", "a", other)
        with pytest.raises(Duplicate) as caught:
            tx.claim("mac", "a", other)
        assert caught.value.ident == "a"
        assert tx.claimed("mac", "a") == ("flavor", one.uuid)
        assert sorted(tx.claims()) == [("address", "a", other.uuid), ("mac", "a", one.uuid)]
        assert tx.claims(pool="mac") == tx.claims(uuid=one.uuid) == [("mac", "a", one.uuid)]
        tx.free(one.uuid)
        tx.claim("mac", "a", other)
        tx.unclaim("address", "a", one.uuid)
        assert tx.claimed("address", "a"), "only its holder gives it back"
        tx.unclaim("address", "a", other.uuid)
        assert tx.claims() == [("mac", "a", other.uuid)]


def test_many_at_once_or_none(store: Store) -> None:
    one, other = flavor("one"), flavor("other")
    with store.write() as tx:
        tx.claim("mac", "b", one)
    with pytest.raises(Duplicate), store.write() as tx:
        tx.claim_all([(("mac", "a"), other), (("mac", "b"), other)])
    with store.read() as tx:
        assert tx.claims() == [("mac", "b", one.uuid)]


def test_of_many_threads_one_gets_it(filed: Store) -> None:
    won: list[int] = []
    start = threading.Barrier(8)

    def attempt(number: int) -> None:
        start.wait()
        try:
            with filed.write() as tx:
                tx.claim("mac", "a", flavor(str(number)))
                tx.take("project:p", "ports", 1, 1)
            won.append(number)
        except Duplicate:
            pass

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    with filed.read() as tx:
        assert tx.usage() == {("project:p", "ports"): 1}


def test_a_limit_holds_and_a_refusal_takes_nothing(store: Store) -> None:
    with store.write() as tx:
        tx.take("p", "vcpus", 3, 4)
        with pytest.raises(QuotaExceeded) as caught:
            tx.take("p", "vcpus", 2, 4)
        assert (caught.value.reason, caught.value.ident) == ("vcpus", "p")
        with pytest.raises(QuotaExceeded):
            tx.take("p", "memory", 5, 4)
        assert tx.usage("p") == {("p", "vcpus"): 3}
        tx.take("p", "vcpus", 1, 4)
        tx.take("p", "vcpus", 9, None)
        tx.take("p", "vcpus", -2, 4)  # giving back is never refused
        assert tx.usage() == {("p", "vcpus"): 11}
        tx.take("p", "vcpus", -11, None)
        assert tx.usage() == {}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(-3, 5), st.none() | st.integers(0, 8)), max_size=20))
def test_usage_is_the_sum_of_what_was_granted(asked: list[tuple[str, int, int | None]]) -> None:
    store = _shared()
    model = {"a": 0, "b": 0}

    def ask(tx: Writer, scope: str, amount: int, limit: int | None) -> bool:
        try:
            tx.take(scope, "x", amount, limit)
        except QuotaExceeded:
            return False
        return True

    with store.write() as tx:
        tx.sql.execute(tables.usage.delete())
        for scope, wish, limit in asked:
            amount = max(wish, -model[scope])  # nobody gives back what was not taken
            granted = ask(tx, scope, amount, limit)
            assert granted == (limit is None or amount <= 0 or model[scope] + amount <= limit)
            model[scope] += amount if granted else 0
        assert tx.usage() == {(scope, "x"): used for scope, used in model.items() if used}


_stores: list[Store] = []


def _shared() -> Store:
    if not _stores:
        _stores.append(databases.opened(Clock()))
    return _stores[0]
