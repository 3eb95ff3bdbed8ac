"""Transit gateway: a router between routers, which sends packets on by route tables of its own."""

from __future__ import annotations

from typing import Any, ClassVar

from pileus.model import bounds, tag
from pileus.model.network import Assigned, Seen
from pileus.model.noun import Keeper, Noun, Part


class Wanted(Part, frozen=True, kw_only=True):
    """New attachments are associated with the table `association`, and propagate to `propagation`, where these are on.

    Both are uuids of route tables of the gateway, kept while they are off. `asn` is the number that the gateway has
    for BGP, and `dns_support` whether attached routers share names: both are kept for their users alone.
    """

    description: str = ""
    associates: bool = True
    association: str = ""
    propagates: bool = True
    propagation: str = ""
    asn: int = 64512
    dns_support: bool = True
    ecmp_support: bool = True
    gone: bool = False


class TransitGateway(Noun, frozen=True, kw_only=True):
    """Its order has its route tables, and an end of a link to each router that is attached."""

    KIND: ClassVar[str] = "transitgateway"
    PREFIX: ClassVar[str] = "tgw"
    QUOTA: ClassVar[dict[str, int]] = {"transitgateways": 5}
    KEEPER: ClassVar[Keeper] = "engine"
    DROPPED: ClassVar[dict[str, Any]] = {"description": ""}
    wanted: Wanted
    assigned: Assigned = Assigned()
    seen: Seen = Seen()

    def check(self, before: Noun | None = None) -> None:
        """Of its description as well."""
        super().check(before)
        if before is None or self.wanted.description != before.wanted.description:
            tag.check_text(self.wanted.description, bounds.DESCRIPTION.most, "A transit gateway's description")
