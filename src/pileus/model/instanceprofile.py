"""InstanceProfile: the role that instances act as, by credentials that their metadata service gives out."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from pileus.model.noun import Keeper, Noun, Part, Ref


class Wanted(Part, frozen=True, kw_only=True):
    """`role` is the uuid of a service user of the same project; None while the profile has none."""

    role: Annotated[str | None, Ref("user", "uses")] = None
    gone: bool = False


class InstanceProfile(Noun, frozen=True, kw_only=True):
    """Its name is unique in its project."""

    KIND: ClassVar[str] = "instanceprofile"
    PREFIX: ClassVar[str] = "iip"
    NAMES: ClassVar[Literal["", "project", "cloud"]] = "project"
    QUOTA: ClassVar[dict[str, int]] = {"instanceprofiles": 100}
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("host",)
    TAGGED: ClassVar[bool] = False
    wanted: Wanted = Wanted()
    assigned: None = None
    seen: None = None

    def as_context(self) -> Noun:
        """Without its role: users are no part of records."""
        return msgspec.structs.replace(self, wanted=Wanted())
