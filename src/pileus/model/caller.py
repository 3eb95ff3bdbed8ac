"""Caller: who asks, in which project, with which rights, through which face, under which request id."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Forbidden
from pileus.model.ids import TEMPORARY_KEY
from pileus.model.role import Right, Role, includes

if TYPE_CHECKING:
    from pileus.model.project import Project
    from pileus.model.user import User


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """First argument of every verb. `project` is a project's uuid; an admin sees every project's things by id.

    `role` is the caller's in its project, None without any; `member` is that of faces without users. An administrator
    of the cloud, `admin`, needs none. `key` is the id of the access key that proved the caller; empty for a token.
    `session` is the name of the session in which the user, a service user then, is assumed as a role; empty where
    nobody assumed it. `origin` is the lasting access key that temporary credentials descend from, if any.
    """

    user: str
    user_name: str
    project: str
    project_name: str = ""
    account_id: str = ""
    role: Role | None = "member"
    admin: bool = False
    face: str = ""
    request: str = ""
    key: str = ""
    session: str = ""
    origin: str = ""

    @property
    def temporary(self) -> bool:
        """Whether temporary credentials proved the caller: it makes no further ones, and no lasting ones."""
        return self.key.startswith(TEMPORARY_KEY)

    @property
    def right(self) -> Right:
        """The greatest right that the caller has in its project."""
        return "administrator" if self.admin else self.role or "none"

    def require(self, right: Right, deed: str = "") -> None:
        """Raise Forbidden unless the caller's right includes this one; an administrator alone does a `deed`."""
        if includes(self.right, right):
            return
        if right == "administrator":
            self.require_admin(deed or "may do this")
        text = f"This takes the role '{right}' in the project, and yours is '{self.right}': ask one of its admins."
        raise Forbidden(text, reason="role")

    def require_admin(self, deed: str, noun: str = "") -> None:
        """Raise Forbidden unless the caller is an administrator: nobody else does this `deed`."""
        if not self.admin:
            raise Forbidden(f"Only an administrator {deed}.", noun=noun)


def calling(user: User, project: Project, role: Role | None, face: str, key: str = "") -> Caller:
    """The caller that `user` is while it acts in `project` with `role`, under a fresh request id, proven by `key`."""
    return Caller(
        user=user.uuid,
        user_name=user.name,
        project=project.uuid,
        project_name=project.name,
        account_id=project.wanted.account_id,
        role=role,
        admin=user.wanted.admin,
        face=face,
        request=str(uuid.uuid4()),
        key=key,
    )


SYSTEM = Caller(user="", user_name="system", project="", admin=True, face="loop", request="system")
"""The loops' caller of verbs, for example to terminate an instance at its guest's shutdown (terminate-on-shutdown)."""
