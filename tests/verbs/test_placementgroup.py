"""Instances of a placement group are where its policy says, and a launch that cannot be placed so makes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.loops import resolve
from pileus.model.errors import Conflict, Duplicate, InvalidValue, NoCapacity, NotFound
from pileus.model.host import Capacity, Host
from pileus.model.placementgroup import PlacementGroup, Wanted
from pileus.model.record import recall
from pileus.rules import recount
from pileus.verbs import placementgroup as verbs
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch, launch

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.placement import Affinity
    from tests.site import Site


def three(site: Site) -> None:
    site.agents.clear()
    for name in ("a", "b", "c"):
        site.host(name, Capacity(memory=1024))
    with site.store.write() as tx:
        tx.make_tombstone(*(host for host in tx.list(Host) if host.name == "h1"))


@pytest.mark.parametrize(
    ("policy", "least", "expected_hosts"),
    [
        ("affinity", 2, "aa"),
        ("affinity", 3, ""),
        ("soft-affinity", 3, "aab"),
        ("anti-affinity", 3, "abc"),
        ("anti-affinity", 4, ""),
        ("soft-anti-affinity", 4, "aabc"),
    ],
)
def test_a_policy_is_kept(
    site: Site, ann: Caller, tiny: Image, policy: Affinity, least: int, expected_hosts: str
) -> None:
    three(site)
    group = verbs.create(ann, site.core, "g", Wanted(policy=policy))  # type: ignore[arg-type]
    chosen_hosts: list[str] = []
    try:
        for _ in range(least):  # one after another, as users come
            row = site.launch(ann, Launch(image=tiny.uuid, placementgroup=group.uuid))[0]
            chosen_hosts.append(row.assigned.host or "")
    except NoCapacity:
        assert expected_hosts == ""
        assert len(chosen_hosts) == least - 1
    else:
        assert "".join(sorted(chosen_hosts)) == expected_hosts
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_at_once_is_as_one_after_another(site: Site, ann: Caller, tiny: Image) -> None:
    three(site)
    group = verbs.create(ann, site.core, "apart", Wanted(policy="anti-affinity"))
    rows = site.launch(ann, Launch(image=tiny.uuid, placementgroup=group.uuid, most=9))
    assert sorted(row.assigned.host or "" for row in rows) == ["a", "b", "c"]
    assert {row.wanted.placementgroup for row in rows} == {group.uuid}
    with pytest.raises(NoCapacity):
        launch(ann, site.core, Launch(image=tiny.uuid, placementgroup=group.uuid))
    with site.store.read() as tx:
        assert "refused 3 by affinity" in tx.journal(ann.project)[-1].detail
    assert site.launch(ann, Launch(image=tiny.uuid))


def test_a_body_that_is_going_keeps_others_apart_until_it_is_gone(site: Site, ann: Caller, tiny: Image) -> None:
    group = verbs.create(ann, site.core, "apart", Wanted(policy="anti-affinity"))
    request = Launch(image=tiny.uuid, placementgroup=group.uuid)
    row = site.launch(ann, request)[0]
    site.settle()
    power.terminate(ann, site.core, [row.uuid])
    with pytest.raises(NoCapacity):
        launch(ann, site.core, request)
    with pytest.raises(Conflict):
        verbs.delete(ann, site.core, group.uuid)
    site.settle()
    again = site.launch(ann, request)[0]
    power.terminate(ann, site.core, [again.uuid])
    site.settle()
    verbs.delete(ann, site.core, group.uuid)
    with pytest.raises(NotFound):
        launch(ann, site.core, request)
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_a_group_goes_along_with_its_instances_order(site: Site, ann: Caller, tiny: Image) -> None:
    group = verbs.create(ann, site.core, "g", Wanted(), {"k": "v"})
    row = site.launch(ann, Launch(image=tiny.uuid, placementgroup=group.uuid))[0]
    with site.store.read() as tx:
        nouns = recall(resolve.instance(tx, row, site.core.place).record, "host")
    assert [(noun.uuid, noun.name) for noun in nouns if isinstance(noun, PlacementGroup)] == [(group.uuid, "g")]


def test_names_are_the_projects_own(site: Site, ann: Caller, tiny: Image) -> None:
    group = verbs.create(ann, site.core, "g", Wanted())
    with pytest.raises(Duplicate):
        verbs.create(ann, site.core, "g", Wanted(policy="anti-affinity"))
    with pytest.raises(InvalidValue):
        verbs.create(ann, site.core, "", Wanted())
    bob = site.caller("green")
    assert verbs.create(bob, site.core, "g", Wanted()).uuid != group.uuid
    for ident in (group.uuid, "none"):
        with pytest.raises(NotFound):
            launch(bob, site.core, Launch(image=tiny.uuid, placementgroup=ident))
    assert [own_group.uuid for own_group in verbs.listing(ann, site.core)] == [group.uuid]
