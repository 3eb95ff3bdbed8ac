"""Project: who owns things, and how much of them."""

from __future__ import annotations

from typing import ClassVar

from pileus.model.noun import Noun, Part


class Wanted(Part, frozen=True, kw_only=True):
    """`account_id` has 12 digits, `canonical_id` 64 hex digits. `quota` maps a resource to its limit; absent: none.

    Resources: instances, vcpus, memory (MiB), disk (GiB), securitygroups, keypairs,
    floatingips.
    """

    account_id: str
    canonical_id: str
    quota: dict[str, int] = {}
    gone: bool = False


class Project(Noun, frozen=True, kw_only=True):
    """An AWS account, an OpenStack project, a GCE project."""

    KIND: ClassVar[str] = "project"
    PREFIX: ClassVar[str] = "prj"
    wanted: Wanted
    assigned: None = None
    seen: None = None


DEFAULT_QUOTA: dict[str, int] = {
    "instances": 20,
    "vcpus": 40,
    "memory": 32768,
    "disk": 400,
    "securitygroups": 100,
    "keypairs": 100,
    "floatingips": 10,
}
