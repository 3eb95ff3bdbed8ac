"""DHCP option set: names, resolvers and time servers that guests of a router's networks are told of."""

from __future__ import annotations

from typing import ClassVar, Literal

from pileus.model.noun import Keeper, Noun, Part

RESOLVER = "resolver"
"""Stands among `servers` for the cloud's own resolver."""

NodeType = Literal["", "1", "2", "4", "8"]


class Wanted(Part, frozen=True, kw_only=True):
    """`domain` is the guests' domain name, `servers` resolve names, `ntp` tell the time; an empty one is not told.

    `netbios` are NetBIOS name servers, and `node_type` says how guests use them (RFC 1001).
    """

    domain: str = ""
    servers: tuple[str, ...] = ()
    ntp: tuple[str, ...] = ()
    netbios: tuple[str, ...] = ()
    node_type: NodeType = ""
    gone: bool = False


class DhcpOptionSet(Noun, frozen=True, kw_only=True):
    """Any number of the project's routers use it; a router without one tells of the cloud's domain and resolver."""

    KIND: ClassVar[str] = "dhcpoptionset"
    PREFIX: ClassVar[str] = "dopt"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("engine",)
    QUOTA: ClassVar[dict[str, int]] = {"dhcpoptionsets": 20}
    wanted: Wanted
    assigned: None = None
    seen: None = None
