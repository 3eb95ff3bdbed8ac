"""Project: who owns things, and how much of them."""

from __future__ import annotations

from typing import ClassVar

from pileus.model.noun import Noun, Part

DEFAULT_QUOTA: dict[str, int] = {
    "instances": 20,
    "vcpus": 40,
    "memory": 32768,
    "disk": 400,
    "securitygroups": 100,
    "keypairs": 100,
    "floatingips": 10,
}
"""What a project may use when nothing else was said."""


class Wanted(Part, frozen=True, kw_only=True):
    """`account_id` has 12 digits, `canonical_id` 64 hex digits. `quota` maps resources to limits; empty: no limits.

    Resources: those of `DEFAULT_QUOTA`, whose limit holds for one that is not named; memory in MiB, disk in GiB.
    """

    account_id: str
    canonical_id: str
    quota: dict[str, int] = {}
    gone: bool = False

    def limit(self, resource: str) -> int | None:
        """How much of a resource there may be; None: any amount. A quota may be older than the resource."""
        return self.quota.get(resource, DEFAULT_QUOTA.get(resource)) if self.quota else None


class Project(Noun, frozen=True, kw_only=True):
    """An AWS account, an OpenStack project, a GCE project."""

    KIND: ClassVar[str] = "project"
    PREFIX: ClassVar[str] = "prj"
    wanted: Wanted
    assigned: None = None
    seen: None = None
