"""Subnet: a range of addresses on a network."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pileus.model.noun import Noun, Part, Ref


class Wanted(Part, frozen=True, kw_only=True):
    """The gateway is the range's first address, the metadata localport its second; the last is the broadcast."""

    network: Annotated[str, Ref("network", "owned")]
    cidr: str
    zone: str = ""
    default: bool = False
    gone: bool = False


class Subnet(Noun, frozen=True, kw_only=True):
    """Every port takes its address from one."""

    KIND: ClassVar[str] = "subnet"
    PREFIX: ClassVar[str] = "subnet"
    wanted: Wanted
    assigned: None = None
    seen: None = None
