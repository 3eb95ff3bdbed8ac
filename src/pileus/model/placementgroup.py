"""PlacementGroup: instances that are to be on one host, or on different ones."""

from __future__ import annotations

from typing import ClassVar, Literal

from pileus.model.noun import Keeper, Noun, Part


class Wanted(Part, frozen=True, kw_only=True):
    """`soft` policies hold as far as there is room; the others refuse a launch that cannot be placed so."""

    policy: Literal["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"] = "soft-affinity"
    gone: bool = False


class PlacementGroup(Noun, frozen=True, kw_only=True):
    """Its name is unique in its project."""

    KIND: ClassVar[str] = "placementgroup"
    PREFIX: ClassVar[str] = "pg"
    NAMES: ClassVar[Literal["", "project", "cloud"]] = "project"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("host",)
    QUOTA: ClassVar[dict[str, int]] = {"placementgroups": 50}
    wanted: Wanted = Wanted()
    assigned: None = None
    seen: None = None
