"""Grants: what a user may do in which project, as its credentials show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.model import bounds
from pileus.model.caller import SYSTEM, Caller
from pileus.model.errors import Forbidden, InvalidValue, NotFound, QuotaExceeded
from pileus.model.ids import new_uuid
from pileus.model.project import Project
from pileus.model.user import User, Wanted
from pileus.rules.credential import Authority
from pileus.verbs import doctor, grant, keypair, project, user, usergroup

if TYPE_CHECKING:
    from pileus.model.role import Role
    from pileus.verbs.user import Account
    from tests.site import Site


def uuid_of(site: Site, cls: type[User | Project], name: str) -> str:
    """The uuid of the user or project with this name."""
    with site.store.read() as tx:
        noun = tx.named(cls, name)
    assert noun is not None
    return noun.uuid


class People:
    """A project `lab` with its admin eve, and bob of a project of his own; what each may do in `lab`."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.authority = Authority(site.core)
        self.eve: Account = user.create(SYSTEM, site.core, "eve", "lab")
        self.bob: Account = user.create(SYSTEM, site.core, "bob")
        self.lab = uuid_of(site, Project, "lab")

    def bob_in_lab(self) -> Caller | None:
        """Bob as he acts in the project `lab`; None where he may not."""
        try:
            return self.authority.by_token(self.bob.token, "rest", "lab")
        except NotFound:
            return None

    def give(self, role: Role, user: str = "", usergroup: str = "") -> str:
        """Give a role in `lab`, as an administrator; the grant's uuid."""
        return grant.create(SYSTEM, self.site.core, role, project=self.lab, user=user, usergroup=usergroup).uuid


@pytest.fixture
def people(site: Site) -> People:
    """Two users in two projects."""
    return People(site)


def test_the_first_user_of_a_project_is_its_admin_and_others_are_members(site: Site) -> None:
    authority = Authority(site.core)
    roles = []
    for name in ("eve", "ann"):
        caller = authority.by_token(user.create(SYSTEM, site.core, name, "lab").token, "rest")
        assert caller is not None
        roles.append(caller.role)
    reader = user.create(SYSTEM, site.core, "rob", "lab", role="reader")
    caller = authority.by_access_key(reader.access_key, "ec2")
    assert caller is not None
    assert [*roles, caller.role] == ["admin", "member", "reader"]
    with pytest.raises(Forbidden):
        keypair.create(caller, site.core, "k")
    assert keypair.listing(caller, site.core) == []


def test_a_user_acts_in_each_project_in_which_it_has_a_role(people: People) -> None:
    assert people.bob_in_lab() is None
    granted = people.give("member", user=people.bob.user_id)
    caller = people.bob_in_lab()
    assert caller is not None
    assert (caller.project, caller.project_name, caller.role) == (people.lab, "lab", "member")
    assert keypair.create(caller, people.site.core, "his")[0].project == people.lab
    own = people.authority.by_token(people.bob.token, "rest")
    assert own is not None
    assert (own.project_name, own.role) == ("bob", "admin")
    grant.delete(SYSTEM, people.site.core, granted)
    assert people.bob_in_lab() is None


def test_a_role_takes_the_place_of_another_one(people: People) -> None:
    first, second = people.give("reader", user=people.bob.user_id), people.give("admin", user=people.bob.user_id)
    assert first == second
    caller = people.bob_in_lab()
    assert caller is not None
    assert caller.role == "admin"
    with people.site.store.read() as tx:
        assert [line.verb for line in tx.journal(first)] == ["grant.create", "grant.modify"]


def test_a_user_has_the_greatest_role_of_itself_and_its_groups(people: People) -> None:
    core = people.site.core
    eve = people.authority.by_token(people.eve.token, "rest")
    assert eve is not None
    ops, team = (usergroup.create(eve, core, name).uuid for name in ("ops", "team"))
    people.give("reader", user=people.bob.user_id)
    people.give("admin", usergroup=ops)
    people.give("member", usergroup=team)
    seen = []
    for group in (team, ops):
        usergroup.add(SYSTEM, core, group, people.bob.user_id)
        caller = people.bob_in_lab()
        assert caller is not None
        seen.append(caller.role)
    usergroup.remove(SYSTEM, core, ops, people.bob.user_id)
    caller = people.bob_in_lab()
    assert caller is not None
    seen.append(caller.role)
    usergroup.delete(SYSTEM, core, team)
    caller = people.bob_in_lab()
    assert caller is not None
    assert [*seen, caller.role] == ["member", "admin", "member", "reader"]


def test_an_admin_of_a_project_grants_roles_there_alone(people: People) -> None:
    core = people.site.core
    eve = people.authority.by_token(people.eve.token, "rest")
    assert eve is not None
    with pytest.raises(NotFound):  # of a user that she does not see
        grant.create(eve, core, "member", user=people.bob.user_id)
    with pytest.raises(NotFound):  # in a project that she does not see
        grant.create(eve, core, "admin", user=people.eve.user_id, project=uuid_of(people.site, Project, "bob"))
    kim = user.create(eve, core, "kim")
    assert kim.project == "lab"
    assert grant.create(eve, core, "reader", user=kim.user_id).project == people.lab


@pytest.mark.parametrize("whom", [{}, {"user": "u", "usergroup": "g"}])
def test_a_role_is_either_a_users_or_a_groups(people: People, whom: dict[str, str]) -> None:
    with pytest.raises(InvalidValue, match="either to a user or to a group"):
        people.give("member", **whom)


def test_a_group_and_a_project_have_bounds(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    core = people.site.core
    monkeypatch.setattr(bounds, "USERGROUP_MEMBERS", bounds.Bound("users", "noun", 1, "QuotaExceeded"))
    eve = people.authority.by_token(people.eve.token, "rest")
    assert eve is not None
    group = usergroup.create(eve, core, "ops").uuid
    usergroup.add(SYSTEM, core, group, people.eve.user_id)
    assert usergroup.add(SYSTEM, core, group, people.eve.user_id).wanted.members == (people.eve.user_id,)
    with pytest.raises(QuotaExceeded, match="at most 1 users"):
        usergroup.add(SYSTEM, core, group, people.bob.user_id)


def test_users_of_before_grants_are_members_of_their_homes_once(site: Site) -> None:
    home = project.ensure(SYSTEM, site.core, "old").uuid
    with site.store.write() as tx:
        old = tx.add(User(uuid=new_uuid(), project=home, name="old", wanted=Wanted(home=home, password="hash")))
    admin = site.caller("admin", admin=True)
    assert ("UserWithoutRole", old.uuid) in {
        (finding.code, finding.ident) for finding in doctor.look(admin, site.core).findings
    }
    grants = grant.complete(SYSTEM, site.core)
    assert [(each.wanted.user, each.wanted.role, each.project) for each in grants] == [(old.uuid, "member", home)]
    assert not {finding.code for finding in doctor.look(admin, site.core).findings}
    grant.delete(SYSTEM, site.core, grants[0].uuid)
    assert grant.complete(SYSTEM, site.core) == []
