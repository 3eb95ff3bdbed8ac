"""User: a person or a program that may act in projects; or a role, which nobody is and others assume."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from pileus.model.noun import Claim, Noun, Part, Ref


class RevokedToken(msgspec.Struct, frozen=True):
    """A signed token that was revoked: its id, and when it would have expired, in seconds since the epoch."""

    id: str
    until: float


class Wanted(Part, frozen=True, kw_only=True):
    """`password` is an argon2 hash, empty for a user without one; `admin` may act on every project.

    `directory` is the distinguished name of a user whose password the LDAP directory has; empty for the cloud's own.
    Tokens of an earlier `epoch`, and those of `revoked`, are refused; so is everything of a user that is not `enabled`.
    `service`: a service user, which has no password and no lasting credentials. Temporary ones are given to those whom
    its trust policy `trust` (JSON, as the client wrote it) names, for `longest_session` seconds at most. Its rights are
    those of its grants, as every user's.
    """

    password: str = ""
    admin: bool = False
    home: Annotated[str, Ref("project", "uses")] = ""
    enabled: bool = True
    directory: str = ""
    epoch: int = 0
    revoked: tuple[RevokedToken, ...] = ()
    gone: bool = False
    service: bool = False
    trust: str = ""
    longest_session: int = 3600
    description: str = ""


class User(Noun, frozen=True, kw_only=True):
    """Its name is unique in the cloud, a service user's in its project.

    `home` is the project it acts in unless it says otherwise.
    """

    KIND: ClassVar[str] = "user"
    PREFIX: ClassVar[str] = "usr"
    NAMES: ClassVar[Literal["", "project", "cloud"]] = "cloud"
    SECRET: ClassVar[tuple[str, ...]] = ("password", "epoch", "revoked")
    TAGGED: ClassVar[bool] = False
    RENAMED: ClassVar[bool] = True
    DROPPED: ClassVar[dict[str, Any]] = {"trust": "", "description": ""}
    wanted: Wanted
    assigned: None = None
    seen: None = None

    def claims(self) -> tuple[Claim, ...]:
        """Its name, among users or among the roles of its project."""
        return ((role_names(self.project), self.name),) if self.wanted.service else super().claims()


def role_names(project: str) -> str:
    """The pool of the names of a project's service users."""
    return f"role:{project}"
