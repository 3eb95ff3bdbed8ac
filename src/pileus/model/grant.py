"""Grant: the role that a user, or a group of users, has in a project (Keystone's role assignment)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pileus.model.noun import Claim, Noun, Part, Ref
from pileus.model.role import Role


class Wanted(Part, frozen=True, kw_only=True):
    """`user` or `usergroup` has the role in the grant's project; the other one is empty."""

    role: Role
    user: Annotated[str, Ref("user", "owned")] = ""
    usergroup: Annotated[str, Ref("usergroup", "owned")] = ""
    gone: bool = False


class Grant(Noun, frozen=True, kw_only=True):
    """A user, or a group of users, has one grant in a project at most: roles include each other."""

    KIND: ClassVar[str] = "grant"
    PREFIX: ClassVar[str] = "grt"
    QUOTA: ClassVar[dict[str, int]] = {"grants": 500}
    TAGGED: ClassVar[bool] = False
    POOL: ClassVar[str] = "grant"
    wanted: Wanted
    assigned: None = None
    seen: None = None

    @staticmethod
    def place(project: str, grantee: str) -> str:
        """The claim's value for a user or a group of users in a project, all by uuid."""
        return f"{project} {grantee}"

    def claims(self) -> tuple[Claim, ...]:
        """The one place that its user, or group of users, has in its project."""
        return ((self.POOL, self.place(self.project, self.wanted.user or self.wanted.usergroup)),)
