"""RegisterImage: a further image of the bytes behind a snapshot."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.image import check_mapping
from pileus.faces.ec2.instance.launch import ROOT_DEVICES
from pileus.faces.ec2.snapshot import absent, image_behind
from pileus.faces.ec2.tag import specified
from pileus.model.errors import InvalidValue, NotFound, Unsupported
from pileus.verbs import image as verbs

_READ = frozenset({"SnapshotId", "VolumeSize", "Encrypted"})
"""The parameters of a root disk that are read here."""


@action("RegisterImage")
def register(call: Call) -> dict[str, Any]:
    """Register the bytes behind a snapshot as a further image, which gets a snapshot of its own. It has one disk."""
    args = call.args
    if not args.get("Name"):
        raise missing("Name")
    disk = _root(args)
    request = verbs.RegistrationRequest(
        source=image_behind(call, disk["SnapshotId"]),
        name=args["Name"],
        description=args.get("Description", ""),
        min_disk=disk.get("VolumeSize", 0),
        tags=specified(args, "image")["image"],
    )
    try:
        return {"ImageId": verbs.register_again(call.caller, call.core, request).ec2_id}
    except NotFound as error:
        raise absent(disk["SnapshotId"]) from error


def _root(args: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the root disk. Raises InvalidValue without a snapshot for it, Unsupported for other disks."""
    device = args.get("RootDeviceName", ROOT_DEVICES[0])
    if device not in ROOT_DEVICES:
        raise Unsupported(f"The root device of images is {ROOT_DEVICES[0]}, not {device[:40]}.", noun="image")
    root: dict[str, Any] = {}
    for mapping in args.get("BlockDeviceMappings", ()):
        check_mapping(mapping, _READ)
        if mapping.get("Ebs", {}).get("Encrypted"):
            raise Unsupported("This cloud does not encrypt disks.", noun="image")
        if mapping.get("DeviceName") in ROOT_DEVICES and root:
            raise InvalidValue("The root device is mapped twice.", reason="disk")
        root = root or mapping.get("Ebs", {})
    if not root.get("SnapshotId"):
        text = f"The block device mappings need a snapshot (Ebs.SnapshotId) for the root device {device}."
        raise InvalidValue(text, reason="disk")
    return root
