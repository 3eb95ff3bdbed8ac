"""What a name means: one's own things, never by chance another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.model.errors import NotFound
from pileus.model.instance import Instance
from pileus.model.project import Project
from pileus.rules import find
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site


def test_an_administrators_name_means_no_tenants_instance(site: Site, ann: Caller, tiny: Image) -> None:
    theirs = site.launch(ann, Launch(image=tiny.uuid, name="db"))[0]
    admin = site.caller("ops", {}, admin=True)
    with site.store.read() as tx:
        with pytest.raises(NotFound):
            find.by_any(admin, tx, Instance, "db")
        assert find.by_any(admin, tx, Instance, theirs.ec2_id).uuid == theirs.uuid
        assert find.by_any(admin, tx, Instance, theirs.uuid).uuid == theirs.uuid
        assert find.by_any(ann, tx, Instance, "db").uuid == theirs.uuid


def test_an_administrator_names_anothers_instance_with_its_project(site: Site, ann: Caller, tiny: Image) -> None:
    theirs = site.launch(ann, Launch(image=tiny.uuid, name="db"))[0]
    admin = site.caller("ops", {}, admin=True)
    stranger = site.caller("red")
    with site.store.read() as tx:
        project = tx.need(Project, ann.project).name
        assert find.by_any(admin, tx, Instance, f"{project}/db").uuid == theirs.uuid
        for caller, name in ((stranger, f"{project}/db"), (admin, "red/db"), (admin, "none/db")):
            with pytest.raises(NotFound):
                find.by_any(caller, tx, Instance, name)


def test_an_administrator_finds_projects_by_name(site: Site, ann: Caller) -> None:
    admin = site.caller("ops", {}, admin=True)
    with site.store.read() as tx:
        name = tx.need(Project, ann.project).name
        assert find.by_any(admin, tx, Project, name).uuid == ann.project


def test_a_name_of_two_instances_is_refused_with_both_ids(site: Site, ann: Caller, tiny: Image) -> None:
    first, second = (site.launch(ann, Launch(image=tiny.uuid, name="web"))[0] for _ in range(2))
    with site.store.read() as tx, pytest.raises(NotFound) as refused:
        find.by_any(ann, tx, Instance, "web")
    ids = f"{first.ec2_id}, {second.ec2_id}"
    assert refused.value.message == f"2 instances are named 'web': {ids}. Name one by its id."


def test_an_instance_that_is_to_go_gives_its_name_to_another(site: Site, ann: Caller, tiny: Image) -> None:
    first, second = (site.launch(ann, Launch(image=tiny.uuid, name="web"))[0] for _ in range(2))
    power.terminate(ann, site.core, [first.uuid])
    with site.store.read() as tx:
        assert find.by_any(ann, tx, Instance, "web").uuid == second.uuid
