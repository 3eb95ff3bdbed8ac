"""Claims and usage: whatever is taken is taken once, and never beyond its limit."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.model.errors import Duplicate, QuotaExceeded
from pileus.model.ids import new_uuid
from pileus.model.instance import Assigned, Size
from pileus.model.project import Project
from pileus.model.project import Wanted as ProjectWanted
from pileus.model.volume import Volume
from pileus.model.volume import Wanted as VolumeWanted
from tests import databases
from tests.store.clock import Clock, flavor, instance

if TYPE_CHECKING:
    from pileus.store.store import Store


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
        assert tx.claims(one.uuid) == [("mac", "a", one.uuid)]
        assert tx.taken("mac") == {"a"}
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
                tx.count({("project:p", "ports"): 1})
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


def test_usage_is_counted_whether_there_was_any_or_not(store: Store) -> None:
    with store.write() as tx:
        tx.count({("p", "vcpus"): 3, ("p", "memory"): 0})
        tx.count({("p", "vcpus"): 8, ("q", "memory"): 5})
        assert tx.usage() == {("p", "vcpus"): 11, ("q", "memory"): 5}
        assert tx.usage("p") == {("p", "vcpus"): 11}
        tx.count({("p", "vcpus"): -11})
        tx.close_usage("q")
        assert tx.usage() == {}


def test_a_quota_holds_and_a_refusal_takes_nothing(store: Store) -> None:
    with store.write() as tx:
        owner = tx.add(project(disk=4))
    with pytest.raises(QuotaExceeded) as caught, store.write() as tx:
        tx.add_all([volume(owner, 3), volume(owner, 2)])
    assert (caught.value.reason, caught.value.ident) == ("disk", f"project:{owner.uuid}")
    with store.write() as tx:
        assert tx.usage() == {}
        row = tx.add(volume(owner, 4))
        tx.limited = False
        tx.want(row, sized(row, 9))
    with store.write() as tx:
        row = tx.want(tx.need(Volume, row.uuid), sized(row, 8))
        assert tx.usage() == {(f"project:{owner.uuid}", "disk"): 8, (f"project:{owner.uuid}", "volumes"): 1}
        tx.make_tombstone(row)
        assert tx.usage() == {}


def test_where_an_instance_is_its_host_is_charged_until_it_is_cleared(store: Store) -> None:
    size = Size(vcpus=2, memory=512, disk=4)
    there = {("host:h1", "vcpus"): 2, ("host:h1", "memory"): 512, ("host:h1", "disk"): 4}
    owned = {("project:p", "instances"): 1, ("project:p", "vcpus"): 2, ("project:p", "memory"): 512}
    with store.write() as tx:
        row = tx.add(msgspec.structs.replace(instance(tx.add(flavor())), assigned=Assigned(host="h1", size=size)))
        assert tx.usage() == {**owned, **there}
        row = tx.assign(row, Assigned(clear={"h1": (1, 1)}, size=size))
        assert tx.usage() == {**owned, **there}
        row = tx.revise(row, Assigned(size=size))
        assert tx.usage() == owned
        tx.make_tombstone(row)
        assert tx.usage() == {}


def test_a_container_takes_no_processors_of_its_host(store: Store) -> None:
    size = Size(vcpus=2, memory=512, disk=4, kind="container")
    with store.write() as tx:
        tx.add(msgspec.structs.replace(instance(tx.add(flavor())), assigned=Assigned(host="h1", size=size)))
        assert tx.usage("host:h1") == {("host:h1", "memory"): 512, ("host:h1", "disk"): 4}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=20), st.none() | st.integers(0, 12))
def test_usage_is_the_sum_of_what_was_granted(requests: list[tuple[int, int]], limit: int | None) -> None:
    """Each request gives one of four volumes another size, makes it, or (0) ends it."""
    store = _shared()
    rows: dict[int, Volume] = {}
    with store.write() as tx:
        owner = tx.add(project(disk=-1 if limit is None else limit))
        for which, size in requests:
            row = rows.pop(which, None)
            more = size - (row.wanted.size if row else 0)
            left = (
                None
                if limit is None
                else limit - sum(each.wanted.size for each in [*rows.values(), *([row] if row else [])])
            )
            try:
                if row is None:
                    rows[which] = tx.add(volume(owner, size))
                elif size:
                    rows[which] = tx.want(row, sized(row, size))
                else:
                    tx.make_tombstone(row)
                assert left is None or more <= max(left, 0)
            except QuotaExceeded:
                assert left is not None
                assert more > left
                break
        else:
            used = {"disk": sum(row.wanted.size for row in rows.values()), "volumes": len(rows)}
            scope = f"project:{owner.uuid}"
            assert tx.usage(scope) == {(scope, name): amount for name, amount in used.items() if amount}


def project(**quota: int) -> Project:
    """A new project with these limits."""
    uuid = new_uuid()
    wanted = ProjectWanted(account_id=uuid[:12], canonical_id="0" * 64, quota=quota)
    return Project(uuid=uuid, name=uuid, wanted=wanted)


def volume(owner: Project, size: int) -> Volume:
    """A new volume of a project."""
    return Volume(uuid=new_uuid(), project=owner.uuid, wanted=VolumeWanted(size=size))


def sized(row: Volume, size: int) -> VolumeWanted:
    """The wanted part of a volume, with another size."""
    return msgspec.structs.replace(row.wanted, size=size)


_stores: list[Store] = []


def _shared() -> Store:
    if not _stores:
        _stores.append(databases.opened(Clock()))
    return _stores[0]
