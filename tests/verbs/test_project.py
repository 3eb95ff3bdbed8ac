"""Projects: disabled, and deleted once they hold nothing of their own."""

from __future__ import annotations

import pytest

from pileus.model.caller import SYSTEM, Caller
from pileus.model.errors import Conflict, Duplicate, Forbidden, InvalidValue, NotFound
from pileus.model.project import Project
from pileus.rules import recount
from pileus.rules.credential import Authority
from pileus.rules.project import held
from pileus.verbs import grant, keypair, project, user
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch
from tests.site import Site


def test_a_project_has_a_name_of_its_own(site: Site) -> None:
    lab = project.create(SYSTEM, site.core, "lab")
    assert len(lab.wanted.account_id) == 12
    with pytest.raises(Duplicate, match="'lab' exists already"):
        project.create(SYSTEM, site.core, "lab")
    with pytest.raises(InvalidValue):
        project.create(SYSTEM, site.core, "no spaces")


def test_nobody_acts_in_a_disabled_project(site: Site) -> None:
    authority = Authority(site.core)
    eve, admin = user.create(SYSTEM, site.core, "eve", "lab"), site.caller("admin", admin=True)
    with site.store.read() as tx:
        lab = tx.named(Project, "lab")
    assert lab is not None
    project.modify(SYSTEM, site.core, lab.uuid, enabled=False)
    assert authority.by_token(eve.token, "rest") is None
    assert authority.by_access_key(eve.access_key, "ec2") is None
    assert authority.secret(eve.access_key) is None
    project.modify(admin, site.core, lab.uuid, enabled=True)
    assert authority.by_token(eve.token, "rest") is not None
    with pytest.raises(Conflict):
        project.modify(admin, site.core, admin.project, enabled=False)


def test_an_administrators_home_stays_enabled(site: Site) -> None:
    user.create(SYSTEM, site.core, "root", "house", admin=True)
    with site.store.read() as tx:
        house = tx.named(Project, "house")
    assert house is not None
    with pytest.raises(Conflict, match="stays enabled"):
        project.modify(SYSTEM, site.core, house.uuid, enabled=False)


def test_a_project_that_holds_something_says_what(site: Site) -> None:
    eve = user.create(SYSTEM, site.core, "eve", "lab")
    caller = Authority(site.core).by_token(eve.token, "rest")
    assert caller is not None
    keypair.create(caller, site.core, "k")
    for name in ("one", "two"):
        user.create(SYSTEM, site.core, name, "lab")
    with pytest.raises(Conflict, match="still holds 1 keypair, 3 users: delete these first"):
        project.delete(SYSTEM, site.core, caller.project)
    with pytest.raises(Forbidden):
        project.delete(caller, site.core, caller.project)
    assert keypair.listing(caller, site.core)


def test_a_project_ends_with_its_default_network(site: Site, ann: Caller) -> None:
    tiny, bob = site.image(ann, public=True), user.create(SYSTEM, site.core, "bob")
    lab = project.create(SYSTEM, site.core, "lab").uuid
    new_grant = grant.create(SYSTEM, site.core, "member", user=bob.user_id, project=lab)
    authority = Authority(site.core)
    caller = authority.by_token(bob.token, "rest", "lab")
    assert caller is not None
    box = site.launch(caller, Launch(image=tiny.uuid, flavor="m1.tiny"))[0]
    site.settle()
    with pytest.raises(Conflict, match="1 instance, 1 port, 1 volume"):
        project.delete(SYSTEM, site.core, lab)
    power.terminate(caller, site.core, [box.uuid])
    site.settle()
    project.delete(SYSTEM, site.core, lab)
    with pytest.raises(NotFound):
        authority.by_token(bob.token, "rest", "lab")
    with pytest.raises(NotFound):
        project.delete(SYSTEM, site.core, lab)
    site.settle(12)
    with site.store.read() as tx:
        row = tx.get(Project, lab)
        assert row is not None
        assert row.gone is not None
        assert held(tx, lab) == []
        assert tx.claimed("project", "lab") is None
        assert {line.outcome for line in tx.journal(lab)} == {"done"}
        assert tx.get(type(new_grant), new_grant.uuid).gone is not None  # type: ignore[union-attr]  # a tombstone is a row
        assert recount.differences(tx) == []
    assert project.create(SYSTEM, site.core, "lab").uuid != lab
