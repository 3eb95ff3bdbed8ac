"""The filters of DescribeInstances, each as the texts that a view has under its name.

Source: "DescribeInstances" in the EC2 API reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pileus.faces.ec2 import filters
from pileus.faces.ec2.filters import Values, flag, none
from pileus.faces.ec2.instance import profile, shape
from pileus.faces.ec2.instance.part import (
    CODES,
    InstanceParts,
    attachment_id,
    attachment_status,
    public_address,
    vpc_id,
)
from pileus.faces.ec2.names import ec2_id, zone_id
from pileus.faces.wire.scalars import from_timestamp
from pileus.model.floatingip import FloatingIp
from pileus.model.image import Image
from pileus.model.volume import Volume
from pileus.rules.core import Place
from pileus.rules.instance.view import InstanceView, NicView

Filter = Values[InstanceView]


def keep(request_filters: Iterable[dict[str, Any]] | None, place: Place) -> Callable[[InstanceView], bool] | None:
    """Whether a view fits the request's filters; None when it has none. Raises InvalidValue for an unknown one."""
    return filters.compiled(request_filters, known(place), shape.tags) if request_filters else None


def known(place: Place) -> dict[str, Filter]:
    """Every filter there is, `tag:KEY` and `tag-key` apart."""
    return {**_OWN, **_of_place(place), **_DISKS, **_NICS, **_CONSTANTS, **_ABSENT}


def _one(get: Callable[[InstanceView], str]) -> Filter:
    def values(view: InstanceView) -> Iterable[str]:
        value = get(view)
        return (value,) if value else ()

    return values


def _profile(member: str) -> Filter:
    """A filter by a member of the instance profile, as `IamInstanceProfile` has it."""

    def value(view: InstanceView) -> str:
        return profile.shown(view.profile, view.project.wanted.account_id)[member] if view.profile else ""

    return _one(value)


def _metadata(member: str) -> Filter:
    return lambda view: (str(shape.metadata_options(view.instance.wanted)[member]),)


def _nic(get: Callable[[NicView], str]) -> Filter:
    return lambda view: [get(nic) for nic in view.nics]


def _address(get: Callable[[str, NicView], str]) -> Filter:
    return lambda view: [get(address, nic) for nic in view.nics for address in nic.port.assigned.addresses]


def _floating(get: Callable[[FloatingIp], str]) -> Filter:
    return lambda view: [
        get(each) for nic in view.nics for each in (*filter(None, [nic.floating]), *nic.secondary_floating)
    ]


def _disk(get: Callable[[Volume], str]) -> Filter:
    return lambda view: [get(disk) for disk in view.volumes]


def _group_ids(view: InstanceView) -> Iterable[str]:
    return [group.ec2_id for nic in view.nics for group in nic.groups]


def _ipv6_addresses(view: InstanceView) -> Iterable[str]:
    return [address for nic in view.nics for address in nic.port.assigned.ipv6]


def _are_primary(view: InstanceView) -> Iterable[str]:
    return [flag(value=False) for _ in _ipv6_addresses(view)]


def _group_names(view: InstanceView) -> Iterable[str]:
    return [group.name for nic in view.nics for group in nic.groups]


def _public(view: InstanceView) -> str:
    return public_address(view, view.nics[0]) if view.nics else ""


def _public_owner(view: InstanceView) -> str:
    owner = view.project.wanted.account_id if view.nics and view.nics[0].floating else "amazon"
    return owner if _public(view) else ""


def _reason(part: str) -> Filter:
    def values(view: InstanceView) -> Iterable[str]:
        state_reason = shape.reason(view)
        return (state_reason[part],) if state_reason else ()

    return values


def _launch_time(view: InstanceView) -> str:
    return from_timestamp(view.instance.created)


def _image(view: InstanceView) -> str:
    return view.image.ec2_id if view.image else ec2_id(Image, view.instance.wanted.image)


_OWN: dict[str, Filter] = {
    "architecture": _one(lambda view: view.image.wanted.architecture if view.image else "x86_64"),
    "client-token": _one(lambda view: view.instance.wanted.token),
    "image-id": _one(_image),
    "instance-id": _one(lambda view: view.instance.ec2_id),
    "instance-state-code": _one(lambda view: str(CODES[view.state])),
    "instance-state-name": _one(lambda view: view.state.value),
    "instance-type": _one(lambda view: view.flavor.name),
    "group-id": _group_ids,
    "group-name": _group_names,
    "instance.group-id": _group_ids,
    "instance.group-name": _group_names,
    "ip-address": _one(_public),
    "key-name": _one(lambda view: view.instance.wanted.key_name),
    "launch-index": _one(lambda view: str(view.instance.wanted.launch_index)),
    "launch-time": _one(_launch_time),
    **{
        f"metadata-options.{name}": _metadata(member)
        for name, member in {
            "http-endpoint": "HttpEndpoint",
            "http-put-response-hop-limit": "HttpPutResponseHopLimit",
            "http-tokens": "HttpTokens",
            "http-protocol-ipv6": "HttpProtocolIpv6",
            "instance-metadata-tags": "InstanceMetadataTags",
        }.items()
    },
    **dict.fromkeys(("ipv6-address", "network-interface.ipv6-address"), _ipv6_addresses),
    "network-interface.ipv6-addresses.ipv6-address": _ipv6_addresses,
    "network-interface.ipv6-addresses.is-primary-ipv6": _are_primary,
    "owner-id": _one(lambda view: view.project.wanted.account_id),
    "placement-group-name": _one(lambda view: view.together.name if view.together else ""),
    "private-ip-address": _nic(lambda nic: nic.port.assigned.address),
    "reason": _one(shape.transition),
    "reservation-id": _one(lambda view: view.instance.wanted.reservation),
    "source-dest-check": _one(lambda view: flag(value=shape.checks_addresses(view))),
    "state-reason-code": _reason("Code"),
    "state-reason-message": _reason("Message"),
    "iam-instance-profile.arn": _profile("Arn"),
    "iam-instance-profile.id": _profile("Id"),
    "iam-instance-profile.name": _one(lambda view: view.profile.name if view.profile else ""),
    "subnet-id": _nic(lambda nic: nic.subnet.ec2_id),
    "usage-operation-update-time": _one(_launch_time),
    "vpc-id": _nic(vpc_id),
}


def _of_place(place: Place) -> dict[str, Filter]:
    parts = InstanceParts(place)
    name = _one(lambda view: parts.private_name(view) if view.nics else "")
    public_name = _one(lambda view: parts.public_name(view, view.nics[0]) if view.nics else "")
    return {
        "availability-zone": _one(parts.zone),
        "dns-name": public_name,
        "availability-zone-id": _one(lambda view: zone_id(parts.zone(view))),
        "network-interface.addresses.association.public-dns-name": public_name,
        "network-interface.addresses.private-dns-name": name,
        "network-interface.association.public-dns-name": public_name,
        "network-interface.public-dns-name": public_name,
        "network-interface.availability-zone": _one(lambda view: parts.zone(view) if view.nics else ""),
        "network-interface.private-dns-name": name,
        "private-dns-name": name,
    }


_DISKS: dict[str, Filter] = {
    "block-device-mapping.attach-time": _disk(lambda disk: from_timestamp(disk.created)),
    "block-device-mapping.delete-on-termination": _disk(lambda disk: flag(value=disk.wanted.delete_on_termination)),
    "block-device-mapping.device-name": _disk(lambda disk: disk.wanted.device),
    "block-device-mapping.status": _disk(lambda disk: "detaching" if disk.wanted.gone else "attached"),
    "block-device-mapping.volume-id": _disk(lambda disk: disk.ec2_id),
}

_NICS: dict[str, Filter] = {
    f"network-interface.{name}": values
    for name, values in {
        "addresses.association.ip-owner-id": _one(_public_owner),
        "addresses.association.public-ip": _one(_public),
        "addresses.primary": _address(lambda address, nic: flag(value=address == nic.port.assigned.address)),
        "addresses.private-ip-address": _address(lambda address, _: address),
        "addresses.association.allocation-id": _floating(lambda floating: floating.ec2_id),
        "addresses.association.association-id": _floating(lambda floating: floating.wanted.association),
        "association.allocation-id": _floating(lambda floating: floating.ec2_id),
        "association.association-id": _floating(lambda floating: floating.wanted.association),
        "association.ip-owner-id": _one(_public_owner),
        "association.public-ip": _one(_public),
        "attachment.attach-time": _nic(lambda nic: from_timestamp(nic.port.wanted.attached or nic.port.created)),
        "attachment.attachment-id": _nic(lambda nic: attachment_id(nic.port)),
        "attachment.delete-on-termination": _nic(lambda nic: flag(value=nic.port.wanted.delete_on_termination)),
        "attachment.device-index": _nic(lambda nic: str(nic.port.wanted.index)),
        "attachment.instance-id": _one(lambda view: view.instance.ec2_id if view.nics else ""),
        "attachment.instance-owner-id": _one(lambda view: view.project.wanted.account_id if view.nics else ""),
        "attachment.network-card-index": _nic(lambda _: "0"),
        "attachment.status": _nic(lambda nic: attachment_status(nic.port)),
        "description": _nic(lambda nic: nic.port.wanted.description),
        "group-id": _group_ids,
        "group-name": _group_names,
        "mac-address": _nic(lambda nic: nic.port.assigned.mac),
        "network-interface-id": _nic(lambda nic: nic.port.ec2_id),
        "owner-id": _one(lambda view: view.project.wanted.account_id if view.nics else ""),
        "requester-managed": _nic(lambda _: "false"),
        "source-dest-check": _nic(lambda nic: flag(value=not nic.port.wanted.forwards)),
        "status": _nic(lambda _: "in-use"),
        "subnet-id": _nic(lambda nic: nic.subnet.ec2_id),
        "vpc-id": _nic(vpc_id),
        "private-ip-address": _nic(lambda nic: nic.port.assigned.address),
    }.items()
}


def _constant(value: str) -> Filter:
    return lambda _: (value,)


_CONSTANTS: dict[str, Filter] = {
    name: _constant(value)
    for name, value in {
        "boot-mode": "legacy-bios",
        "current-instance-boot-mode": "legacy-bios",
        "ebs-optimized": "false",
        "ena-support": "false",
        "enclave-options.enabled": "false",
        "hibernation-options.configured": "false",
        "hypervisor": "xen",
        "metadata-options.http-protocol-ipv4": "enabled",
        "metadata-options.state": "applied",
        "monitoring-state": "disabled",
        "platform-details": "Linux/UNIX",
        "root-device-name": shape.ROOT_DEVICE,
        "root-device-type": "ebs",
        "tenancy": "default",
        "usage-operation": "RunInstances",
        "virtualization-type": "hvm",
    }.items()
}

_ABSENT: dict[str, Filter] = dict.fromkeys(
    (
        *("affinity", "block-device-mapping.card-index", "capacity-reservation-id"),
        *("capacity-reservation-specification.capacity-reservation-preference",),
        *("capacity-reservation-specification.capacity-reservation-target.capacity-reservation-id",),
        *("capacity-reservation-specification.capacity-reservation-target.capacity-reservation-resource-group-arn",),
        "host-id",
        *("instance-lifecycle", "kernel-id"),
        *("network-interface.addresses.association.carrier-ip",),
        *("network-interface.addresses.association.customer-owned-ip", "network-interface.association.carrier-ip"),
        *("network-interface.operator.managed", "network-interface.operator.principal"),
        *("network-interface.association.customer-owned-ip", "network-interface.deny-all-igw-traffic"),
        *("network-interface.ipv4-prefixes.ipv4-prefix",),
        *("network-interface.ipv6-native", "network-interface.ipv6-prefixes.ipv6-prefix"),
        *("network-interface.outpost-arn", "network-interface.requester-id", "network-interface.tag-key"),
        *("network-interface.tag-value", "maintenance-options.auto-recovery"),
        *("network-performance-options.bandwidth-weighting", "operator.managed", "operator.principal", "outpost-arn"),
        *("placement-partition-number", "platform", "private-dns-name-options.enable-resource-name-dns-a-record"),
        *("private-dns-name-options.enable-resource-name-dns-aaaa-record", "private-dns-name-options.hostname-type"),
        *("product-code", "product-code.type", "ramdisk-id", "requester-id", "spot-instance-request-id"),
        *("tpm-support",),
    ),
    none,
)
"""Filters for what no instance of this cloud has: they fit none."""
