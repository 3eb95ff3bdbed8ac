"""Volumes: so far the root disks of instances, and listed only."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.faces.ec2 import elements, filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.instance.part import chosen
from pileus.faces.ec2.names import ec2_id, zone_id
from pileus.faces.ec2.tag import shown
from pileus.faces.wire.scalars import from_timestamp
from pileus.model.image import Image, snapshot_id
from pileus.model.instance import Instance
from pileus.model.volume import Volume
from pileus.rules.host import Heard
from pileus.rules.instance.view import InstanceView
from pileus.verbs.instance import view as instances

_UNKNOWN = "insufficient-data"


@action("DescribeVolumes")
def describe(call: Call) -> dict[str, Any]:
    """List volumes, by id or all."""
    volumes = [ListedVolume(volume=volume, instance=view.instance) for view, volume in _asked(call)]
    return elements.listed(call, "Volumes", "Volume", volumes, _volume, _FILTERS)


class ListedVolume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume with the instance whose disk it is."""

    volume: Volume
    instance: Instance


def _asked(call: Call) -> list[tuple[InstanceView, Volume]]:
    """The volumes that a request names, or all, each with its instance. Raises InvalidValue, Malformed, NotFound."""
    paging.alone(call.args, "VolumeIds", "volumeSet")
    views, _ = instances.listing(call.caller, call.core)
    volumes = {volume.ec2_id: (view, volume) for view in views for volume in view.volumes}
    return chosen(Volume, volumes, call.args.get("VolumeIds", ()))


def _volume(call: Call, view: ListedVolume) -> dict[str, Any]:
    volume = view.volume
    attachment = {
        "AttachTime": volume.created,
        "Device": volume.wanted.device,
        "InstanceId": view.instance.ec2_id,
        "State": "detaching" if volume.wanted.gone else "attached",
        "VolumeId": volume.ec2_id,
        "DeleteOnTermination": volume.wanted.delete_on_termination,
    }
    return {
        "VolumeId": volume.ec2_id,
        "Size": volume.wanted.size,
        "SnapshotId": snapshot_id(ec2_id(Image, volume.wanted.image)) if volume.wanted.image else "",
        "AvailabilityZone": view.instance.wanted.zone or call.core.place.zone,
        "State": "in-use",
        "CreateTime": volume.created,
        "Attachments": [attachment],
        "Encrypted": False,
        "VolumeType": volume.wanted.type,
        "MultiAttachEnabled": False,
        "Tags": shown(volume.tags),
    }


@action("DescribeVolumeStatus")
def describe_status(call: Call) -> dict[str, Any]:
    """List how volumes do, by id or all: `ok`, or `insufficient-data` while the instance's host is silent."""
    with call.core.store.read() as tx:
        liveness = Heard(tx, call.core.store.now())
    views = [
        VolumeStatusView(volume=volume, instance=view.instance, lost=liveness.lost(view.instance.assigned.host))
        for view, volume in _asked(call)
    ]
    return elements.listed(call, "VolumeStatuses", "VolumeStatusItem", views, _status, _STATUS_FILTERS)


class VolumeStatusView(ListedVolume, frozen=True, kw_only=True):
    """A volume with its instance, and whether the host of that is lost."""

    lost: bool


def _status(call: Call, view: VolumeStatusView) -> dict[str, Any]:
    volume, lost = view.volume, view.lost
    zone = view.instance.wanted.zone or call.core.place.zone
    details = {"io-enabled": _UNKNOWN if lost else "passed", "io-performance": "not-applicable"}
    return {
        "VolumeId": volume.ec2_id,
        "AvailabilityZone": zone,
        "AvailabilityZoneId": zone_id(zone),
        "VolumeStatus": {
            "Status": _UNKNOWN if lost else "ok",
            "Details": [{"Name": name, "Status": status} for name, status in details.items()],
        },
        "Actions": [],
        "Events": [],
        "AttachmentStatuses": [{"InstanceId": view.instance.ec2_id, "IoPerformance": "not-applicable"}],
    }


_FILTERS = filters.of_members(
    *("AvailabilityZone", "Encrypted", "MultiAttachEnabled", "Size", "SnapshotId", "VolumeId", "VolumeType"),
    others={
        "attachment.delete-on-termination": "Attachments.DeleteOnTermination",
        "attachment.device": "Attachments.Device",
        "attachment.instance-id": "Attachments.InstanceId",
        "attachment.status": "Attachments.State",
        "status": "State",
    },
    absent=("fast-restored", "operator.managed", "operator.principal"),
) | {
    "attachment.attach-time": lambda item: [from_timestamp(each["AttachTime"]) for each in item["Attachments"]],
    "availability-zone-id": lambda item: (zone_id(item["AvailabilityZone"]),),
    "create-time": lambda item: (from_timestamp(item["CreateTime"]),),
}
_STATUS_FILTERS = filters.of_members(
    *("AvailabilityZone", "VolumeStatus.Status"),
    others={
        "attachment-status.instance-id": "AttachmentStatuses.InstanceId",
        "attachment-status.io-performance": "AttachmentStatuses.IoPerformance",
        "volume-status.details-name": "VolumeStatus.Details.Name",
        "volume-status.details-status": "VolumeStatus.Details.Status",
    },
    absent=(
        *("action.code", "action.description", "action.event-id", "event.description", "event.event-id"),
        *("event.event-type", "event.not-after", "event.not-before"),
    ),
)
