"""Specs: closed, versioned orders. A body is made from its spec alone; nothing in it has to be looked up.

Specs carry public ids, names, tags and owner too, so that a lost store can be rebuilt from them. No bytes: images are
named by digest.
"""

from __future__ import annotations

import hashlib
from typing import ClassVar, Literal

import msgspec

from pileus.model.allowance import Allowance
from pileus.model.injection import InjectedFile
from pileus.model.instance import Power
from pileus.model.networkacl import AclEntry
from pileus.model.noun import NEVER, Revision
from pileus.model.peering import Side
from pileus.model.securitygroup import Rule
from pileus.model.subnet import Ipv6Mode

VERSION = 1


class Spec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """The fields of all specs. `revision` orders the specs of one uuid; it is not part of the content digest.

    `record` holds the rows that it was made from (`pileus.model.record`): no body needs it, a lost store does.
    """

    KIND: ClassVar[str] = ""
    uuid: str
    revision: Revision = NEVER
    version: int = VERSION
    name: str = ""
    project: str = ""
    tags: dict[str, str] = {}
    record: str = ""

    @property
    def backend(self) -> str:
        """The backend that makes the body; a host has workers for each backend."""
        return self.KIND


class DiskSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One disk: `size` GiB; `digest` (sha256 hex) and `format` of the image it starts as, empty for a blank one.

    Format `tar` is a container's: its root file system, of which the disk holds what differs from the image.
    """

    uuid: str
    ec2_id: str
    size: int
    digest: str = ""
    format: str = "qcow2"
    device: str = "/dev/vda"


class Ingress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """TCP ports that a port's groups admit from `cidr`, for the listener on the loopback address."""

    cidr: str
    port_min: int
    port_max: int


class NicSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One port as its host needs it. `address` with prefix length of `cidr`; `localport` is the metadata address.

    `network` is a uuid: the metadata service and the listeners live in that network's namespace on the host. `public`
    is the address that EC2's API shows as the port's public one, empty for none. `secondaries` are further addresses of
    the port, which its guest sets by itself. `ipv6` are those of IPv6, of the range `ipv6_cidr`.
    """

    uuid: str
    ec2_id: str
    mac: str
    address: str
    cidr: str
    gateway: str
    localport: str
    localport_mac: str
    network: str
    subnet_id: str = ""
    vpc_id: str = ""
    vpc_cidr: str = ""
    mtu: int = 1442
    index: int = 0
    public: str = ""
    groups: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()
    ingress: tuple[Ingress, ...] = ()
    secondaries: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()
    ipv6_cidr: str = ""
    vpc_ipv6_cidrs: tuple[str, ...] = ()


class ProfileSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The instance profile of an instance, and its `role` by name; no credentials, which the host fetches."""

    uuid: str
    name: str
    role: str


class InstanceSpec(Spec, frozen=True, kw_only=True, omit_defaults=True, tag="instance"):
    """A machine or a container: size, disks, ports, power, and what its metadata service answers.

    The image says which of the two (`machine`), not the flavor. `memory` in MiB, `user_data` base64, `satisfied` the
    power n that its guest ended on an earlier host or under an order that its host lost, `rebooted` the
    reboots that were done then. An `allowance` of nothing is that of an order from before there were any: no bounds.
    """

    KIND: ClassVar[str] = "instance"
    power: Power
    reboot: int = 0
    satisfied: int = 0
    rebooted: int = 0
    vcpus: int
    memory: int
    allowance: Allowance = Allowance()
    machine: Literal["machine", "container"] = "machine"
    disks: tuple[DiskSpec, ...] = ()
    nics: tuple[NicSpec, ...] = ()
    loopback: str = ""
    ec2_id: str
    reservation: str = ""
    launch_index: int = 0
    launched: float = 0.0
    flavor: str = ""
    image_id: str = ""
    account_id: str = ""
    region: str = ""
    zone: str = ""
    domain: str = ""
    hostname: str = ""
    login_user: str = "root"
    key_name: str = ""
    public_keys: tuple[str, ...] = ()
    user_data: str = ""
    metadata_v2_only: bool = False
    metadata_enabled: bool = True
    metadata_tags: bool = True
    metadata_hops: int = 1
    metadata_ipv6: bool = False
    files: tuple[InjectedFile, ...] = ()
    password: str = ""
    metadata: dict[str, str] = {}
    config_drive: bool = False
    profile: ProfileSpec | None = None

    @property
    def backend(self) -> str:
        """The backend of machines, or the backend of containers."""
        return self.machine


class ImageSpec(Spec, frozen=True, kw_only=True, omit_defaults=True, tag="image"):
    """A capture: the bytes of an instance's root disk as they are, kept on its host until the cloud has them.

    `instance` and `disk` are uuids of bodies that the same host has. Format `qcow2` is a machine's: the whole disk,
    naming no other file; `tar` a container's: its root file system with real user ids. `reboot`: the guest is shut
    down until its moment is there, so that its files are whole; else they are as after a power cut. `ec2_id` is that
    of the image.
    """

    KIND: ClassVar[str] = "image"
    ec2_id: str
    instance: str
    disk: str
    format: Literal["qcow2", "tar"] = "qcow2"
    machine: Literal["machine", "container"] = "machine"
    reboot: bool = False


class RouteSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where packets to `cidr` go: outside, to `address` of a port on `subnet`, over the link `peering`, or nowhere.

    Subnet and peering are uuids. Ranges and addresses are of IPv4 or of IPv6.
    """

    cidr: str
    target: Literal["outside", "address", "peering", "nowhere"] = "outside"
    address: str = ""
    subnet: str = ""
    peering: str = ""


class RouteTableSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The routes of the subnets that name this table, beside those to the router's own subnets."""

    uuid: str
    routes: tuple[RouteSpec, ...] = ()


class NetworkAclSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rules for packets that enter or leave the subnets with these uuids."""

    uuid: str
    entries: tuple[AclEntry, ...] = ()
    subnets: tuple[str, ...] = ()


class PeeringSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The router's own end of a link to another router: its `address` and `mac`, and the address of the other end.

    What comes over the link goes by the route table `table` (a uuid); if that is empty, to the router's own subnets.
    """

    uuid: str
    side: Side
    address: str
    other: str
    mac: str
    table: str = ""


class SourceSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The address of the outside network that packets from `cidr` have there."""

    cidr: str
    address: str


class OutsideIpv6Spec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a router's guests are reached by IPv6, without translation: `gateway` is the outside network's address.

    `admitted` are the ranges of the subnets that lead there: the router lets in what is for them alone.
    """

    gateway: str
    admitted: tuple[str, ...] = ()


class RouterSpec(Spec, frozen=True, kw_only=True, omit_defaults=True, tag="router"):
    """A logical router; its networks attach themselves by naming it.

    `address` is its own in the range `outside`; empty for a router without a way out. `sources` says which address
    its guests without a floating one are seen by there. `gateways` are the switches that may carry what goes there,
    the first that lives doing so; none are named in a cloud of one machine. A router without `tables` leads
    everything else outside; one with `tables` leads a packet as the table of the subnet that it comes from. A
    subnet that none of `acls` names is open. `peerings` are its links to other routers. `ipv6` is its way out by IPv6,
    which needs an `address`.
    """

    KIND: ClassVar[str] = "router"
    address: str = ""
    outside: str = ""
    gateways: tuple[str, ...] = ()
    sources: tuple[SourceSpec, ...] = ()
    tables: tuple[RouteTableSpec, ...] = ()
    acls: tuple[NetworkAclSpec, ...] = ()
    peerings: tuple[PeeringSpec, ...] = ()
    ipv6: OutsideIpv6Spec | None = None


class OneWayRange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Guests may open connections to `cidr`, and nobody there to them; `others` are ranges that are not meant."""

    cidr: str
    others: tuple[str, ...] = ()


class SubnetIpv6Spec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The IPv6 range of a subnet, with the router's address, and the address at which it finds the metadata localport.

    `mode`: guests are given their ports' addresses by DHCPv6, or form them from their MACs (RFC 4862).
    """

    cidr: str
    gateway: str
    localport: str
    mode: Ipv6Mode = "dhcpv6"
    one_way: tuple[OneWayRange, ...] = ()


class TransitGatewaySpec(Spec, frozen=True, kw_only=True, omit_defaults=True, tag="transitgateway"):
    """A logical router between the routers at the other ends of `links`, each of which names one of `tables`.

    A route of these leads over a link, or nowhere.
    """

    KIND: ClassVar[str] = "transitgateway"
    tables: tuple[RouteTableSpec, ...] = ()
    links: tuple[PeeringSpec, ...] = ()


class SubnetSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One subnet of a network, with the addresses and MACs that the engine answers for.

    `dns`, `ntp` and `netbios` are addresses of servers that guests are told of. `table` is the uuid of its route table;
    empty on a router that has none. `ipv6` is None on one of IPv4 alone.
    """

    uuid: str
    cidr: str
    gateway: str
    gateway_mac: str
    localport: str
    localport_mac: str
    dns: tuple[str, ...] = ()
    domain: str = ""
    ntp: tuple[str, ...] = ()
    netbios: tuple[str, ...] = ()
    node_type: str = ""
    table: str = ""
    ipv6: SubnetIpv6Spec | None = None


class NetworkSpec(Spec, frozen=True, kw_only=True, omit_defaults=True, tag="network"):
    """A broadcast domain with its subnets' DHCP options, gateway on `router` and metadata localport."""

    KIND: ClassVar[str] = "network"
    router: str | None = None
    mtu: int = 1442
    subnets: tuple[SubnetSpec, ...] = ()


class PortSpec(Spec, frozen=True, kw_only=True, omit_defaults=True, tag="port"):
    """A port and its groups, written together. `groups` are the uuids of security groups.

    `bandwidth` is what the guest may send, in Mbit/s; 0: without a bound. `forwards`: the guest may send from, and be
    sent to, addresses that are not its own. `network_tags` are words by which rules select the ports of
    one `router`, its network's. `ipv6` are its IPv6 addresses: DHCPv6 gives it the first.
    """

    KIND: ClassVar[str] = "port"
    network: str
    subnet: str
    mac: str
    address: str
    groups: tuple[str, ...] = ()
    hostname: str = ""
    bandwidth: int = 0
    forwards: bool = False
    secondaries: tuple[str, ...] = ()
    network_tags: tuple[str, ...] = ()
    router: str = ""
    ipv6: tuple[str, ...] = ()


class SecurityGroupSpec(Spec, frozen=True, kw_only=True, omit_defaults=True, tag="securitygroup"):
    """A group and all of its rules; rules name other groups by uuid, and network tags on the networks of `router`."""

    KIND: ClassVar[str] = "securitygroup"
    router: str = ""
    rules: tuple[Rule, ...] = ()


class FloatingIpSpec(Spec, frozen=True, kw_only=True, omit_defaults=True, tag="floatingip"):
    """An address of the outside network; `port`, its address `private` and its `router` are empty while unused."""

    KIND: ClassVar[str] = "floatingip"
    address: str
    port: str = ""
    private: str = ""
    router: str = ""


HostSpec = InstanceSpec | ImageSpec
"""The specs that hosts get; the network engine gets the others."""

_ENCODER = msgspec.json.Encoder(order="deterministic")


def content_digest(spec: Spec) -> str:
    """Return the digest of the spec without its revision: orders with equal digests are equal."""
    return hashlib.sha256(_ENCODER.encode(msgspec.structs.replace(spec, revision=NEVER))).hexdigest()


def encode(spec: Spec) -> bytes:
    """`spec` as JSON, for the host's book and a domain's metadata."""
    return _ENCODER.encode(spec)
