"""Volumes: so far the root disks of instances, and listed only."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.instance.part import chosen
from pileus.faces.ec2.names import ec2_id, zone_id
from pileus.faces.ec2.tag import shown
from pileus.model.image import Image, snapshot_id
from pileus.model.volume import Volume
from pileus.rules.host import Heard
from pileus.rules.instance.view import InstanceView
from pileus.verbs.instance import view as instances

_UNKNOWN = "insufficient-data"


@action("DescribeVolumes")
def describe(call: Call) -> dict[str, Any]:
    """List volumes, by id or all."""
    args = call.args
    paging.alone(args, "VolumeIds", "volumeSet")
    views, _ = instances.listing(call.caller, call.core)
    volumes = {volume.ec2_id: (view, volume) for view in views for volume in view.volumes}
    volume_items = [_volume(call, view, volume) for view, volume in chosen(Volume, volumes, args.get("VolumeIds", ()))]
    keep = filters.compiled(args.get("Filters"), _FILTERS, filters.tags_of)
    page, more = paging.paged(args, [item for item in volume_items if keep is None or keep(item)])
    return {"Volumes": page, **more}


def _volume(call: Call, view: InstanceView, volume: Volume) -> dict[str, Any]:
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
    args = call.args
    paging.alone(args, "VolumeIds", "volumeSet")
    with call.core.store.read() as tx:
        liveness = Heard(tx, call.core.store.now())
    views, _ = instances.listing(call.caller, call.core)
    volumes = {volume.ec2_id: (view, volume) for view in views for volume in view.volumes}
    items = [
        _status(call, view, volume, liveness) for view, volume in chosen(Volume, volumes, args.get("VolumeIds", ()))
    ]
    keep = filters.compiled(args.get("Filters"), _STATUS_FILTERS, filters.tags_of)
    page, more = paging.paged(args, [item for item in items if keep is None or keep(item)])
    return {"VolumeStatuses": page, **more}


def _status(call: Call, view: InstanceView, volume: Volume, liveness: Heard) -> dict[str, Any]:
    zone = view.instance.wanted.zone or call.core.place.zone
    lost = liveness.lost(view.instance.assigned.host)
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


_FILTERS = {
    **filters.of_members(
        availability_zone="AvailabilityZone",
        encrypted="Encrypted",
        multi_attach_enabled="MultiAttachEnabled",
        size="Size",
        snapshot_id="SnapshotId",
        status="State",
        volume_id="VolumeId",
        volume_type="VolumeType",
    ),
    "attachment.delete-on-termination": filters.member("Attachments.DeleteOnTermination"),
    "attachment.device": filters.member("Attachments.Device"),
    "attachment.instance-id": filters.member("Attachments.InstanceId"),
    "attachment.status": filters.member("Attachments.State"),
    "attachment.attach-time": filters.none,
    "create-time": filters.none,
    "fast-restored": filters.none,
}
_STATUS_FILTERS = {
    "availability-zone": filters.member("AvailabilityZone"),
    "attachment-status.instance-id": filters.member("AttachmentStatuses.InstanceId"),
    "attachment-status.io-performance": filters.member("AttachmentStatuses.IoPerformance"),
    "volume-status.details-name": filters.member("VolumeStatus.Details.Name"),
    "volume-status.details-status": filters.member("VolumeStatus.Details.Status"),
    "volume-status.status": filters.member("VolumeStatus.Status"),
    **dict.fromkeys(
        (
            "action.code",
            "action.description",
            "action.event-id",
            "event.description",
            "event.event-id",
            "event.event-type",
            "event.not-after",
            "event.not-before",
        ),
        filters.none,
    ),
}
