"""All or nothing, snapshots that stand still, and what survives the death of the process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model.caller import SYSTEM
from pileus.model.flavor import Flavor
from pileus.store.migrate import migrate
from pileus.store.store import Store
from tests.store.clock import flavor

if TYPE_CHECKING:
    from collections.abc import Callable


def test_all_or_nothing(store: Store) -> None:
    made = flavor()
    with pytest.raises(ZeroDivisionError), store.write() as tx:  # noqa: PT012  (it is the whole that is undone)
        kept = tx.add(made)
        tx.claim("a", "b", kept)
        tx.count({("s", "r"): 1})
        tx.add_journal_line(SYSTEM, kept, "flavor.create")
        tx.revise(kept)
        raise ZeroDivisionError
    with store.read() as tx:
        assert tx.get(Flavor, made.uuid) is None
        assert (tx.claims(), tx.usage(), tx.journal(), tx.meta("counter")) == ([], {}, [], 0)


def test_a_snapshot_stands_still(filed: Store) -> None:
    with filed.write() as tx:
        made = tx.add(flavor("before"))
    with filed.read() as snapshot:
        assert snapshot.need(Flavor, made.uuid).name == "before"
        with filed.write() as tx:
            tx.want(made, name="after")
            assert tx.need(Flavor, made.uuid).name == "after"
        assert snapshot.need(Flavor, made.uuid).name == "before"
        with filed.read() as later:
            assert later.need(Flavor, made.uuid).name == "after"
        assert snapshot.need(Flavor, made.uuid).name == "before"


def test_the_reads_of_one_thread_share_a_snapshot_for_as_long_as_it_says(filed: Store) -> None:
    with filed.write() as tx:
        new_flavor = tx.add(flavor("before"))

    def rename() -> None:
        with filed.write() as tx:
            tx.want(new_flavor, name="after")

    def name() -> str:
        with filed.read() as tx:
            return tx.need(Flavor, new_flavor.uuid).name

    with filed.one_snapshot():
        assert name() == "before"
        other = threading.Thread(target=rename)
        other.start()
        other.join()
        assert name() == "before"
    assert name() == "after"
    with pytest.raises(ZeroDivisionError), filed.one_snapshot():
        raise ZeroDivisionError
    rename()
    assert name() == "after"


def test_what_is_kept_decoded_is_what_every_process_sees(url: Callable[[str], str]) -> None:
    one, other = (Store(url("x")) for _ in range(2))
    migrate(one.engine)
    with one.write() as tx:
        made = tx.add(flavor("a"))
    for name in ("b", "c"):
        for store in (one, other):
            with store.read() as reading:
                assert reading.need(Flavor, made.uuid).name == made.name
        with other.write() as tx:
            made = tx.want(made, name=name)
        for store in (one, other):
            with store.read() as reading:
                assert reading.need(Flavor, made.uuid).name == name
    with one.write() as tx:
        tx.make_tombstone(made)
    with other.read() as reading:
        tombstone = reading.get(Flavor, made.uuid)
        assert tombstone is not None
        assert tombstone.gone is not None
    one.close()
    other.close()


def test_counters_do_not_lose_a_count(filed: Store) -> None:
    drawn: list[int] = []

    def draw() -> None:
        for _ in range(25):
            with filed.write() as tx:
                drawn.append(tx.sequence("counter"))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(drawn) == list(range(1, 101))


DIES = """
import os, sys
from pileus.store.store import Store
from tests.store.clock import flavor
store = Store(sys.argv[1])
for number in range(5):
    with store.write() as tx:
        tx.add(flavor(str(number)))
    print(number, flush=True)
with store.write() as tx:
    tx.add(flavor("never"))
    os.kill(os.getpid(), 9)
"""


def test_what_was_acknowledged_survives_the_process(url: Callable[[str], str]) -> None:
    store = Store(url("x"))
    migrate(store.engine)
    path = os.pathsep.join(sys.path)
    died = subprocess.run(
        [sys.executable, "-c", DIES, url("x")], capture_output=True, text=True, check=False, env={"PYTHONPATH": path}
    )
    assert died.returncode == -9, died.stderr
    with store.read() as tx:
        assert [row.name for row in tx.list(Flavor)] == died.stdout.split()
    store.close()


def test_the_journal_tells_the_newest_oldest_first(store: Store) -> None:
    with store.write() as tx:
        one, other = tx.add(flavor("one")), tx.add(flavor("other"))
        for goal in range(60):
            tx.add_journal_line(SYSTEM, one, "a", goal=goal)
        tx.add_journal_line(SYSTEM, other, "b", outcome="done")
        lines = tx.journal(one.uuid)
        assert [line.goal for line in lines] == list(range(10, 60))
        assert {line.outcome for line in lines} == {"open"}
        assert len(tx.journal(one.uuid, open_only=True, limit=1000)) == 60
        tx.settle([lines[0].id], "failed", "why")
        assert [(e.outcome, e.detail, e.ended) for e in tx.journal(one.uuid)[:1]] == [("failed", "why", tx.now)]
        assert tx.journal()[-1].verb == "b"
        assert msgspec.structs.asdict(tx.journal()[-1])["ended"] == tx.now
