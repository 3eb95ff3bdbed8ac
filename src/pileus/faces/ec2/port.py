"""Network interfaces (the core's ports): so far those of instances, and listed only."""

from __future__ import annotations

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
    interface_items = [
        _interface(parts, view, nic) for view, nic in chosen(Port, nics, args.get("NetworkInterfaceIds", ()))
    ]
    keep = filters.compiled(args.get("Filters"), _FILTERS, lambda item: filters.tags_of(item, "TagSet"))
    page, more = paging.paged(args, [item for item in interface_items if keep is None or keep(item)])
    return {"NetworkInterfaces": page, **more}


def _interface(parts: InstanceParts, view: InstanceView, nic: NicView) -> dict[str, Any]:
    shown_in_instance = parts.interface(view, nic)
    left_out = ("ConnectionTrackingConfiguration",)
    return {
        **{name: value for name, value in shown_in_instance.items() if name not in left_out},
        "Attachment": {
            **shown_in_instance["Attachment"],
            "InstanceId": view.instance.ec2_id,
            "InstanceOwnerId": shown_in_instance["OwnerId"],
        },
        "AvailabilityZone": parts.zone(view),
        "RequesterManaged": False,
        "TagSet": shown(nic.port.tags),
    }


_FILTERS = {
    **filters.of_members(
        availability_zone="AvailabilityZone",
        description="Description",
        group_id="Groups.GroupId",
        group_name="Groups.GroupName",
        interface_type="InterfaceType",
        mac_address="MacAddress",
        network_interface_id="NetworkInterfaceId",
        owner_id="OwnerId",
        private_dns_name="PrivateDnsName",
        private_ip_address="PrivateIpAddress",
        requester_managed="RequesterManaged",
        source_dest_check="SourceDestCheck",
        status="Status",
        subnet_id="SubnetId",
        vpc_id="VpcId",
    ),
    "addresses.association.public-ip": filters.member("PrivateIpAddresses.Association.PublicIp"),
    "addresses.primary": filters.member("PrivateIpAddresses.Primary"),
    "addresses.private-ip-address": filters.member("PrivateIpAddresses.PrivateIpAddress"),
    "association.ip-owner-id": filters.member("Association.IpOwnerId"),
    "association.public-dns-name": filters.member("Association.PublicDnsName"),
    "association.public-ip": filters.member("Association.PublicIp"),
    "attachment.attachment-id": filters.member("Attachment.AttachmentId"),
    "attachment.delete-on-termination": filters.member("Attachment.DeleteOnTermination"),
    "attachment.device-index": filters.member("Attachment.DeviceIndex"),
    "attachment.instance-id": filters.member("Attachment.InstanceId"),
    "attachment.instance-owner-id": filters.member("Attachment.InstanceOwnerId"),
    "attachment.status": filters.member("Attachment.Status"),
    "association.allocation-id": filters.none,
    "association.association-id": filters.none,
    "attachment.attach-time": filters.none,
    "ipv6-addresses.ipv6-address": filters.none,
    "requester-id": filters.none,
}
