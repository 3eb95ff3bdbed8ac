"""Router attachment: a link between a router and a transit gateway."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pileus.model.noun import Claim, Keeper, Noun, Part, Ref
from pileus.model.peering import Side, link_address


class Wanted(Part, frozen=True, kw_only=True):
    """`subnets` are those of the router for which the attachment stands, at most one of each zone."""

    gateway: Annotated[str, Ref("transitgateway", "owned")]
    router: Annotated[str, Ref("router", "uses")]
    subnets: Annotated[tuple[str, ...], Ref("subnet", "uses")] = ()
    dns_support: bool = True
    gone: bool = False


class Assigned(Part, frozen=True, kw_only=True):
    """`link` is the number of its addresses, a claim that peerings share."""

    link: int = 0


class RouterAttachment(Noun, frozen=True, kw_only=True):
    """A router has one to a transit gateway at most. Its body is a part of both."""

    KIND: ClassVar[str] = "routerattachment"
    PREFIX: ClassVar[str] = "tgw-attach"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("engine",)
    QUOTA: ClassVar[dict[str, int]] = {"routerattachments": 50}
    wanted: Wanted
    assigned: Assigned = Assigned()
    seen: None = None

    def claims(self) -> tuple[Claim, ...]:
        """The pair of its ends, and its link."""
        pair = f"{self.wanted.gateway}/{self.wanted.router}"
        link = (("peering-link", str(self.assigned.link)),) if self.assigned.link else ()
        return ((self.KIND, pair), *link)

    def carriers(self) -> tuple[tuple[str, str], ...]:
        """Its transit gateway."""
        return (("transitgateway", self.wanted.gateway),)

    def address(self, side: Side) -> str:
        """The address of one end of the link: the router's is the requester's."""
        return link_address(self.assigned.link, side)
