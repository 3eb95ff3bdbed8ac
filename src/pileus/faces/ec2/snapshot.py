"""Snapshots: so far one behind each image, the source of its root disk, which goes with the image."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuid_of
from pileus.faces.ec2.image import check_accounts, of_owners, size, with_owners
from pileus.faces.ec2.names import check_id, ec2_id
from pileus.faces.ec2.tag import shown
from pileus.faces.wire.scalars import from_timestamp
from pileus.model.errors import Conflict, NotFound
from pileus.model.image import Image, State, snapshot_id, state
from pileus.model.instance import Instance
from pileus.verbs import image as verbs

_NO_VOLUME = "vol-ffffffff"
"""EC2's word for the volume of a snapshot that was not made of one."""

_STATES = {State.AVAILABLE: "completed", State.PENDING: "pending", State.FAILED: "error"}


@action("DescribeSnapshots")
def describe(call: Call) -> dict[str, Any]:
    """Lists only: the snapshot behind each image that the caller may start from, by id, by owner, or all."""
    args = call.args
    images = verbs.listing(call.caller, call.core)
    snapshots = [_snapshot(image, account) for image, account in with_owners(call, images)]
    if idents := args.get("SnapshotIds"):
        snapshots = _chosen(snapshots, idents)
    if owner_ids := args.get("OwnerIds"):
        snapshots = of_owners(call, snapshots, owner_ids, "OwnerAlias")
    if user_ids := args.get("RestorableByUserIds"):
        check_accounts(user_ids, ("self", "all"))
        snapshots = [item for item in snapshots if "all" in user_ids and item.get("OwnerAlias")]
    return paging.listed(args, "Snapshots", snapshots, _FILTERS)


@action("DeleteSnapshot")
def delete(call: Call) -> dict[str, Any]:
    """Refuse the snapshot of an image; accept that of an image that was deregistered, which is gone with it."""
    ident = call.args["SnapshotId"]
    images = {snapshot_id(image.ec2_id): image for image in verbs.listing(call.caller, call.core)}
    image_behind(call, ident)
    if ident not in images:
        return {}
    text = f"The snapshot {ident} is currently in use by {images[ident].ec2_id}"
    raise Conflict(text, noun="snapshot", ident=ident, reason="in-use")


def image_behind(call: Call, ident: str) -> str:
    """The uuid of the image, which may have ended, that a snapshot is behind. Raises Malformed, NotFound."""
    check_id("snap", "snapshot", ident)
    try:
        return uuid_of(call, Image, f"{Image.PREFIX}-{ident.removeprefix('snap-')}")
    except NotFound as error:
        raise absent(ident) from error


def absent(ident: str) -> NotFound:
    """The error for an id of no snapshot."""
    return NotFound(f"The snapshot '{ident}' does not exist.", noun="snapshot", ident=ident)


def _chosen(items: list[dict[str, Any]], ids: list[str]) -> list[dict[str, Any]]:
    by_id = {item["SnapshotId"]: item for item in items}
    for ident in ids:
        check_id("snap", "snapshot", ident)
        if ident not in by_id:
            raise absent(ident)
    return [by_id[ident] for ident in dict.fromkeys(ids)]


def _snapshot(image: Image, account: str) -> dict[str, Any]:
    wanted = image.wanted
    source = ec2_id(Instance, wanted.instance) if wanted.instance else ""
    now = _STATES.get(state(image), "error")
    return {
        "SnapshotId": snapshot_id(image.ec2_id),
        "VolumeId": _NO_VOLUME,
        "VolumeSize": size(image),
        "State": now,
        "Progress": "100%" if now == "completed" else "0%",
        "StartTime": image.created,
        "OwnerId": account,
        "OwnerAlias": "amazon" if wanted.public else None,
        "Description": f"Created by CreateImage({source}) for {image.ec2_id}" if source else f"For {image.ec2_id}",
        "Encrypted": False,
        "StorageTier": "standard",
        "Tags": shown(wanted.snapshot_tags),
    }


_FILTERS = filters.of_members(
    *("Description", "Encrypted", "OwnerAlias", "OwnerId", "Progress", "SnapshotId", "StorageTier", "VolumeId"),
    *("VolumeSize",),
    others={"status": "State"},
    absent=("transfer-type",),
) | {"start-time": lambda item: (from_timestamp(item["StartTime"]),)}
