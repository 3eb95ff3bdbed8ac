"""Resolving specs: everything that a body needs, read in the transaction that gives it its revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model import addresses
from pileus.model.flavor import Flavor
from pileus.model.floatingip import FloatingIp
from pileus.model.image import Image, kind_of
from pileus.model.instance import Instance, login_user
from pileus.model.instanceprofile import InstanceProfile
from pileus.model.network import Network
from pileus.model.placementgroup import PlacementGroup
from pileus.model.port import Port
from pileus.model.project import Project
from pileus.model.record import record
from pileus.model.router import Router
from pileus.model.securitygroup import SecurityGroup
from pileus.model.spec import DiskSpec, ImageSpec, InstanceSpec, NicSpec, ProfileSpec
from pileus.model.subnet import Subnet, gateway, localport
from pileus.model.user import User
from pileus.model.volume import Volume
from pileus.rules.ingress import admitted
from pileus.rules.prefixlist import expanded_rules, lists_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pileus.model.noun import Noun
    from pileus.model.prefixlist import PrefixList
    from pileus.model.securitygroup import Rule
    from pileus.rules.core import Place
    from pileus.store.reader import Reader


def instance(tx: Reader, row: Instance, place: Place) -> InstanceSpec:
    """The whole order for an instance, without its revision. Raises Unavailable.

    A host takes from a body what its order does not name: an unreadable row is no reason for that.
    """
    with tx.complete():
        return _instance(tx, row, place)


def _instance(tx: Reader, row: Instance, place: Place) -> InstanceSpec:
    wanted = row.wanted
    flavor = tx.need(Flavor, wanted.flavor)
    image = tx.get(Image, wanted.image)
    project = tx.need(Project, row.project)
    disks = [volume for volume in tx.referring(Volume, [row.uuid]) if not volume.wanted.gone]
    ports = [port for port in tx.referring(Port, [row.uuid]) if not port.wanted.gone]
    profile = tx.get(InstanceProfile, wanted.instanceprofile) if wanted.instanceprofile else None
    profiles = [profile.as_context()] if profile else []
    return InstanceSpec(
        uuid=row.uuid,
        name=row.name,
        project=row.project,
        tags=row.tags,
        power=wanted.power,
        reboot=wanted.reboot,
        satisfied=row.assigned.carried,
        rebooted=row.assigned.rebooted,
        vcpus=flavor.wanted.vcpus,
        memory=flavor.wanted.memory,
        allowance=flavor.wanted.allowed,
        # Its image may be gone, and may not even be remembered.
        machine=kind_of(disks[0].wanted.format) if disks else flavor.wanted.kind,
        disks=tuple(_disk(volume) for volume in disks),
        nics=tuple(_nics(tx, row, ports)),
        loopback=row.assigned.loopback,
        ec2_id=row.ec2_id,
        reservation=wanted.reservation,
        launch_index=wanted.launch_index,
        launched=row.created,
        flavor=flavor.name,
        image_id=image.ec2_id if image else "",
        account_id=project.wanted.account_id,
        region=place.region,
        zone=wanted.zone or place.zone,
        domain=place.domain,
        hostname=wanted.hostname,
        login_user=login_user(row, image),
        key_name=wanted.key_name,
        public_keys=wanted.public_keys,
        user_data=wanted.user_data,
        metadata_v2_only=wanted.metadata_v2_only,
        metadata_enabled=wanted.metadata_enabled,
        metadata_tags=wanted.metadata_tags,
        metadata_hops=wanted.metadata_hops,
        metadata_ipv6=wanted.metadata_ipv6,
        files=wanted.files,
        password=wanted.password,
        metadata=wanted.metadata,
        config_drive=wanted.config_drive,
        profile=_profile(tx, profile) if profile else None,
        record=record(
            [*_context(tx, ports, project, flavor, image), *_grouped(tx, row), *profiles, row, *disks, *ports]
        ),
    )


def capture(tx: Reader, row: Image) -> ImageSpec:
    """The whole order for an image that is captured, without its revision."""
    wanted = row.wanted
    return ImageSpec(
        uuid=row.uuid,
        name=row.name,
        project=row.project,
        tags=row.tags,
        ec2_id=row.ec2_id,
        instance=wanted.instance,
        disk=wanted.disk,
        format="tar" if wanted.format == "tar" else "qcow2",
        machine=wanted.kind,
        reboot=wanted.reboot,
        record=record([tx.need(Project, row.project), msgspec.structs.replace(row, assigned=None)]),
    )


def _context(tx: Reader, ports: list[Port], project: Project, flavor: Flavor, image: Image | None) -> Iterable[Noun]:
    """Yield the nouns that an instance's rows refer to, without their changing parts: each change would be an order."""
    yield project
    yield flavor
    if image is not None and image.gone is None:
        yield image.as_context()
    networks = tx.many(Network, [port.wanted.network for port in ports])
    for router in tx.many(Router, [network.wanted.router or "" for network in networks.values()]).values():
        yield router.as_context()
    for network in networks.values():
        yield network.as_context()
    for subnet in tx.many(Subnet, [port.wanted.subnet for port in ports]).values():
        yield subnet.as_context()


def _grouped(tx: Reader, row: Instance) -> Iterable[Noun]:
    group = tx.get(PlacementGroup, row.wanted.placementgroup) if row.wanted.placementgroup else None
    if group is not None:
        yield group.as_context()


def _profile(tx: Reader, profile: InstanceProfile) -> ProfileSpec | None:
    """The profile as the metadata service tells it; None for one without a role, which gives no credentials."""
    role = tx.get(User, profile.wanted.role) if profile.wanted.role else None
    return ProfileSpec(uuid=profile.uuid, name=profile.name, role=role.name) if role else None


def _disk(volume: Volume) -> DiskSpec:
    wanted = volume.wanted
    return DiskSpec(
        uuid=volume.uuid,
        ec2_id=volume.ec2_id,
        size=wanted.size,
        digest=wanted.digest,
        format=wanted.format,
        device=wanted.device,
    )


def _nics(tx: Reader, row: Instance, ports: list[Port]) -> Iterable[NicSpec]:
    subnets = tx.many(Subnet, [port.wanted.subnet for port in ports])
    networks = tx.many(Network, [port.wanted.network for port in ports])
    routers = tx.many(Router, [network.wanted.router or "" for network in networks.values()])
    groups = tx.many(SecurityGroup, [group for port in ports for group in port.wanted.groups])
    lists = lists_of(tx, groups.values())
    associated = tx.referring(FloatingIp, [port.uuid for port in ports])
    primary = [each for each in associated if not each.wanted.gone and not each.wanted.private]
    floating = {each.wanted.port: each.assigned.address for each in primary}
    for port in sorted(ports, key=lambda port: port.wanted.index):
        subnet, network = subnets[port.wanted.subnet], networks[port.wanted.network]
        router = routers.get(network.wanted.router or "")
        port_groups = [groups[uuid] for uuid in port.wanted.groups if uuid in groups]
        cidr = subnet.wanted.cidr
        yield NicSpec(
            uuid=port.uuid,
            ec2_id=port.ec2_id,
            mac=port.assigned.mac,
            address=port.assigned.address,
            cidr=cidr,
            gateway=gateway(subnet.wanted),
            localport=localport(subnet.wanted),
            localport_mac=addresses.derived_mac(network.uuid, "localport"),
            network=network.uuid,
            subnet_id=subnet.ec2_id,
            vpc_id=router.ec2_id if router else "",
            vpc_cidr=router.wanted.cidr if router else "",
            mtu=network.wanted.mtu,
            index=port.wanted.index,
            public=floating.get(port.uuid) or _loopback(row, port),
            groups=tuple(group.uuid for group in port_groups),
            group_names=tuple(group.name for group in port_groups),
            group_ids=tuple(group.ec2_id for group in port_groups),
            ingress=tuple(admitted(_rules(port_groups, lists), port.wanted.network_tags)),
            secondaries=port.assigned.secondaries,
            ipv6=port.assigned.ipv6,
            ipv6_cidr=subnet.wanted.ipv6.cidr if subnet.wanted.ipv6 else "",
            vpc_ipv6_cidrs=router.ipv6_cidrs if router else (),
        )


def _loopback(row: Instance, port: Port) -> str:
    """The instance's loopback address where it is the port's public one, which only a first port's may be."""
    return row.assigned.loopback if port.wanted.map_public and not port.wanted.index else ""


def _rules(groups: list[SecurityGroup], lists: Mapping[str, PrefixList]) -> list[Rule]:
    return [rule for group in groups for rule in expanded_rules(group.wanted.rules, lists)]
