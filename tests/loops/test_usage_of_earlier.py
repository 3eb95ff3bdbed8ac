"""Instances that a process of an earlier version wrote have no size, and are charged for all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.loops import instance as loop
from pileus.model.instance import Instance, Size
from pileus.model.project import Project
from pileus.rules import recount
from pileus.verbs.instance import modify, power
from pileus.verbs.instance.launch import Launch

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.noun import Usage
    from tests.site import Site


def _without_size(site: Site, instance: Instance) -> Usage:
    """Make the row one that an earlier version wrote; the usage that is counted with it."""
    with site.store.write() as tx:
        tx.assign(instance, msgspec.structs.replace(instance.assigned, size=Size()), counted=True)
        return tx.usage()


def test_a_row_without_a_size_gets_one_and_is_not_charged_twice(site: Site, ann: Caller, tiny: Image) -> None:
    (instance,) = site.launch(ann, Launch(image=tiny.uuid))
    usage = _without_size(site, instance)
    site.settle()
    assert site.row(instance.uuid).assigned.size == instance.assigned.size
    with site.store.read() as tx:
        assert tx.usage() == usage
        assert recount.differences(tx) == []
    power.terminate(ann, site.core, [instance.uuid])
    site.settle()
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_a_resize_before_any_loop_looked_charges_the_difference(site: Site, ann: Caller, tiny: Image) -> None:
    (instance,) = site.launch(ann, Launch(image=tiny.uuid))
    site.settle()
    power.stop(ann, site.core, [instance.uuid])
    site.settle()
    _without_size(site, site.row(instance.uuid))
    modify.modify(ann, site.core, instance.uuid, modify.Change(flavor="m1.large"))
    assert site.row(instance.uuid).assigned.size.disk == instance.assigned.size.disk
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_what_a_host_has_cleared_is_given_back(site: Site, ann: Caller, tiny: Image) -> None:
    (instance,) = site.launch(ann, Launch(image=tiny.uuid))
    site.settle()
    power.terminate(ann, site.core, [instance.uuid])
    with site.store.write() as tx:
        _, leaving = loop.plan(site.core, tx, tx.need(Instance, instance.uuid))
    _without_size(site, leaving)
    with site.store.write() as tx:
        loop.cleared(tx, tx.need(Instance, instance.uuid), *leaving.assigned.clear)
        assert recount.differences(tx) == []
    site.settle()
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_a_project_that_has_used_its_quota_up_is_no_obstacle(site: Site, ann: Caller, tiny: Image) -> None:
    (instance,) = site.launch(ann, Launch(image=tiny.uuid))
    with site.store.write() as tx:
        project = tx.need(Project, ann.project)
        tx.want(project, msgspec.structs.replace(project.wanted, quota={"vcpus": 1, "instances": 1}))
    _without_size(site, instance)
    site.settle()
    assert site.row(instance.uuid).assigned.size == instance.assigned.size
