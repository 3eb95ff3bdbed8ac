"""Views of instances to Amazon's Instance and Reservation."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Mapping
from typing import Any

from pileus.faces.ec2.instance import profile
from pileus.faces.ec2.instance.part import STATES, InstanceParts, mapping, public_address, vpc_id
from pileus.faces.ec2.names import ec2_id
from pileus.faces.wire import xml
from pileus.faces.wire.model import ServiceModel
from pileus.model.image import Image
from pileus.model.instance import Instance, State, Wanted
from pileus.rules import tag
from pileus.rules.core import Place
from pileus.rules.instance.view import InstanceView

ROOT_DEVICE = "/dev/vda"

_MONITORING = {"State": "disabled"}
_HIBERNATION = {"Configured": False}
_ENCLAVE = {"Enabled": False}
_DERIVED = "ec2"


def switched(*, on: bool) -> str:
    """EC2's word for what is on or off."""
    return "enabled" if on else "disabled"


def metadata_options(wanted: Wanted) -> dict[str, Any]:
    """Return the options of the metadata service as `MetadataOptions`; instances with the same ones share it."""
    switches = (wanted.metadata_v2_only, wanted.metadata_enabled, wanted.metadata_tags, wanted.metadata_ipv6)
    return _metadata(switches, min(wanted.metadata_hops, 64))


@functools.cache
def _metadata(switches: tuple[bool, bool, bool, bool], hops: int) -> dict[str, Any]:
    v2_only, enabled, tags, ipv6 = switches
    return {
        "State": "applied",
        "HttpTokens": "required" if v2_only else "optional",
        "HttpPutResponseHopLimit": hops,
        "HttpEndpoint": switched(on=enabled),
        "HttpProtocolIpv6": switched(on=ipv6),
        "InstanceMetadataTags": switched(on=tags),
    }


def reservations(views: Iterable[InstanceView], place: Place) -> list[dict[str, Any]]:
    """The views grouped by the launch that they came from, in the order of their first instances."""
    parts = InstanceParts(place)
    reservation_items: dict[str, dict[str, Any]] = {}
    for view in views:
        ident = view.instance.wanted.reservation
        group = reservation_items.get(ident)
        if group is None:
            owner = {"ReservationId": ident, "OwnerId": view.project.wanted.account_id}
            group = reservation_items[ident] = {**owner, "Groups": [], "Instances": []}
        group["Instances"].append(_rendered(view, parts))
    return list(reservation_items.values())


def _rendered(view: InstanceView, parts: InstanceParts) -> xml.Rendered:
    """One instance as XML, made once for a view."""
    text: xml.Rendered | None = view.derived.get(_DERIVED)
    if text is None:
        text = view.derived[_DERIVED] = xml.rendered(_service(), Instance.__name__, item(view, parts))
    return text


@functools.cache
def _service() -> ServiceModel:
    return ServiceModel.load("ec2")


def item(view: InstanceView, parts: InstanceParts) -> dict[str, Any]:
    """One instance."""
    instance = view.instance
    wanted = instance.wanted
    image = view.image.ec2_id if view.image else ec2_id(Image, wanted.image)
    return {
        "AmiLaunchIndex": wanted.launch_index,
        "ImageId": image,
        "InstanceId": instance.ec2_id,
        "InstanceType": view.flavor.name,
        "KeyName": wanted.key_name or None,
        "LaunchTime": instance.created,
        "Monitoring": _MONITORING,
        "Placement": parts.placement(view),
        "State": STATES[view.state],
        "StateTransitionReason": transition(view),
        "StateReason": reason(view),
        "ProductCodes": [],
        "Architecture": view.image.wanted.architecture if view.image else "x86_64",
        "ClientToken": wanted.token,
        "EbsOptimized": False,
        "EnaSupport": False,
        "Hypervisor": "xen",
        "VirtualizationType": "hvm",
        "RootDeviceName": ROOT_DEVICE,
        "RootDeviceType": "ebs",
        "BlockDeviceMappings": [mapping(volume) for volume in view.volumes],
        "NetworkInterfaces": [parts.interface(view, nic) for nic in view.nics],
        "SourceDestCheck": checks_addresses(view),
        "CpuOptions": {"CoreCount": view.flavor.wanted.vcpus, "ThreadsPerCore": 1},
        "HibernationOptions": _HIBERNATION,
        "IamInstanceProfile": profile.shown(view.profile, view.project.wanted.account_id) if view.profile else None,
        "MetadataOptions": metadata_options(wanted),
        "EnclaveOptions": _ENCLAVE,
        "BootMode": "legacy-bios",
        "CurrentInstanceBootMode": "legacy-bios",
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "Tags": [{"Key": key, "Value": value} for key, value in tags(view).items()],
        **_network(view, parts),
    }


def _network(view: InstanceView, parts: InstanceParts) -> dict[str, Any]:
    """Return the members about the network interface; they are absent for an instance that has ended, as on EC2."""
    if not view.nics:
        return {"PrivateDnsName": "", "PublicDnsName": "", "SecurityGroups": []}
    nic = view.nics[0]
    return {
        "Ipv6Address": nic.port.assigned.ipv6[0] if nic.port.assigned.ipv6 else None,
        "PrivateDnsName": parts.private_name(view),
        "PrivateIpAddress": nic.port.assigned.address,
        "PublicDnsName": parts.public_name(view, nic),
        "PublicIpAddress": public_address(view, nic) or None,
        "SecurityGroups": parts.groups(nic),
        "SubnetId": nic.subnet.ec2_id,
        "VpcId": vpc_id(nic) or None,
    }


def checks_addresses(view: InstanceView) -> bool:
    """Whether the first interface has its packets' addresses checked."""
    return not (view.nics and view.nics[0].port.wanted.forwards)


def tags(view: InstanceView) -> Mapping[str, str]:
    """The user's tags, and the system tags that say how to log in."""
    return tag.shown(view.instance, view.login_user)


def reason(view: InstanceView) -> dict[str, str] | None:
    """Why it is in its state, as `StateReason`; None where EC2 gives no reason."""
    instance, state = view.instance, view.state
    wanted, seen = instance.wanted, instance.seen
    if wanted.gone or instance.gone is not None:
        code = wanted.reason or "Client.UserInitiatedShutdown"
        return _because(code, wanted.reason_message or "User initiated shutdown")
    if seen.fault is not None:
        return _because("Server.InternalError", f"{seen.fault.code}: {seen.fault.message}")
    if state == State.PENDING:
        return {"Code": "pending", "Message": "pending"}
    if state == State.RUNNING:
        return None
    if _ended_itself(instance):
        return _because("Client.InstanceInitiatedShutdown", "Instance initiated shutdown")
    return _because("Client.UserInitiatedShutdown", "User initiated shutdown")


def _because(code: str, message: str) -> dict[str, str]:
    return {"Code": code, "Message": f"{code}: {message}"}


def _ended_itself(instance: Instance) -> bool:
    return instance.wanted.power.state == "running" and instance.seen.satisfied == instance.wanted.power.n


def transition(view: InstanceView) -> str:
    """The short form of the reason, as `StateTransitionReason`, with the time where one is known."""
    instance, state = view.instance, view.state
    if state in (State.PENDING, State.RUNNING):
        return ""
    code = instance.wanted.reason
    if code.startswith("Server."):
        return _because(code, instance.wanted.reason_message)["Message"]
    if _ended_itself(instance) and not instance.wanted.gone:
        return ""
    at = instance.gone if instance.gone is not None else instance.seen.since
    if state not in (State.STOPPED, State.TERMINATED) or not at:
        return "User initiated"
    return time.strftime("User initiated (%Y-%m-%d %H:%M:%S GMT)", time.gmtime(at))
