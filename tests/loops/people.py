"""Administrators of the world: they make, disable and delete users, projects and grants, and what has to hold since.

Their chance is their own: worlds without them are the same whether or not there could be some.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from pileus.model.caller import Caller
from pileus.model.errors import NotFound, PileusError, Unavailable
from pileus.model.grant import Grant
from pileus.model.project import Project
from pileus.model.role import ROLES, Role
from pileus.model.user import User
from pileus.rules.credential import Authority
from pileus.verbs import doctor, grant, project, token, user
from tests.loops.promises import RIGHTS
from tests.loops.users import StoreDown

if TYPE_CHECKING:
    from tests.loops.world import World

DEEDS = ("user", "disable", "enable", "delete", "grant", "grant", "revoke", "login", "logout")
PROJECT_DEEDS = ("project", "project off", "project on", "project gone")


class Person(msgspec.Struct, kw_only=True):
    """The state of a user that was acknowledged last: `roles` by project, the signed tokens that are good."""

    account: user.Account
    home: str
    enabled: bool = True
    roles: dict[str, Role] = {}
    signed: list[str] = []


class People:
    """Administrators that act as long as the storm lasts; `done` names the deeds that were not refused."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = random.Random(f"people {world.seed}")
        self._caller = msgspec.structs.replace(world.cloud.caller, admin=True)
        self._persons: dict[str, Person] = {}
        self._projects: dict[str, tuple[str, str]] = {}
        """Name and state (on, off, gone) of each project, by uuid."""
        self._ended: list[str] = []
        """The signed tokens that were revoked, or that a recovery has ended."""
        self._count = 0
        self.done: set[str] = set()

    def begin(self) -> None:
        """Begin to act."""
        self._world.after(self._random.expovariate(1 / 0.6), self._act)

    def _act(self) -> None:
        if not self._world.storm:
            return
        deed = self._random.choice((*DEEDS, *PROJECT_DEEDS))
        try:
            if self._do(deed):
                self.done.add(deed)
                self._world.log("people:", deed)
        except (PileusError, StoreDown) as error:
            self._world.log("people: refused:", deed, error)
            if isinstance(error, Unavailable) and error.reason == "unknown":
                self._learn()
        self.begin()

    def _do(self, deed: str) -> bool:
        """Do one deed, if there is anything to do it to. Raises the refusal."""
        core, caller = self._world.core, self._caller
        if deed in PROJECT_DEEDS:
            return self._change_project(deed)
        if deed == "user":
            self._add()
            return True
        if not self._persons:
            return False
        uuid = self._random.choice(list(self._persons))
        person = self._persons[uuid]
        if deed == "delete":
            user.delete(caller, core, uuid)
            person.roles, person.enabled = {}, False
        elif deed in ("enable", "disable"):
            changed = user.modify(caller, core, uuid, enabled=deed == "enable").wanted.enabled != person.enabled
            person.enabled = deed == "enable"
            if not changed:
                return False
        elif deed == "grant":
            role, place = self._random.choice(ROLES), self._random.choice([*self._projects, person.home])
            grant.create(caller, core, role, user=uuid, project=place)
            person.roles[place] = role
            return True
        elif deed == "revoke":
            return self._revoke(uuid, person)
        elif deed == "login":
            own = Caller(user=uuid, user_name=person.account.user, project=person.home, face="test")
            person.signed.append(token.create(own, core).token)
            return True
        else:
            token.revoke_all(caller, core, user=uuid)
        self._ended += person.signed
        person.signed = []
        return True

    def _add(self) -> None:
        self._count += 1
        places = [name for name, state in self._projects.values() if state == "on"]
        name = self._random.choice([*places, ""])
        account = user.create(self._caller, self._world.core, f"person-{self._count}", name)
        with self._world.store.truth() as tx:
            home = tx.need(User, account.user_id).wanted.home
        self._projects.setdefault(home, (account.project, "on"))
        role: Role = "member" if name else "admin"
        self._persons[account.user_id] = Person(account=account, home=home, roles={home: role})

    def _revoke(self, uuid: str, person: Person) -> bool:
        if not person.roles:
            return False
        place = self._random.choice(list(person.roles))
        with self._world.store.truth() as tx:
            holder = tx.claimed(Grant.POOL, Grant.place(place, uuid))
        if holder is None:
            return False  # the copy in the database's place lacks it, and is not recovered yet
        grant.delete(self._caller, self._world.core, holder[1])
        del person.roles[place]
        return True

    def _change_project(self, deed: str) -> bool:
        core, caller = self._world.core, self._caller
        if deed == "project":
            self._count += 1
            row = project.create(caller, core, f"place-{self._count}")
            self._projects[row.uuid] = row.name, "on"
            return True
        if not self._projects:
            return False
        uuid = self._random.choice(list(self._projects))
        if deed == "project gone":
            project.delete(caller, core, uuid)
            for person in self._persons.values():
                person.roles.pop(uuid, None)
        else:
            project.modify(caller, core, uuid, enabled=deed == "project on")
        self._projects[uuid] = self._projects[uuid][0], deed.rpartition(" ")[2]
        return True

    # -- what has to hold ------------------------------------------------------------------------------------------

    def recovered(self) -> None:
        """After a recovery: no right has come back unless the doctor says so. All see then what there is."""
        codes = {finding.code for finding in doctor.look(self._caller, self._world.core).findings}
        is_reported = "RightsUnconfirmed" in codes
        for complaint in self._differences():
            if not is_reported and " as None, " not in complaint:
                self._world.promises.broken(RIGHTS, f"{complaint} after a recovery, and the doctor says nothing")
        for person in self._persons.values():
            self._ended += person.signed
            person.signed = []
        self._learn()
        if is_reported and self._random.random() < 0.5:
            self.done.add("confirm")
            try:
                doctor.confirm(self._caller, self._world.core)
            except (PileusError, StoreDown) as error:
                self._world.log("people: refused: confirm", error)

    def complaints(self) -> list[str]:
        """A line for each right that is not as it was acknowledged, and each project that does not end."""
        with self._world.store.truth() as tx:
            living = {row.uuid for row in tx.list(Project)}
        ending = [name for uuid, (name, state) in self._projects.items() if state == "gone" and uuid in living]
        return [f"the project {name} was deleted, and lives" for name in ending] + self._differences()

    def _differences(self) -> list[str]:
        """The credentials that give another role than the one that was acknowledged last, each with both."""
        core = self._world.core
        listeners = core.store._on_commit.copy()
        authority = Authority(core)
        # A process of its own would end; this store goes on.
        core.store._on_commit[:] = listeners
        roles: list[tuple[str, Role | None, Role | None]] = [
            ("an ended token", _acting(authority, text), None) for text in self._ended
        ]
        for person in self._persons.values():
            name, own, text = person.account.user, self._right(person, person.home), person.account.token
            caller = authority.by_access_key(person.account.access_key, "test")
            roles.append((f"the access key of {name}", caller.role if caller else None, own))
            roles += [(f"a signed token of {name}", _acting(authority, signed), own) for signed in person.signed]
            roles += [
                (f"{name} in {place}", _acting(authority, text, place), self._right(person, place))
                for place in self._projects
            ]
        return [f"{what} acts as {role}, not as {right}" for what, role, right in roles if role != right]

    def _right(self, person: Person, place: str) -> Role | None:
        is_on = self._projects[place][1] == "on"
        return person.roles.get(place) if person.enabled and is_on else None

    def _learn(self) -> None:
        """Take the rights that the store shows for the wanted ones."""
        with self._world.store.truth() as tx:
            projects, users = tx.list(Project), {row.uuid: row.wanted for row in tx.list(User)}
            grants = tx.list(Grant)
        states = {row.uuid: "gone" if row.wanted.gone else "on" if row.wanted.enabled else "off" for row in projects}
        self._projects = {row.uuid: (row.name, states[row.uuid]) for row in projects}
        self._persons = {uuid: person for uuid, person in self._persons.items() if uuid in users}
        for uuid, person in self._persons.items():
            person.enabled = users[uuid].enabled
            person.roles = {each.project: each.wanted.role for each in grants if each.wanted.user == uuid}


def _acting(authority: Authority, text: str, place: str = "") -> Role | None:
    """The role in which the holder of a token acts; None where it may not."""
    try:
        caller = authority.by_token(text, "test", place)
    except NotFound:
        return None
    return caller.role if caller else None
