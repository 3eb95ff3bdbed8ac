"""NetworkRoute table: where packets go from the subnets that are associated with it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pileus.model import bounds
from pileus.model.errors import QuotaExceeded
from pileus.model.noun import Claim, Keeper, Noun, Part, Ref

Target = Literal["egressgateway", "internetgateway", "natgateway", "peering", "port", "transitgateway"]


class NetworkRoute(Part, frozen=True, kw_only=True):
    """Packets to `cidr` go to the noun `uuid` of kind `target`, or nowhere once it is gone or detached.

    `instance` is the uuid of a port's instance, where the route was made for that. A route with a `prefixlist` (a
    uuid) is for its entries in the place of `cidr`, and counts as `max_entries` routes.
    """

    cidr: str = ""
    prefixlist: str = ""
    max_entries: int = 0
    target: Target
    uuid: str
    instance: str = ""

    @property
    def destination(self) -> str:
        """The range, or the uuid of the prefix list; a table has one route to each at most."""
        return self.prefixlist or self.cidr

    def count(self) -> int:
        """The number of routes that it counts as."""
        return max(self.max_entries, 1)


class SubnetAssociation(Part, frozen=True, kw_only=True):
    """`id` is Amazon's for the association of the subnet (a uuid) with the table, a new one each time."""

    id: str
    subnet: str


class Wanted(Part, frozen=True, kw_only=True):
    """The `main` table is for all subnets of the router that no other table names, under the association id `main`.

    `prefixlists` repeats the lists that routes name, so that the store knows who refers to whom.
    """

    router: Annotated[str, Ref("router", "owned")]
    main: str = ""
    routes: tuple[NetworkRoute, ...] = ()
    prefixlists: Annotated[tuple[str, ...], Ref("prefixlist", "uses")] = ()
    associations: tuple[SubnetAssociation, ...] = ()
    gone: bool = False


class RouteTable(Noun, frozen=True, kw_only=True):
    """Subnets of one router reach each other whatever their tables say. Its body is a part of the router's."""

    KIND: ClassVar[str] = "routetable"
    PREFIX: ClassVar[str] = "rtb"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("engine",)
    QUOTA: ClassVar[dict[str, int]] = {"routetables": 50}
    wanted: Wanted
    assigned: None = None
    seen: None = None

    def claims(self) -> tuple[Claim, ...]:
        """Its subnets, each of which has one table of its own at most; and its router, if it is the main one."""
        subnets = tuple((self.KIND, association.subnet) for association in self.wanted.associations)
        return (*subnets, (self.KIND, self.wanted.router)) if self.wanted.main else subnets

    def carriers(self) -> tuple[tuple[str, str], ...]:
        """Its router."""
        return (("router", self.wanted.router),)

    def check(self, before: Noun | None = None) -> None:
        """Of the number of its routes as well."""
        super().check(before)
        changed = before is None or self.wanted.routes != before.wanted.routes
        if changed and sum(route.count() for route in self.wanted.routes) > bounds.ROUTES.most:
            text = f"A route table has at most {bounds.ROUTES.most} routes."
            raise QuotaExceeded(text, noun=self.KIND, reason="routes")

    def leads_to(self, uuid: str) -> bool:
        """Whether a route leads to the noun with this uuid."""
        return any(uuid in (route.uuid, route.instance) for route in self.wanted.routes)
