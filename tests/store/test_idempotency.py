"""A token leads to what it led to first, for a day; a transaction that failed leaves no trace of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.model.errors import QuotaExceeded, TokenReused
from pileus.store import statements

if TYPE_CHECKING:
    from pileus.store.store import Store
    from tests.store.clock import Clock


def test_a_token_leads_to_its_first_result(store: Store) -> None:
    with store.write() as tx:
        assert tx.repeated("p", "launch", "t", {"a": 1, "b": 2}) is None
        tx.remember("p", "launch", "t", {"a": 1, "b": 2}, ["x", "y"])
    with store.write() as tx:
        assert tx.repeated("p", "launch", "t", {"b": 2, "a": 1}) == ["x", "y"]
        assert tx.repeated("q", "launch", "t", {"a": 1, "b": 2}) is None
        assert tx.repeated("p", "other", "t", {"a": 1, "b": 2}) is None
        with pytest.raises(TokenReused):
            tx.repeated("p", "launch", "t", {"a": 2})


def test_what_was_rolled_back_is_forgotten(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as tx:  # noqa: PT012  (it is the whole that is undone)
        tx.remember("p", "launch", "t", {}, ["x"])
        raise ZeroDivisionError
    with store.write() as tx:
        assert tx.repeated("p", "launch", "t", {}) is None


def test_tokens_are_good_for_a_day(store: Store, clock: Clock) -> None:
    with store.write() as tx:
        tx.remember("p", "launch", "t", {}, ["x"])
    for passing, kept in ((86399, ["x"]), (2, None)):
        clock.now += passing
        store.forget_tombstones()
        with store.write() as tx:
            assert tx.repeated("p", "launch", "t", {}) == kept


def test_a_project_has_so_many_tokens_a_day(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "LAST_TOKEN", statements.LAST_TOKEN.offset(2))
    with store.write() as tx:
        for number in range(3):
            tx.remember("p", "launch", f"t{number}", {}, [])
        with pytest.raises(QuotaExceeded):
            tx.remember("p", "launch", "t3", {}, [])
        tx.remember("q", "launch", "t3", {}, [])
    clock.now += 86401
    store.forget_tombstones()
    with store.write() as tx:
        tx.remember("p", "launch", "t3", {}, [])
