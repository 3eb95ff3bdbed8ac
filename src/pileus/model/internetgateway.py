"""Internet gateway: the way from a router's networks to the outside network, where a route table names it."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from pileus.model.noun import Claim, Keeper, Noun, Part, Ref


class Wanted(Part, frozen=True, kw_only=True):
    """`router` is the router that the gateway is attached to; None while it is detached."""

    router: Annotated[str | None, Ref("router", "uses")] = None
    gone: bool = False


class InternetGateway(Noun, frozen=True, kw_only=True):
    """A router has one at most. Its body is a part of the router's."""

    KIND: ClassVar[str] = "internetgateway"
    PREFIX: ClassVar[str] = "igw"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("engine",)
    QUOTA: ClassVar[dict[str, int]] = {"internetgateways": 5}
    wanted: Wanted = Wanted()
    assigned: None = None
    seen: None = None

    def claims(self) -> tuple[Claim, ...]:
        """Its router."""
        return (("internetgateway", self.wanted.router),) if self.wanted.router else ()

    def owner(self, kind: str) -> str:
        """Its router, whose record has it."""
        return self.wanted.router or "" if kind == "router" else ""

    def uncarried(self) -> Wanted:
        """Detached, as its owner is the router that it is attached to: it may have been deleted as well."""
        return msgspec.structs.replace(self.wanted, router=None)

    def carriers(self) -> tuple[tuple[str, str], ...]:
        """Its router."""
        return (("router", self.wanted.router),) if self.wanted.router else ()
