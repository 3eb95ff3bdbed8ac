"""Floating IP: an address of the outside network that a project keeps, and may give to one of its ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pileus.model.network import Seen
from pileus.model.noun import Claim, Keeper, Noun, Part, Ref

if TYPE_CHECKING:
    from pileus.model.port import Port


class Wanted(Part, frozen=True, kw_only=True):
    """`port` has it, None while nobody does; `association` is Amazon's id for that, a new one each time.

    It stands for the port's secondary address `private`, or for its primary one if that is empty.
    """

    port: Annotated[str | None, Ref("port", "uses")] = None
    association: str = ""
    private: str = ""
    gone: bool = False


class Assigned(Part, frozen=True, kw_only=True):
    """`address` is a claim: unique on the outside network; `content` as a network's."""

    address: str = ""
    content: str = ""


class FloatingIp(Noun, frozen=True, kw_only=True):
    """EC2's Elastic IP address."""

    KIND: ClassVar[str] = "floatingip"
    PREFIX: ClassVar[str] = "eipalloc"
    QUOTA: ClassVar[dict[str, int]] = {"floatingips": 10}
    KEEPER: ClassVar[Keeper] = "engine"
    wanted: Wanted
    assigned: Assigned = Assigned()
    seen: Seen = Seen()

    def private_address(self, port: Port) -> str:
        """The private address of the port for which it stands."""
        return self.wanted.private or port.assigned.address

    def claims(self) -> tuple[Claim, ...]:
        """Its address on the outside network."""
        return (("floating", self.assigned.address),) if self.assigned.address else ()
