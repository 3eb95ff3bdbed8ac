"""The parts that an instance's rendering is put together from; what many instances share is made once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pileus.faces.ec2.names import check_id, ec2_id
from pileus.model import addresses
from pileus.model.instance import State
from pileus.model.noun import Noun
from pileus.model.port import Port
from pileus.model.volume import Volume
from pileus.rules import find
from pileus.rules.core import Place
from pileus.rules.instance.view import InstanceView, NicView

T = TypeVar("T")

CODES = {
    State.PENDING: 0,
    State.RUNNING: 16,
    State.SHUTTING_DOWN: 32,
    State.TERMINATED: 48,
    State.STOPPING: 64,
    State.STOPPED: 80,
}
"""The numbers that EC2 gives the states."""

STATES: dict[State, dict[str, Any]] = {state: {"Code": code, "Name": state.value} for state, code in CODES.items()}
"""The states as members of answers."""


def chosen(cls: type[Noun], items: Mapping[str, T], ids: Iterable[str]) -> list[T]:
    """Return the `items` (by EC2 id) with these ids, all if there are none. Raises Malformed or NotFound."""
    requested_ids = list(dict.fromkeys(ids))
    for ident in requested_ids:
        check_id(cls.PREFIX, cls.KIND, ident)
    missing = [ident for ident in requested_ids if ident not in items]
    if missing:
        raise find.not_found(cls, missing)
    return [items[ident] for ident in requested_ids] if requested_ids else list(items.values())


def vpc_id(nic: NicView) -> str:
    """The id of the VPC that an interface is in; empty on a network without a router, which EC2 does not have."""
    return nic.router.ec2_id if nic.router is not None else ""


def public_address(view: InstanceView | None, nic: NicView) -> str:
    """The address that outsiders use: the port's floating address, or else the instance's loopback address.

    The latter is that of the first interface alone. A stopped instance, and one launched without a public address, has
    at most a floating one, as on EC2.
    """
    if nic.floating:
        return nic.floating.assigned.address
    if view is None or nic.port.wanted.index:
        return ""
    shown = nic.port.wanted.map_public and view.state is not State.STOPPED
    return view.instance.assigned.loopback if shown else ""


class InstanceParts:
    """The parts of the instances of one answer. Parts are shared between instances: nobody may change them."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
        self._placements: dict[tuple[str, str], dict[str, str]] = {}

    def zone(self, view: InstanceView) -> str:
        """The zone's name."""
        return view.instance.wanted.zone or self._place.zone

    def placement(self, view: InstanceView) -> dict[str, str]:
        """Where it is, as `Placement`."""
        zone, group = self.zone(view), view.together
        placement = self._placements.get((zone, group.uuid if group else ""))
        if placement is None:
            placement = {"AvailabilityZone": zone, "GroupName": "", "Tenancy": "default"}
            if group is not None:
                placement |= {"GroupName": group.name, "GroupId": group.ec2_id}
            self._placements[zone, group.uuid if group else ""] = placement
        return placement

    def groups(self, nic: NicView) -> list[dict[str, str]]:
        """The groups that the port is in, as `Groups` and `SecurityGroups`."""
        key = nic.port.wanted.groups
        group_items = self._groups.get(key)
        if group_items is None:
            group_items = [{"GroupId": group.ec2_id, "GroupName": group.name} for group in nic.groups]
            self._groups[key] = group_items
        return group_items

    def private_name(self, view: InstanceView) -> str:
        """The name that the guest has inside the cloud."""
        name = view.instance.wanted.hostname
        return name if not self._place.domain or "." in name else f"{name}.{self._place.domain}"

    def public_name(self, view: InstanceView, nic: NicView) -> str:
        """The name of the port's public address, which the cloud's resolver answers; empty for no address."""
        return addresses.public_name(public_address(view, nic), self._place.domain)

    def interface(self, view: InstanceView | None, nic: NicView, account: str = "") -> dict[str, Any]:
        """A port, as a member of `NetworkInterfaces`; `account` has a port without an instance."""
        port = nic.port
        owner = view.project.wanted.account_id if view else account
        interface_item: dict[str, Any] = {
            "Description": port.wanted.description,
            "Groups": self.groups(nic),
            "Ipv6Addresses": [{"Ipv6Address": own, "IsPrimaryIpv6": False} for own in port.assigned.ipv6],
            "MacAddress": port.assigned.mac,
            "NetworkInterfaceId": port.ec2_id,
            "OwnerId": owner,
            "PrivateDnsName": self._name(view, nic, port.assigned.address),
            "PrivateIpAddress": port.assigned.address,
            "PrivateIpAddresses": [
                {
                    "Primary": not number,
                    "PrivateDnsName": self._name(view, nic, address),
                    "PrivateIpAddress": address,
                }
                for number, address in enumerate(port.assigned.addresses)
            ],
            "SourceDestCheck": not port.wanted.forwards,
            "Status": "in-use" if view else "detaching" if port.assigned.unconfirmed else "available",
            "SubnetId": nic.subnet.ec2_id,
            "VpcId": vpc_id(nic) or None,
            "InterfaceType": "interface",
        }
        if view is not None:
            interface_item["Attachment"] = {
                "AttachTime": port.wanted.attached or port.created,
                "AttachmentId": attachment_id(port),
                "DeleteOnTermination": port.wanted.delete_on_termination,
                "DeviceIndex": port.wanted.index,
                "NetworkCardIndex": 0,
                "Status": attachment_status(port),
            }
        if public := public_address(view, nic):
            association = self._association(public, owner if nic.floating else "amazon")
            interface_item["Association"] = interface_item["PrivateIpAddresses"][0]["Association"] = association
        for floating in nic.secondary_floating:
            for address_item in interface_item["PrivateIpAddresses"][1:]:
                if address_item["PrivateIpAddress"] == floating.wanted.private:
                    address_item["Association"] = self._association(floating.assigned.address, owner)
        return interface_item

    def _association(self, public: str, owner: str) -> dict[str, str]:
        """A public address as a member of a private one."""
        return {
            "IpOwnerId": owner,
            "PublicDnsName": addresses.public_name(public, self._place.domain),
            "PublicIp": public,
        }

    def _name(self, view: InstanceView | None, nic: NicView, address: str) -> str:
        """The name of a private address: the guest's own for the primary one of its first interface."""
        if view is not None and not nic.port.wanted.index and address == nic.port.assigned.address:
            return self.private_name(view)
        name = f"ip-{address.replace('.', '-')}"
        return f"{name}.{self._place.domain}" if self._place.domain else name


def attachment_id(port: Port) -> str:
    """Amazon's id for a port's being at its instance."""
    return port.wanted.attachment or ec2_id(Port, port.uuid, "eni-attach")


def attachment_status(port: Port) -> str:
    """Whether a port of an instance comes, is there, or goes."""
    return "detaching" if port.wanted.gone else "attaching" if port.assigned.unconfirmed else "attached"


def mapping(volume: Volume) -> dict[str, Any]:
    """A disk, as a member of `BlockDeviceMappings`."""
    return {
        "DeviceName": volume.wanted.device,
        "Ebs": {
            "AttachTime": volume.created,
            "DeleteOnTermination": volume.wanted.delete_on_termination,
            "Status": "detaching" if volume.wanted.gone else "attached",
            "VolumeId": volume.ec2_id,
        },
    }
