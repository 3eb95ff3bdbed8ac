"""Router: joins networks; with its address range it is what EC2 calls a VPC."""

from __future__ import annotations

from typing import ClassVar

from pileus.model.errors import Fault
from pileus.model.network import Seen
from pileus.model.noun import Noun, Part

NO_WAY_OUT = Fault(
    "OutsideExhausted",
    "the outside network has no free address for this router, so its guests reach nothing outside: release a floating "
    "address, or start the cloud with a larger PILEUS_FLOATING_CIDR",
)
"""Shown by a router for which the outside network has no address left; everything else of it works."""


class Wanted(Part, frozen=True, kw_only=True):
    """`cidr` is the range that its subnets are cut from; `default` marks the project's own first router."""

    cidr: str = ""
    default: bool = False
    gone: bool = False


class Assigned(Part, frozen=True, kw_only=True):
    """`address` on the outside network, a claim, empty when that had none left; `content` as a network's."""

    address: str = ""
    content: str = ""


class Router(Noun, frozen=True, kw_only=True):
    """Routes between its networks' subnets."""

    KIND: ClassVar[str] = "router"
    PREFIX: ClassVar[str] = "vpc"
    wanted: Wanted
    assigned: Assigned = Assigned()
    seen: Seen = Seen()
