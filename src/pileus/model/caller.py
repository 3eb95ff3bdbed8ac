"""Caller: who asks, in which project, with which rights, through which face, under which request id."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Forbidden

if TYPE_CHECKING:
    from pileus.model.project import Project
    from pileus.model.user import User


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """First argument of every verb. `project` is a project's uuid; an admin sees every project's things by id.

    `key` is the id of the access key that proved the caller; empty for a token.
    """

    user: str
    user_name: str
    project: str
    project_name: str = ""
    account_id: str = ""
    admin: bool = False
    face: str = ""
    request: str = ""
    key: str = ""

    def require_admin(self, deed: str, noun: str = "") -> None:
        """Raise Forbidden unless the caller is an administrator: nobody else does this `deed`."""
        if not self.admin:
            raise Forbidden(f"Only an administrator {deed}.", noun=noun)


def calling(user: User, project: Project, face: str, key: str = "") -> Caller:
    """The caller that `user` is while it acts in `project`, under a fresh request id, proven by `key`."""
    return Caller(
        user=user.uuid,
        user_name=user.name,
        project=project.uuid,
        project_name=project.name,
        account_id=project.wanted.account_id,
        admin=user.wanted.admin,
        face=face,
        request=str(uuid.uuid4()),
        key=key,
    )


SYSTEM = Caller(user="", user_name="system", project="", admin=True, face="loop", request="system")
"""The loops' caller of verbs, for example to terminate an instance at its guest's shutdown (terminate-on-shutdown)."""
