"""Router: joins networks; with its address range it is what EC2 calls a VPC."""

from __future__ import annotations

from typing import ClassVar

from pileus.model.network import Assigned, Seen
from pileus.model.noun import Noun, Part


class Wanted(Part, frozen=True, kw_only=True):
    """`cidr` is the range that its subnets are cut from; `default` marks the project's own first router."""

    cidr: str = ""
    default: bool = False
    gone: bool = False


class Router(Noun, frozen=True, kw_only=True):
    """Routes between its networks' subnets."""

    KIND: ClassVar[str] = "router"
    PREFIX: ClassVar[str] = "vpc"
    wanted: Wanted
    assigned: Assigned = Assigned()
    seen: Seen = Seen()
