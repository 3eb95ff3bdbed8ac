"""Flavors that administrators make, and what they demand of hosts: instances go where it is, or nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.loops import runner
from pileus.model.allowance import Allowance
from pileus.model.errors import Duplicate, Forbidden, InvalidValue, NoCapacity, NotFound
from pileus.model.flavor import Flavor, Wanted
from pileus.rules import recount
from pileus.verbs import flavor as verbs
from pileus.verbs import host as hosts
from pileus.verbs.instance.launch import Launch, launch
from pileus.verbs.instance.modify import Change, modify
from pileus.verbs.instance.power import start, stop

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site

SMALL = Wanted(vcpus=1, memory=256, disk=2, traits=("ssd",))


@pytest.fixture
def root(site: Site) -> Caller:
    return site.caller("admin", admin=True)


@pytest.fixture
def fast(site: Site, root: Caller) -> str:
    """The name of a flavor that demands `ssd`, which h2 alone is said to have."""
    site.host("h2")
    hosts.change_traits(root, site.core, "h2", ["ssd", "rack:3"])
    return verbs.create(root, site.core, "fast", SMALL).name


def uuid_of(site: Site, name: str) -> str:
    with site.store.read() as tx:
        flavor = tx.named(Flavor, name)
    assert flavor is not None
    return flavor.uuid


def test_what_a_flavor_allows_is_its_own_or_follows_from_its_size(site: Site, root: Caller) -> None:
    flavor = verbs.create(
        root, site.core, "slow", Wanted(vcpus=2, memory=512, disk=1, allowance=Allowance(bandwidth=50))
    )
    rest = {"iops": 20_000, "throughput": 1000, "processes": 512, "files": 65_536}
    assert flavor.wanted.allowed == Allowance(bandwidth=50, packets=200_000, **rest)
    for wrong in (-1, 1 << 40):
        with pytest.raises(InvalidValue):
            verbs.create(root, site.core, "odd", Wanted(vcpus=1, memory=64, disk=1, allowance=Allowance(iops=wrong)))


def test_a_flavor_goes_where_its_traits_are_and_nowhere_else(
    site: Site, ann: Caller, tiny: Image, root: Caller, fast: str
) -> None:
    request = Launch(image=tiny.uuid, flavor=fast)
    assert {site.launch(ann, request)[0].assigned.host for _ in range(3)} == {"h2"}
    hosts.change_traits(root, site.core, "h2", remove=["ssd"])
    with pytest.raises(NoCapacity) as caught:
        launch(ann, site.core, request)
    assert "ssd" not in caught.value.message  # what hosts have is no tenant's business
    with site.store.read() as tx:
        why = tx.journal(ann.project, limit=1)[0].detail
    assert "refused 2 by traits" in why
    assert "h2: without ssd" in why
    hosts.change_traits(root, site.core, "h1", ["ssd"])
    assert site.launch(ann, request)[0].assigned.host == "h1"
    verbs.demand(root, site.core, uuid_of(site, fast), ["gpu:a100"], ["ssd"])
    with pytest.raises(NoCapacity):
        launch(ann, site.core, request)
    verbs.demand(root, site.core, uuid_of(site, fast), (), ["gpu:a100"])
    assert site.launch(ann, request)[0].assigned.host


def test_what_runs_runs_on_without_the_trait(site: Site, ann: Caller, tiny: Image, root: Caller, fast: str) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid, flavor=fast))[0]
    site.settle()
    hosts.change_traits(root, site.core, "h2", remove=["ssd"])
    for verb in (stop, start):
        verb(ann, site.core, [row.uuid])
        site.settle()
    before = site.row(row.uuid)
    assert (before.seen.running, before.assigned.host) == (True, "h2")
    # Its order says what it was made from, and is given anew; its guest notices nothing.
    verbs.demand(root, site.core, uuid_of(site, fast), ["gpu"])
    verbs.offer(root, site.core, uuid_of(site, fast), retired=True)
    runner.resync(site.core)
    site.settle()
    after = site.row(row.uuid)
    assert after.seen.revision == after.revision > before.revision
    assert (after.seen.running, after.seen.since) == (True, before.seen.since)


def test_a_host_without_the_trait_does_not_take_the_flavor_by_another_way(
    site: Site, ann: Caller, tiny: Image, root: Caller, fast: str
) -> None:
    hosts.set_duty(root, site.core, "h2", "drained")
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    stop(ann, site.core, [row.uuid])
    site.settle()
    with pytest.raises(NoCapacity):
        modify(ann, site.core, row.uuid, Change(flavor=fast))
    hosts.change_traits(root, site.core, "h1", ["ssd"])
    modify(ann, site.core, row.uuid, Change(flavor=fast))
    wanted = site.row(row.uuid).wanted
    with site.store.read() as tx:
        assert tx.need(Flavor, wanted.flavor).name == fast
        assert recount.differences(tx) == []


def test_a_hosts_traits_outlive_its_reports(site: Site, root: Caller) -> None:
    hosts.change_traits(root, site.core, "h1", ["ssd", "ssd"])
    changed = hosts.change_traits(root, site.core, "h1", ["ssd"])  # no news
    assert changed.wanted.traits == ("ssd",)
    site.settle()
    with site.store.read() as tx:
        assert tx.need(type(changed), changed.uuid).wanted.traits == ("ssd",)
        assert [line.verb for line in tx.journal(changed.uuid)] == ["host.traits"]


@pytest.mark.parametrize("word", ["", "SSD", "a b", "-x", "kvm", "tcg", "cpu:avx2", "arch:arm64", "x" * 65])
def test_what_hosts_find_out_and_what_is_no_word_is_not_given(site: Site, root: Caller, word: str) -> None:
    with pytest.raises(InvalidValue):
        hosts.change_traits(root, site.core, "h1", [word])
    with pytest.raises(InvalidValue):
        hosts.change_traits(root, site.core, "h1", [f"x{number}" for number in range(65)])


def test_a_flavor_may_demand_what_hosts_find_out(site: Site, ann: Caller, tiny: Image, root: Caller) -> None:
    site.plain_host("h3", traits=("kvm", "cpu:avx2"))
    wide = Wanted(vcpus=1, memory=256, disk=2, traits=("cpu:avx2",))
    verbs.create(root, site.core, "wide", wide)
    assert site.launch(ann, Launch(image=tiny.uuid, flavor="wide"))[0].assigned.host == "h3"


def test_a_retired_flavor_is_kept_by_who_has_it_and_given_to_nobody(
    site: Site, ann: Caller, tiny: Image, root: Caller, fast: str
) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid, flavor=fast))[0]
    for _ in range(2):
        assert verbs.offer(root, site.core, uuid_of(site, fast), retired=True).wanted.retired
    assert fast not in {flavor.name for flavor in verbs.listing(ann, site.core)}
    with pytest.raises(InvalidValue):
        launch(ann, site.core, Launch(image=tiny.uuid, flavor=fast))
    with pytest.raises(Duplicate):
        verbs.create(root, site.core, fast, SMALL)
    site.settle()
    assert site.row(row.uuid).seen.running
    verbs.offer(root, site.core, uuid_of(site, fast))
    assert site.launch(ann, Launch(image=tiny.uuid, flavor=fast))


def test_only_an_administrator_makes_flavors_and_marks_hosts(site: Site, ann: Caller, root: Caller, fast: str) -> None:
    with pytest.raises(Forbidden):
        verbs.create(ann, site.core, "mine", SMALL)
    with pytest.raises(Forbidden):
        verbs.demand(ann, site.core, uuid_of(site, fast), (), ["ssd"])
    with pytest.raises(Forbidden):
        verbs.offer(ann, site.core, uuid_of(site, fast), retired=True)
    with pytest.raises(Forbidden):
        hosts.change_traits(ann, site.core, "h1", ["ssd"])
    with pytest.raises(NotFound):
        verbs.demand(root, site.core, "nothing", ["ssd"])


@pytest.mark.parametrize(
    ("name", "size"),
    [("Big", {}), ("", {}), ("a b", {}), ("big", {"vcpus": 0}), ("big", {"memory": -1}), ("big", {"disk": 1 << 20})],
)
def test_what_is_no_flavor_is_refused(site: Site, root: Caller, name: str, size: dict[str, int]) -> None:
    with pytest.raises(InvalidValue):
        verbs.create(root, site.core, name, Wanted(**{"vcpus": 1, "memory": 1, "disk": 1, **size}))  # type: ignore[arg-type]
