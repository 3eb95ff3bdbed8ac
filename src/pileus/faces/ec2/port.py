"""Network interfaces (the core's ports): so far those of instances, and listed only."""

from __future__ import annotations

import functools
from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.instance.part import InstanceParts, chosen
from pileus.faces.ec2.tag import shown
from pileus.model.port import Port
from pileus.rules.instance.view import InstanceView, NicView
from pileus.verbs.instance import view as instances


@action("DescribeNetworkInterfaces")
def describe(call: Call) -> dict[str, Any]:
    """List network interfaces, by id or all."""
    args = call.args
    views, _ = instances.listing(call.caller, call.core)
    nics = {nic.port.ec2_id: (view, nic) for view in views for nic in view.nics}
    parts = InstanceParts(call.core.place)
    shown_nics = chosen(Port, nics, args.get("NetworkInterfaceIds", ()))
    interface_items = [_interface(parts, view, nic) for view, nic in shown_nics]
    tags = functools.partial(filters.tags_of, member="TagSet")
    return paging.listed(args, "NetworkInterfaces", interface_items, _FILTERS, tags)


def _interface(parts: InstanceParts, view: InstanceView, nic: NicView) -> dict[str, Any]:
    shown_in_instance = parts.interface(view, nic)
    return {
        **shown_in_instance,
        "Attachment": {
            **shown_in_instance["Attachment"],
            "InstanceId": view.instance.ec2_id,
            "InstanceOwnerId": shown_in_instance["OwnerId"],
        },
        "AvailabilityZone": parts.zone(view),
        "RequesterManaged": False,
        "TagSet": shown(nic.port.tags),
    }


_FILTERS = filters.of_members(
    *("Association.IpOwnerId", "Association.PublicDnsName", "Association.PublicIp", "Attachment.AttachmentId"),
    *("Attachment.DeleteOnTermination", "Attachment.DeviceIndex", "Attachment.InstanceId"),
    *("Attachment.InstanceOwnerId", "Attachment.Status", "AvailabilityZone", "Description", "InterfaceType"),
    *("MacAddress", "NetworkInterfaceId", "OwnerId", "PrivateDnsName", "PrivateIpAddress", "RequesterManaged"),
    *("SourceDestCheck", "Status", "SubnetId", "VpcId"),
    others={
        "addresses.association.public-ip": "PrivateIpAddresses.Association.PublicIp",
        "addresses.primary": "PrivateIpAddresses.Primary",
        "addresses.private-ip-address": "PrivateIpAddresses.PrivateIpAddress",
        "group-id": "Groups.GroupId",
        "group-name": "Groups.GroupName",
    },
    absent=(
        *("association.allocation-id", "association.association-id", "attachment.attach-time"),
        *("ipv6-addresses.ipv6-address", "requester-id"),
    ),
)
