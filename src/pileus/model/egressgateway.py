"""Egress-only gateway: the way out by IPv6 for guests that nobody outside may open connections to."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pileus.model.noun import Keeper, Noun, Part, Ref


class Wanted(Part, frozen=True, kw_only=True):
    """It is for `router`, from the beginning to its end."""

    router: Annotated[str, Ref("router", "owned")]
    gone: bool = False


class EgressGateway(Noun, frozen=True, kw_only=True):
    """Its body is a part of the router's, and of the networks' whose subnets lead there."""

    KIND: ClassVar[str] = "egressgateway"
    PREFIX: ClassVar[str] = "eigw"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("engine",)
    QUOTA: ClassVar[dict[str, int]] = {"egressgateways": 5}
    wanted: Wanted
    assigned: None = None
    seen: None = None

    def carriers(self) -> tuple[tuple[str, str], ...]:
        """Its router."""
        return (("router", self.wanted.router),)
