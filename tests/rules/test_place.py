"""No host is ever given more than it has, however launches, ends and operators come; none is refused that fits."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import hypothesis
import msgspec
from hypothesis import strategies as some
from sqlalchemy import delete

from pileus.model.caller import Caller
from pileus.model.errors import NoCapacity
from pileus.model.host import Capacity, Host, Overcommit, room
from pileus.model.placement import RESOURCES, Policy
from pileus.rules import recount
from pileus.store.tables import usage
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch, launch
from pileus.verbs.instance.modify import Change, modify
from tests.databases import SERVER
from tests.site import Site

if TYPE_CHECKING:
    from pileus.model.image import Image

FLAVORS = {"m1.tiny": (1, 128, 1), "m1.small": (1, 512, 4), "m1.large": (2, 2048, 16), "m1.xlarge": (4, 4096, 32)}

launches = some.tuples(some.just("launch"), some.sampled_from(sorted(FLAVORS)), some.integers(1, 4))
ends = some.tuples(some.just("terminate"), some.integers(0, 20), some.booleans())
duties = some.tuples(some.just("state"), some.integers(0, 3), some.sampled_from(("active", "drained", "maintenance")))
sizes = some.tuples(some.integers(0, 3), some.integers(0, 5000), some.integers(0, 40))
policies = some.builds(
    Policy,
    overcommit=some.builds(Overcommit, vcpus=some.sampled_from((1.0, 2.5)), memory=some.just(1.0), disk=some.just(1)),
    strategy=some.sampled_from(("spread", "stack")),
)


def bounds(site: Site, policy: Policy) -> dict[str, tuple[str, dict[str, int | None], dict[str, int]]]:
    """By host: its state, its room, and what is used of it."""
    with site.store.read() as tx:
        assert recount.differences(tx) == []
        used = tx.usage()
        return {
            host.name: (
                host.wanted.state,
                room(host.wanted, host.seen.capacity, policy.overcommit),
                {name: used.get((f"host:{host.name}", name), 0) for name in RESOURCES},
            )
            for host in tx.list(Host)
        }


def fits(site: Site, policy: Policy, need: tuple[int, int, int]) -> int:
    """How many instances of this size fit, counted without placement."""
    total = 0
    for state, most, used in bounds(site, policy).values():
        free_amounts = [(most[name] or 0) - used[name] for name in RESOURCES]
        if state == "active":
            total += max(0, min(free_amounts[place] // amount for place, amount in enumerate(need)))
    return total


def check(site: Site, policy: Policy) -> None:
    """Nothing of any host is given away twice."""
    for _, most, used in bounds(site, policy).values():
        assert all(used[name] <= (most[name] or 0) for name in RESOURCES)


def sized(hosts: list[tuple[int, int, int]], policy: Policy) -> Site:
    """A site with hosts of so many processors, MiB and GiB."""
    site = Site()
    site.core = replace(site.core, policy=policy)
    for number, (vcpus, memory, disk) in enumerate(hosts):
        site.host(f"h{number}", Capacity(vcpus=vcpus, memory=memory, disk=disk))
    return site


def set_duty(site: Site, name: str, state: str) -> None:
    with site.store.write() as tx:
        (host,) = tx.list(Host, name=name)
        tx.want(host, msgspec.structs.replace(host.wanted, state=state))


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(
    hosts=some.lists(sizes, min_size=1, max_size=4),
    policy=policies,
    deeds=some.lists(launches | ends | duties, max_size=12),
)
def test_no_host_is_given_more_than_it_has(
    hosts: list[tuple[int, int, int]], policy: Policy, deeds: list[tuple[str, object, object]]
) -> None:
    site = sized(hosts, policy)
    ann = site.caller("blue", {})
    tiny = site.image(ann)
    uuids: list[str] = []
    for what, first, second in deeds:
        if what == "launch":
            need, count = FLAVORS[str(first)], int(str(second))
            could = fits(site, policy, need)
            try:
                uuids += launch(ann, site.core, Launch(image=tiny.uuid, flavor=str(first), least=count, most=count))
            except NoCapacity:
                assert could < count
            else:
                assert could >= count
        elif what == "terminate" and uuids:
            power.terminate(ann, site.core, [site.row(uuids.pop(int(str(first)) % len(uuids))).uuid])
            if second:
                site.settle(3)
        elif what == "state":
            set_duty(site, f"h{int(str(first)) % len(hosts)}", str(second))
        check(site, policy)


THREADS = 64


@hypothesis.settings(max_examples=4 if SERVER else 2, deadline=None)
@hypothesis.given(
    hosts=some.lists(
        some.tuples(some.integers(4, 20), some.integers(2000, 8000), some.integers(16, 80)), min_size=2, max_size=4
    ),
    policy=policies,
    spare=some.integers(0, 4),
    requests=some.lists(
        some.tuples(some.sampled_from(sorted(FLAVORS)), some.integers(1, 3)), min_size=THREADS, max_size=THREADS
    ),
    ended=some.just(0) | some.integers(1, 8),
)
def test_sixty_four_who_launch_at_once_where_little_is_left_are_given_no_more_than_there_is(
    hosts: list[tuple[int, int, int]], policy: Policy, spare: int, requests: list[tuple[str, int]], ended: int
) -> None:
    """While instances end, too, and their room is given back. A site is full but for `spare` of the smallest ones."""
    site = sized(hosts, policy)
    ann = site.caller("blue", {})
    tiny = site.image(ann)
    space = fits(site, policy, FLAVORS["m1.tiny"])
    filling = Launch(image=tiny.uuid, flavor="m1.tiny", most=max(1, space - spare))
    uuids = launch(ann, site.core, filling)
    site.settle(2)
    start = threading.Barrier(THREADS)
    refused: list[tuple[tuple[int, int, int], int]] = []

    def ask(name: str, count: int) -> None:
        start.wait()
        try:
            launch(ann, site.core, Launch(image=tiny.uuid, flavor=name, least=count, most=count))
        except NoCapacity:
            refused.append((FLAVORS[name], count))

    with ThreadPoolExecutor(THREADS) as pool:
        asking = [pool.submit(ask, *each) for each in requests]
        if uuids[:ended]:
            power.terminate(ann, site.core, [site.row(uuid).uuid for uuid in uuids[:ended]])
        while not all(each.done() for each in asking):
            site.settle(1)
            check(site, policy)
    for each in asking:
        each.result()
    check(site, policy)
    assert ended or all(fits(site, policy, need) < count for need, count in refused)


def test_containers_take_none_of_a_hosts_processors() -> None:
    site = Site()
    site.host("small", Capacity(vcpus=1, memory=32768, disk=400))
    ann = site.caller("blue", {})
    root = site.image(ann, "root", kind="container", format="tar")
    uuids = launch(ann, site.core, Launch(image=root.uuid, flavor="basic", least=64, most=64))
    site.settle()
    modify(ann, site.core, site.row(uuids[0]).uuid, Change(flavor="unlimited"))
    with site.store.read() as tx:
        assert recount.differences(tx) == []
        hosts = [(scope, used) for (scope, resource), used in tx.usage().items() if resource == "vcpus"]
        assert [used for scope, used in hosts if scope.startswith("host:")] == []
        assert [used for scope, used in hosts if scope.startswith("project:")] == [65]
    power.terminate(ann, site.core, [row.uuid for row in site.rows(uuids)])
    site.settle()
    with site.store.read() as tx:
        assert recount.differences(tx) == []
        assert not any(used for (_, resource), used in tx.usage().items() if resource in RESOURCES)


def test_a_host_that_was_never_counted_is_counted_from_its_first_instance_on(
    site: Site, ann: Caller, tiny: Image
) -> None:
    with site.store.write() as tx:
        tx.sql.execute(delete(usage).where(usage.c.resource.in_(RESOURCES)))
    assert site.launch(ann, Launch(image=tiny.uuid))[0].assigned.host == "h1"
    with site.store.read() as tx:
        assert tx.usage("host:h1")["host:h1", "memory"] == 512
