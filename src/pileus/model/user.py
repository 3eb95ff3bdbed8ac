"""User: a person or a program that may act in projects."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from pileus.model.noun import Noun, Part, Ref


class RevokedToken(msgspec.Struct, frozen=True):
    """A signed token that was revoked: its id, and when it would have expired, in seconds since the epoch."""

    id: str
    until: float


class Wanted(Part, frozen=True, kw_only=True):
    """`password` is an argon2 hash, empty for a user without one; `admin` may act on every project.

    `directory` is the distinguished name of a user whose password the LDAP directory has; empty for the cloud's own.
    Tokens of an earlier `epoch`, and those of `revoked`, are refused; so is everything of a user that is not `enabled`.
    """

    password: str = ""
    admin: bool = False
    home: Annotated[str, Ref("project", "uses")] = ""
    enabled: bool = True
    directory: str = ""
    epoch: int = 0
    revoked: tuple[RevokedToken, ...] = ()
    gone: bool = False


class User(Noun, frozen=True, kw_only=True):
    """Its name is unique in the cloud; `home` is the project it acts in unless it says otherwise."""

    KIND: ClassVar[str] = "user"
    PREFIX: ClassVar[str] = "usr"
    NAMES: ClassVar[Literal["", "project", "cloud"]] = "cloud"
    SECRET: ClassVar[tuple[str, ...]] = ("password", "epoch", "revoked")
    TAGGED: ClassVar[bool] = False
    wanted: Wanted
    assigned: None = None
    seen: None = None
