"""Port: an address on a network, with a MAC, in security groups."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from pileus.model import bounds
from pileus.model.errors import QuotaExceeded
from pileus.model.network import Seen
from pileus.model.noun import NEVER, Claim, Keeper, Noun, Part, Ref, Revision

IPV6_POOLS = "subnet6:"
"""The beginning of the names of pools of IPv6 addresses."""


def ipv6_pool(subnet: str) -> str:
    """The pool of claims of the IPv6 addresses in the subnet with this uuid."""
    return f"{IPV6_POOLS}{subnet}"


class Wanted(Part, frozen=True, kw_only=True):
    """`groups` are uuids; a port is in its groups and in the drop group, nowhere else.

    `map_public`: without a floating address, its instance's loopback address is its public one. `forwards`: its guest
    may send from, and be sent to, addresses that are not the port's. It goes with its instance if it is to be deleted
    on termination. `network_tags` are words by which rules of groups select ports. `attachment` is Amazon's id for its
    being at the instance, and `attached` the time since it is; both are empty for a port that was made with its
    instance.
    """

    network: Annotated[str, Ref("network", "uses")]
    subnet: Annotated[str, Ref("subnet", "uses")]
    instance: Annotated[str | None, Ref("instance", "owned")] = None
    groups: Annotated[tuple[str, ...], Ref("securitygroup", "uses")] = ()
    index: int = 0
    map_public: bool = True
    forwards: bool = False
    description: str = ""
    delete_on_termination: bool = True
    attachment: str = ""
    attached: float = 0.0
    network_tags: tuple[str, ...] = ()
    gone: bool = False


class Assigned(Part, frozen=True, kw_only=True):
    """`mac` and `address` are claims: unique in the cloud and in the subnet; `content` as a network's.

    `host` and `loopback` are those of its instance, as the engine's record of the port says: they tell whose it is once
    the store was lost, until that host is heard. Empty where the instance has a row, and where they are not known.
    `secondaries` are further addresses, each a claim as well, and `ipv6` those of IPv6. `unconfirmed` is the uuid of
    the instance that the port came to or left, until its host has said so of the order with the revision `until`, or
    the instance is no more.
    """

    mac: str = ""
    address: str = ""
    content: str = ""
    host: str = ""
    loopback: str = ""
    secondaries: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()
    unconfirmed: str = ""
    until: Revision = NEVER

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses of IPv4, the primary one first."""
        return (self.address, *self.secondaries)


class Port(Noun, frozen=True, kw_only=True):
    """EC2's network interface."""

    KIND: ClassVar[str] = "port"
    PREFIX: ClassVar[str] = "eni"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("host",)
    QUOTA: ClassVar[dict[str, int]] = {"ports": 100}
    KEEPER: ClassVar[Keeper] = "engine"
    DROPPED: ClassVar[dict[str, Any]] = {"description": ""}
    RENAMED: ClassVar[bool] = True
    wanted: Wanted
    assigned: Assigned = Assigned()
    seen: Seen = Seen()

    def carriers(self) -> tuple[tuple[str, str], ...]:
        """Its instance."""
        return (("instance", self.wanted.instance),) if self.wanted.instance else ()

    def yields(self) -> bool:
        """One that is to go needs its address no more."""
        return bool(self.wanted.gone)

    def unheard(self) -> str:
        """The host of its instance, while no row has that."""
        return self.assigned.host

    def claims(self) -> tuple[Claim, ...]:
        """Its addresses in its subnet, its MAC, and the loopback address of an instance that no row has."""
        pool = f"subnet:{self.wanted.subnet}"
        ipv6 = ((ipv6_pool(self.wanted.subnet), address) for address in self.assigned.ipv6)
        claims = (*((pool, address) for address in self.assigned.addresses), *ipv6, ("mac", self.assigned.mac))
        return (*claims, ("loopback", self.assigned.loopback)) if self.assigned.loopback else claims

    def recorded(self) -> Noun:
        """Without the fields that a host's answer changes: each change would be an order."""
        assigned = msgspec.structs.replace(self.assigned, content="", unconfirmed="", until=NEVER)
        return msgspec.structs.replace(self, assigned=assigned)

    def check(self, before: Noun | None = None) -> None:
        """Of the number of its groups and addresses as well."""
        super().check(before)
        if max(len(self.assigned.addresses), len(self.assigned.ipv6)) > bounds.ADDRESSES.most:
            text = f"A port has at most {bounds.ADDRESSES.most} private addresses."
            raise QuotaExceeded(text, noun=self.KIND, reason="addresses")
        changed = before is None or self.wanted.groups != before.wanted.groups
        if changed and len(self.wanted.groups) > bounds.GROUPS.most:
            text = f"A port is in at most {bounds.GROUPS.most} security groups."
            raise QuotaExceeded(text, noun=self.KIND, reason="groups")
