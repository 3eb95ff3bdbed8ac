"""Limits of projects: other ones for those that are named, the rest as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model import quota
from pileus.model.project import Project
from pileus.verbs import limit

if TYPE_CHECKING:
    from tests.site import Site


def test_a_project_without_limits_gets_those_that_are_named_alone(site: Site) -> None:
    admin = site.caller("ops", {}, admin=True)
    shown = limit.change(admin, site.core, admin.project, {"subnets": 7}).resources
    assert {name: each.limit for name, each in shown.items() if each.limit is not None} == {"subnets": 7}


def test_a_limit_may_be_none_and_the_rest_stays_as_it_was(site: Site) -> None:
    admin, blue = site.caller("ops", {}, admin=True), site.caller("blue", {"images": 3})
    limit.change(admin, site.core, blue.project, {"images": None, "keypairs": 5})
    shown = limit.show(blue, site.core).resources
    assert (shown["images"].limit, shown["keypairs"].limit) == (None, 5)
    assert shown["rules"].limit == quota.DEFAULTS["rules"]
    with site.store.read() as tx:
        project = tx.need(Project, blue.project)
        assert tx.journal(project.uuid, limit=1)[0].detail == "images=-1 keypairs=5"
