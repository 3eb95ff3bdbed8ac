"""The context of verbs and loops: the store, the ways to the bodies, and this cloud's few settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pileus.model.addresses import IPV6, OUTSIDE
from pileus.model.bounds import BOUNDS, Bound
from pileus.model.placement import Policy
from pileus.rules.password import PasswordChecks
from pileus.rules.waits import HostWaits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.bus.messages import Ask, Open, Order
    from pileus.model.provider import Access, Provider
    from pileus.store.store import Store


class Hosts(Protocol):
    """The cloud's end of the bus to its hosts."""

    def send(self, host: str, order: Order | Ask) -> None:
        """Send an order, at once or not at all: what is lost is sent again by the loop. Never blocks, never raises."""

    def open(self, host: str, request: Open) -> Access:
        """Have a host open a channel; waits a bounded time. Raises Unavailable, or Fault as the host said."""


@dataclass(frozen=True)
class Place:
    """Where this cloud is, as its faces say it. `loopback_prefix` is the second octet of the instances' 127.x.y.z.

    `floating_cidr` is the outside network: routers and floating addresses have theirs from it. `ipv6_cidr` is the range
    of all IPv6 addresses, whose first is the outside network's gateway. Hosts join at the URL
    `join`, and know the cloud there by `fingerprint` (sha256 of its authority's certificate, hex); empty: they cannot.
    """

    region: str = "us-east-1"
    zone: str = "us-east-1a"
    domain: str = "internal"
    vpc_cidr: str = "172.31.0.0/16"
    subnet_cidr: str = "172.31.0.0/20"
    loopback_prefix: int = 77
    floating_cidr: str = OUTSIDE
    ipv6_cidr: str = IPV6
    join: str = ""
    fingerprint: str = ""


class CaptureFetcher(Protocol):
    """The transport of captures from hosts into the object store."""

    def fetch(self, host: str, image: str, digest: str, size: int, owner: str = "") -> bool:
        """Whether the bytes with this digest are kept; False while they come in.

        `image` is the uuid of the capture, `owner` that of its project.
        Never waits for long. Raises Fault: why they could not be had, the last time.
        """


class NoCaptureFetcher:
    """A process that keeps no objects."""

    def fetch(self, host: str, image: str, digest: str, size: int, owner: str = "") -> bool:
        """Never."""
        del host, image, digest, size, owner
        return False


@dataclass(frozen=True)
class Core:
    """Second argument of every verb. `key` (32 bytes) seals secrets at rest; `policy` is how hosts are chosen.

    `bounds` are those in force, by name, as `pileus quota show --bounds` shows them.
    Whatever asks a host for a channel does so inside `waits.on(host)`.
    """

    store: Store
    hosts: Hosts
    networks: Provider
    key: bytes
    place: Place = field(default_factory=Place)
    policy: Policy = field(default_factory=Policy)
    captures: CaptureFetcher = field(default_factory=NoCaptureFetcher)
    bounds: Mapping[str, Bound] = field(default_factory=lambda: BOUNDS)
    waits: HostWaits = field(default_factory=HostWaits)
    passwords: PasswordChecks = field(default_factory=PasswordChecks)
