"""The bodies of the paths of networking: nouns to make, and their changes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pileus.model import bounds
from pileus.model.dhcpoptionset import NodeType
from pileus.model.networkacl import EVERYTHING
from pileus.model.prefixlist import PrefixListEntry
from pileus.model.securitygroup import Action, Protocol
from pileus.model.sizes import Description, Ident, Idents, Name, Tags
from pileus.model.subnet import Ipv6Mode
from pileus.rules.ipv6 import AUTO
from pileus.rules.port import NewPort


class NewRouter(msgspec.Struct, frozen=True, kw_only=True):
    """A router to make, for subnets in the range `cidr`, and in a range of the cloud's IPv6 addresses with `ipv6`."""

    cidr: Ident
    ipv6: bool = False
    tags: Tags = {}


class RouterChange(msgspec.Struct, frozen=True, kw_only=True):
    """Changes to a router; null leaves a part as it is. `dhcpoptionset` "": the cloud's own domain and resolver."""

    dns_support: bool | None = None
    dns_hostnames: bool | None = None
    dhcpoptionset: Ident | None = None


class AddressRange(msgspec.Struct, frozen=True, kw_only=True):
    """A range of addresses of a router, or the destination of a route."""

    cidr: Ident


class NewNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """A network to make; without a router nothing leads out of it."""

    name: Name = ""
    router: Ident = ""
    tags: Tags = {}


class OfRouter(msgspec.Struct, frozen=True, kw_only=True):
    """The router that is meant, and the tags of a noun that is made for it."""

    router: Ident
    tags: Tags = {}


class TheRouter(msgspec.Struct, frozen=True, kw_only=True):
    """The router that is meant."""

    router: Ident


class TheSubnet(msgspec.Struct, frozen=True, kw_only=True):
    """The subnet that is meant."""

    subnet: Ident


class NewSubnet(msgspec.Struct, frozen=True, kw_only=True):
    """A subnet to make on a network, or on a router with a network of its own.

    `ipv6` is a /64 of its router's, or `auto` for the lowest free one; guests come to their addresses by `ipv6_mode`.
    """

    cidr: Ident
    network: Ident = ""
    router: Ident = ""
    zone: Ident = ""
    ipv6: Ident = ""
    ipv6_mode: Ipv6Mode = "dhcpv6"
    tags: Tags = {}


class SubnetChange(msgspec.Struct, frozen=True, kw_only=True):
    """Changes to a subnet; null leaves a part as it is.

    `map_public`: instances of later launches have public addresses. `assign_ipv6`: new ports have an address of IPv6.
    """

    map_public: bool | None = None
    assign_ipv6: bool | None = None


class Ipv6Range(msgspec.Struct, frozen=True, kw_only=True):
    """The range of IPv6 for a subnet, a /64 of its router's; `auto` for the lowest free one."""

    cidr: Ident = AUTO


class NewInterface(NewPort, frozen=True, kw_only=True):
    """A port to make, with tags."""

    tags: Tags = {}


class PortAttachment(msgspec.Struct, frozen=True, kw_only=True):
    """The instance that a port is given to, and the device index there."""

    instance: Ident
    index: int = 1


class NewGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A security group to make for a router (by default the project's own), or for all networks of the project."""

    name: Name
    description: Description = ""
    router: Ident = ""
    of_project: bool = False
    tags: Tags = {}


class NewRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule to add; exactly one of `cidr`, `group`, `prefixlist` and `tag` is its other side."""

    direction: Literal["ingress", "egress"] = "ingress"
    action: Action = "allow"
    priority: int | None = None
    protocol: Protocol = "all"
    number: int | None = None
    port_min: int | None = None
    port_max: int | None = None
    cidr: Ident = ""
    group: Ident = ""
    prefixlist: Ident = ""
    tag: Ident = ""
    targets: Idents = ()
    description: Description = ""


class RuleRemoval(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of rules to take away."""

    rules: Idents


class NewNatGateway(msgspec.Struct, frozen=True, kw_only=True):
    """A NAT gateway to make in a subnet, with a free floating address (by id) and an address of the subnet."""

    subnet: Ident
    floatingip: Ident
    address: Ident = ""
    tags: Tags = {}


RouteTarget = Literal["egressgateway", "instance", "internetgateway", "natgateway", "peering", "port", "transitgateway"]
"""The kinds of nouns that routes lead to."""


class RouteChange(msgspec.Struct, frozen=True, kw_only=True):
    """A route to `cidr`, a range or a prefix list's uuid, that leads to the noun `to` of kind `target`.

    It takes the place of the table's route to that range if it is to `replace` one.
    """

    cidr: Ident
    target: RouteTarget
    to: Ident
    replace: bool = False


class NewEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a network ACL; it takes the place of the one with its number if it is to `replace` one."""

    number: int
    egress: bool = False
    action: Literal["allow", "deny"] = "allow"
    protocol: int = EVERYTHING
    cidr: Ident = "0.0.0.0/0"
    port_min: int | None = None
    port_max: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    replace: bool = False


class EntryRemoval(msgspec.Struct, frozen=True, kw_only=True):
    """The number and the direction of an entry to take away."""

    number: int
    egress: bool = False


class NewPeering(msgspec.Struct, frozen=True, kw_only=True):
    """A link to ask for with the router of id `peer`, of the project with number `account` (by default the own one)."""

    router: Ident
    peer: Ident
    account: Ident = ""
    tags: Tags = {}


class NewOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A set of DHCP options to make; the server `resolver` is the cloud's own."""

    domain: Name = ""
    servers: Idents = ()
    ntp: Idents = ()
    netbios: Idents = ()
    node_type: NodeType = ""
    tags: Tags = {}


class NewPrefixList(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix list to make; rules and routes count as `max_entries` of their kind."""

    name: Name
    max_entries: int
    entries: Annotated[tuple[PrefixListEntry, ...], Meta(max_length=bounds.LISTED.most)] = ()
    tags: Tags = {}


class TaggedNoun(msgspec.Struct, frozen=True, kw_only=True):
    """The tags of a noun to make that has nothing else."""

    tags: Tags = {}


class NewPlacementGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A placement group to make; a `soft` policy holds as far as there is room."""

    name: Name
    policy: Literal["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"] = "soft-affinity"
    tags: Tags = {}


class NewTransitGateway(msgspec.Struct, frozen=True, kw_only=True):
    """A transit gateway to make, with a table that new attachments are associated with and propagate to."""

    description: Description = ""
    tags: Tags = {}


class NewAttachment(msgspec.Struct, frozen=True, kw_only=True):
    """A router to attach to a transit gateway, for these of its subnets."""

    transitgateway: Ident
    router: Ident
    subnets: Idents
    tags: Tags = {}


class NewTransitTable(msgspec.Struct, frozen=True, kw_only=True):
    """A route table to make for a transit gateway."""

    transitgateway: Ident
    tags: Tags = {}


class TheAttachment(msgspec.Struct, frozen=True, kw_only=True):
    """The attachment of a router that is meant."""

    attachment: Ident


class TransitRouteChange(msgspec.Struct, frozen=True, kw_only=True):
    """A route of a transit gateway to `cidr`: through an attachment, or without one nowhere."""

    cidr: Ident
    attachment: Ident = ""
    replace: bool = False
