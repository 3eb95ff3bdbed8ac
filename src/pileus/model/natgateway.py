"""NAT gateway: a floating address by which guests of other subnets are seen outside, where a route table names it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pileus.model.noun import Claim, Keeper, Noun, Part, Ref


class Wanted(Part, frozen=True, kw_only=True):
    """It stands in `subnet`, and is for `router`. `association` is Amazon's id for its having the address."""

    router: Annotated[str, Ref("router", "owned")]
    subnet: Annotated[str, Ref("subnet", "uses")]
    floatingip: Annotated[str, Ref("floatingip", "uses")]
    association: str = ""
    gone: bool = False


class Assigned(Part, frozen=True, kw_only=True):
    """`address` is a claim in its subnet."""

    address: str = ""


class NatGateway(Noun, frozen=True, kw_only=True):
    """Its body is a part of the router's."""

    KIND: ClassVar[str] = "natgateway"
    PREFIX: ClassVar[str] = "nat"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("engine",)
    QUOTA: ClassVar[dict[str, int]] = {"natgateways": 5}
    wanted: Wanted
    assigned: Assigned = Assigned()
    seen: None = None

    def claims(self) -> tuple[Claim, ...]:
        """Its address in its subnet, and the floating address."""
        return (f"subnet:{self.wanted.subnet}", self.assigned.address), (self.KIND, self.wanted.floatingip)

    def carriers(self) -> tuple[tuple[str, str], ...]:
        """Its router."""
        return (("router", self.wanted.router),)
