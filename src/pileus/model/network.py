"""Router, network and subnet have Neutron's meaning; a network is one broadcast domain."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from pileus.model.noun import NEVER, Keeper, Noun, Part, Ref, Revision, SeenFault


class Seen(Part, frozen=True, kw_only=True):
    """The network engine's state of a noun: the last revision it was given. All nouns in the engine share this."""

    revision: Revision = NEVER
    present: bool = False
    fault: SeenFault | None = None


class Assigned(Part, frozen=True, kw_only=True):
    """`content` is the digest of the spec that was last given a revision."""

    content: str = ""


class Wanted(Part, frozen=True, kw_only=True):
    """A network belongs to the router that its subnets' gateways are on; without one nothing leads out of it.

    One that is not `lasting` goes with its last subnet.
    """

    router: Annotated[str | None, Ref("router", "owned")] = None
    lasting: bool = False
    mtu: int = 1442
    gone: bool = False


class Network(Noun, frozen=True, kw_only=True):
    """One broadcast domain, apart from every other one; projects may use the same addresses."""

    KIND: ClassVar[str] = "network"
    PREFIX: ClassVar[str] = "net"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("host",)
    QUOTA: ClassVar[dict[str, int]] = {"networks": 20}
    KEEPER: ClassVar[Keeper] = "engine"
    RENAMED: ClassVar[bool] = True
    wanted: Wanted
    assigned: Assigned = Assigned()
    seen: Seen = Seen()

    def as_context(self) -> Noun:
        """Without the digest of its order."""
        return msgspec.structs.replace(self, tags={}, assigned=Assigned())
