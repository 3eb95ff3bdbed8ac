"""User: a person or a program that may act in projects."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pileus.model.noun import Noun, Part, Ref


class Wanted(Part, frozen=True, kw_only=True):
    """`password` is an argon2 hash; `admin` may act on every project."""

    password: str = ""
    admin: bool = False
    home: Annotated[str, Ref("project", "uses")] = ""
    gone: bool = False


class User(Noun, frozen=True, kw_only=True):
    """Its name is unique in the cloud; `home` is the project it acts in unless it says otherwise."""

    KIND: ClassVar[str] = "user"
    PREFIX: ClassVar[str] = "usr"
    NAMES: ClassVar[Literal["", "project", "cloud"]] = "cloud"
    SECRET: ClassVar[tuple[str, ...]] = ("password",)
    TAGGED: ClassVar[bool] = False
    wanted: Wanted
    assigned: None = None
    seen: None = None
