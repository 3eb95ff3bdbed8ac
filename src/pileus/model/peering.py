"""Peering: a link between two routers, of one project or of two, over which their route tables may lead."""

from __future__ import annotations

import ipaddress
from typing import Annotated, ClassVar, Literal

from pileus.model.noun import Claim, Keeper, Noun, Part, Ref

LINKS = "240.0.0.0/4"
"""The range of which each link has four addresses: no guest can have one of it."""

LINKS_MOST = ipaddress.IPv4Network(LINKS).num_addresses // 4

Status = Literal["pending", "active", "rejected", "failed"]
Side = Literal["requester", "accepter"]


def link_address(link: int, side: Side) -> str:
    """The address of one end of the link with this number."""
    return str(ipaddress.IPv4Network(LINKS)[4 * link + (1 if side == "requester" else 2)])


class Wanted(Part, frozen=True, kw_only=True):
    """`router` asks for a link with `peer`, whose project is `peer_project`; both are empty in one that failed.

    `asked` and `account` are the public id and the account number by which the request named the peer.
    """

    router: Annotated[str, Ref("router", "uses")]
    peer: Annotated[str, Ref("router", "uses")] = ""
    peer_project: str = ""
    asked: str = ""
    account: str = ""
    status: Status = "pending"
    gone: bool = False


class Assigned(Part, frozen=True, kw_only=True):
    """`link` is the number of its addresses, a claim; 0 until it is active."""

    link: int = 0


class Peering(Noun, frozen=True, kw_only=True):
    """A pair of routers has one at most. Its body is a part of both routers'."""

    KIND: ClassVar[str] = "peering"
    PREFIX: ClassVar[str] = "pcx"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("engine",)
    QUOTA: ClassVar[dict[str, int]] = {"peerings": 50}
    wanted: Wanted
    assigned: Assigned = Assigned()
    seen: None = None

    def claims(self) -> tuple[Claim, ...]:
        """The pair of its routers, and its link."""
        pair = "/".join(sorted((self.wanted.router, self.wanted.peer)))
        link = (("peering-link", str(self.assigned.link)),) if self.assigned.link else ()
        return ((self.KIND, pair), *link) if self.wanted.peer else link

    def carriers(self) -> tuple[tuple[str, str], ...]:
        """Its routers."""
        return (("router", self.wanted.router), ("router", self.wanted.peer))

    def owner(self, kind: str) -> str:
        """The router that asked for it, whose record has it."""
        return self.wanted.router if kind == "router" else ""

    def parties(self) -> tuple[str, ...]:
        """The project of the peer, which a request that failed never reached."""
        return (self.wanted.peer_project,) if self.wanted.peer_project else ()

    @property
    def is_active(self) -> bool:
        """Whether packets pass it."""
        return self.wanted.status == "active" and self.gone is None and not self.wanted.gone

    def side(self, router: str) -> Side:
        """The end of the link that this router (by uuid) is."""
        return "requester" if router == self.wanted.router else "accepter"

    def address(self, side: Side) -> str:
        """The address of one end of the link."""
        return link_address(self.assigned.link, side)
