"""Project: who owns things, and how much of them."""

from __future__ import annotations

from typing import ClassVar

from pileus.model.noun import Claim, Noun, Part

DEFAULT_QUOTA: dict[str, int] = {
    "instances": 20,
    "vcpus": 40,
    "memory": 32768,
    "disk": 400,
    "volumes": 100,
    "ports": 100,
    "images": 50,
    "imagespace": 200,
    "keypairs": 100,
    "placementgroups": 50,
    "securitygroups": 100,
    "rules": 1000,
    "routers": 5,
    "networks": 20,
    "subnets": 20,
    "floatingips": 10,
    "credentials": 100,
}
"""The amounts that a project may use by default, by resource: memory in MiB, disk and imagespace in GiB.

A noun's resource is its kind in the plural; `Noun.amounts` says what each noun takes.
"""

UNLIMITED = -1
"""The limit of a resource of which a project may use any amount."""


class Wanted(Part, frozen=True, kw_only=True):
    """`account_id` has 12 digits, `canonical_id` 64 hex digits. `quota` maps resources to limits; empty: no limits.

    Resources: those of `DEFAULT_QUOTA`, whose limit holds for one that is not named; `UNLIMITED`: any amount.
    """

    account_id: str
    canonical_id: str
    quota: dict[str, int] = {}
    gone: bool = False

    def limit(self, resource: str) -> int | None:
        """How much of a resource there may be; None: any amount. A quota may be older than the resource."""
        limit = self.quota.get(resource, DEFAULT_QUOTA.get(resource)) if self.quota else None
        return None if limit == UNLIMITED else limit


class Project(Noun, frozen=True, kw_only=True):
    """An AWS account, an OpenStack project, a GCE project."""

    KIND: ClassVar[str] = "project"
    PREFIX: ClassVar[str] = "prj"
    TAGGED: ClassVar[bool] = False
    QUOTED: ClassVar[bool] = False
    wanted: Wanted
    assigned: None = None
    seen: None = None

    def claims(self) -> tuple[Claim, ...]:
        """Its name, and the number of its account."""
        return (("project", self.name), ("account", self.wanted.account_id))
