"""Every noun says when users saw it change last, and lists of changes miss none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.host import Host
from pileus.model.host import Seen as HostSeen
from pileus.model.host import Wanted as HostWanted
from pileus.model.ids import new_uuid
from pileus.model.instance import Instance, Seen
from tests.store.clock import flavor, instance

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.store.store import Store
    from pileus.store.writer import Writer
    from tests.store.clock import Clock


WRITES: dict[str, Callable[[Writer, Instance], object]] = {
    "want": lambda tx, row: tx.want(row, name="other"),
    "tags": lambda tx, row: tx.want(row, tags={"a": "b"}),
    "assign": lambda tx, row: tx.assign(row, msgspec.structs.replace(row.assigned, host="h")),
    "revise": lambda tx, row: tx.revise(row),
    "see": lambda tx, row: tx.see(row, Seen(n=1)),
    "see_all": lambda tx, row: tx.see_all([(row, Seen(n=2))]),
}


def _instances(store: Store, count: int, project: str = "p") -> list[Instance]:
    with store.write() as tx:
        return tx.add_all([msgspec.structs.replace(instance(flavor()), project=project) for _ in range(count)])


def test_each_write_of_a_part_is_a_change(store: Store, clock: Clock) -> None:
    (row,) = _instances(store, 1)
    assert row.changed == row.created == clock.now
    for name, write in WRITES.items():
        clock.now += 10
        with store.write() as tx:
            write(tx, row)
        with store.read() as tx:
            row = tx.need(Instance, row.uuid)
        assert row.changed == clock.now, name
    clock.now += 10
    with store.write() as tx:
        tx.make_tombstone(row)
    with store.read() as tx:
        (ended,) = tx.many(Instance, [row.uuid]).values()
    assert ended.changed == ended.gone == clock.now


def test_a_noun_that_was_written_is_as_its_row(store: Store, clock: Clock) -> None:
    (row,) = _instances(store, 1)
    clock.now += 10
    with store.write() as tx:
        row = tx.see(tx.revise(tx.want(row, name="other")), Seen(n=1))
    with store.read() as tx:
        assert tx.need(Instance, row.uuid) == row


def test_what_a_host_says_all_the_time_is_no_change(store: Store, clock: Clock) -> None:
    with store.write() as tx:
        host = tx.add(Host(uuid=new_uuid(), name="h", wanted=HostWanted(), seen=HostSeen(epoch=1)))
    began = clock.now
    clock.now += 10
    with store.write() as tx:
        host = tx.see(host, HostSeen(epoch=1, sequence=7, known=7, heard=clock.now))
        tx.see_all([(host, HostSeen(epoch=1, sequence=8, known=8, heard=clock.now))])
    with store.read() as tx:
        assert tx.need(Host, host.uuid).changed == began
        assert tx.need(Host, host.uuid).seen.sequence == 8
    with store.write() as tx:
        assert tx.see(host, HostSeen(epoch=1, sequence=9, lost=True)).changed == clock.now


def test_a_list_of_changes_is_in_their_order_and_includes_its_beginning(store: Store, clock: Clock) -> None:
    first, second, third = _instances(store, 3)
    _instances(store, 2, project="other")
    clock.now += 10
    with store.write() as tx:
        tx.want(third, name="new")
        tx.make_tombstone(first)
    with store.read() as tx:
        assert [row.uuid for row in tx.changed_since(Instance, clock.now, project="p")] == [third.uuid]
        ended_too = tx.changed_since(Instance, clock.now, project="p", dead=True)
        assert [row.uuid for row in ended_too] == [first.uuid, third.uuid]
        everything = tx.changed_since(Instance, clock.now - 10, project="p", dead=True)
        assert [row.uuid for row in everything] == [second.uuid, first.uuid, third.uuid]
        assert len(tx.changed_since(Instance, 0, dead=True)) == 5
        assert tx.changed_since(Instance, clock.now + 0.001) == []


def test_pages_of_changes_miss_nothing_that_changes_meanwhile(store: Store, clock: Clock) -> None:
    rows = _instances(store, 5)
    since, after, met = clock.now, 0, list[str]()
    for page in range(4):
        with store.read() as tx:
            part = tx.changed_since(Instance, since, project="p", after=after, limit=2)
        met += [row.uuid for row in part]
        if part:
            since, after = part[-1].changed, part[-1].id
        if page == 0:
            clock.now += 10
            with store.write() as tx:
                tx.want(rows[0], name="changed between pages")
    assert met == [*(row.uuid for row in rows), rows[0].uuid]
