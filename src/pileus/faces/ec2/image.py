"""Images: listing them, having an instance's disk captured as one, and forgetting them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from pileus.faces.ec2 import distribution, elements, filters, paging
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuid_of, uuids_of
from pileus.faces.ec2.instance.launch import ROOT_DEVICES
from pileus.faces.ec2.instance.shape import ROOT_DEVICE
from pileus.faces.ec2.names import ec2_id
from pileus.faces.ec2.tag import shown, specified
from pileus.faces.wire.scalars import from_timestamp
from pileus.model.caller import SYSTEM
from pileus.model.errors import Malformed, Unsupported
from pileus.model.image import Image, State, content, snapshot_id, state
from pileus.model.instance import Instance
from pileus.verbs import image as verbs
from pileus.verbs import project

GIB = 1 << 30
OWNERS = ("self", "amazon", "aws-marketplace", "aws-backup-vault")
"""Amazon's words for owners of images."""

NOBODY = "000000000000"
"""The account of images that are the cloud's and no project's."""


@action("DescribeImages")
def describe(call: Call) -> dict[str, Any]:
    """List the images that the caller may start from, by id, by owner, or all."""
    args = call.args
    images = verbs.listing(call.caller, call.core, uuids_of(call, Image, args.get("ImageIds", ())))
    of_distributions = {"name": distribution.names, "owner-id": distribution.owner_ids}
    supported_filters = {**_FILTERS, **of_distributions}
    if not args.get("Owners") and not args.get("ExecutableUsers"):
        owned = [OwnedImage(image=image, account=account) for image, account in with_owners(call, images)]
        return elements.listed(call, "Images", "Image", owned, _owned, supported_filters)
    items = [rendered(image, account) for image, account in with_owners(call, images)]
    if owners := args.get("Owners"):
        owned_ids = {item["ImageId"] for item in of_owners(call, items, owners, "ImageOwnerAlias")}
        named_owners = frozenset(owners)
        items = [item for item in items if item["ImageId"] in owned_ids or named_owners & distribution.owners(item)]
    if users := args.get("ExecutableUsers"):
        check_accounts(users, ("self", "all"))
        accounts = {call.caller.account_id if user == "self" else user for user in users}
        shared = {image.ec2_id for image in images if accounts & set(image.wanted.accounts)}
        items = [item for item in items if (item["Public"] and "all" in users) or item["ImageId"] in shared]
    return paging.listed(args, "Images", items, supported_filters)


class OwnedImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image with the account of its project."""

    image: Image
    account: str


def _owned(_: Call, owned: OwnedImage) -> dict[str, Any]:
    return rendered(owned.image, owned.account)


def of_owners(call: Call, items: list[dict[str, Any]], names: list[str], alias: str) -> list[dict[str, Any]]:
    """Return the items of the owners `names`, by account or by the word in the member `alias`. Raises Malformed."""
    check_accounts(names, OWNERS)
    accounts = {call.caller.account_id if name == "self" else name for name in names}
    return [item for item in items if accounts & {item["OwnerId"], item.get(alias)}]


def check_accounts(accounts: list[str], words: tuple[str, ...]) -> None:
    """Raise Malformed for a name that is neither in `words` nor an account's number."""
    for each in accounts:
        if each not in words and not re.fullmatch(r"[0-9]{12}", each):
            raise Malformed(f'Invalid user id: "{each[:40]}"', noun="owner", ident=each)


_HARMLESS = frozenset({"DeleteOnTermination", "VolumeType", "Iops", "Throughput"})
"""The parameters that a request may give for an image's root disk: they are so already, or mean nothing here."""


@action("CreateImage")
def create(call: Call) -> dict[str, Any]:
    """Have an image made of an instance's root disk: pending until it is captured and its bytes are here.

    The instance is shut down for it and started again, unless NoReboot.
    """
    args = call.args
    for name in ("InstanceId", "Name"):
        if not args.get(name):
            raise missing(name)
    source = uuid_of(call, Instance, args["InstanceId"])
    if args.get("SnapshotLocation", "regional") != "regional" or args.get("BootModeOverride"):
        raise Unsupported("This cloud supports neither SnapshotLocation=local nor BootModeOverride.", noun="image")
    for mapping in args.get("BlockDeviceMappings", ()):
        check_mapping(mapping)
    tags = specified(args, "image", "snapshot")
    request = verbs.CaptureRequest(
        instance=source,
        name=args["Name"],
        description=args.get("Description", ""),
        reboot=not args.get("NoReboot"),
        tags=tags["image"],
        snapshot_tags=tags["snapshot"],
    )
    return {"ImageId": verbs.capture(call.caller, call.core, request).ec2_id}


def check_mapping(mapping: dict[str, Any], read: frozenset[str] = frozenset()) -> None:
    """Whether a mapping says nothing but how an image of one root disk is, beside what the caller `read` of its disk.

    Raises Unsupported.
    """
    device, disk = mapping.get("DeviceName", ""), mapping.get("Ebs", {})
    if "NoDevice" in mapping and device not in ROOT_DEVICES:
        return
    others = sorted(disk.keys() - _HARMLESS - read)
    if mapping.get("VirtualName") or "NoDevice" in mapping or device not in ROOT_DEVICES or others:
        what = f"{others[0]} for {device}" if others else f"a mapping of {device or 'no device'}"
        raise Unsupported(f"Images have one disk, their root, as it is: this cloud cannot honour {what}.", noun="image")


@action("DeregisterImage")
def deregister(call: Call) -> dict[str, Any]:
    """Forget an image, or give up one that is pending; what was launched from it keeps its disk."""
    ident = call.args.get("ImageId", "")
    if not ident:
        raise missing("ImageId")
    verbs.deregister(call.caller, call.core, uuid_of(call, Image, ident))
    return {"Return": True}


def size(image: Image) -> int:
    """The least size of a root disk that starts as the image, in GiB."""
    wanted = content(image)
    return max(wanted.min_disk, -(-wanted.virtual_size // GIB))


def with_owners(call: Call, images: Sequence[Image]) -> list[tuple[Image, str]]:
    """Each image with the account of its project; with NOBODY for the cloud's own images."""
    accounts = {"": NOBODY, call.caller.project: call.caller.account_id}
    if any(image.project not in accounts for image in images):
        # Whose a public image is, is public: the caller need not see that project otherwise.
        accounts |= {each.uuid: each.wanted.account_id for each in project.listing(SYSTEM, call.core)}
    return [(image, accounts.get(image.project, NOBODY)) for image in images]


def rendered(image: Image, account: str) -> dict[str, Any]:
    """An image as a member of `Images`, owned by this account."""
    wanted = content(image)
    root = {
        "DeviceName": ROOT_DEVICE,
        "Ebs": {
            "DeleteOnTermination": True,
            "SnapshotId": snapshot_id(image.ec2_id),
            "VolumeSize": size(image),
            "VolumeType": "standard",
            "Encrypted": False,
        },
    }
    return {
        "ImageId": image.ec2_id,
        "Name": image.name,
        "Description": wanted.description,
        "ImageLocation": f"{account}/{image.name}",
        "ImageOwnerAlias": "amazon" if wanted.public else None,
        "OwnerId": account,
        "Public": wanted.public,
        "State": str(state(image)),
        **_source(image),
        "CreationDate": from_timestamp(image.created),
        "Architecture": wanted.architecture,
        "ImageType": "machine",
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "Hypervisor": "xen",
        "VirtualizationType": "hvm",
        "BootMode": "legacy-bios",
        "EnaSupport": False,
        "RootDeviceName": ROOT_DEVICE,
        "RootDeviceType": "ebs",
        "BlockDeviceMappings": [root],
        "Tags": shown(image.tags),
    }


def _source(image: Image) -> dict[str, Any]:
    """Return the members about the instance that an image was captured of, with the reason of a capture that failed."""
    if not image.wanted.instance:
        return {}
    source_members: dict[str, Any] = {"SourceInstanceId": ec2_id(Instance, image.wanted.instance)}
    fault = image.seen.fault if image.seen is not None else None
    if fault is not None and state(image) is not State.AVAILABLE:
        source_members["StateReason"] = {"Code": f"Server.{fault.code}", "Message": fault.message}
    return source_members


_SEVERITIES = ("critical", "high", "medium", "low", "informational")
_WATERMARK = (
    *("source-image-creation-time", "source-image-id", "source-image-region", "watermark-creation-time"),
    "watermark-key",
)
_FILTERS = filters.of_members(
    *("Architecture", "BootMode", "CreationDate", "Description", "EnaSupport", "Hypervisor", "ImageId", "ImageType"),
    *("PlatformDetails", "RootDeviceName", "RootDeviceType", "SourceInstanceId", "State"),
    *("UsageOperation", "VirtualizationType"),
    others={
        "block-device-mapping.delete-on-termination": "BlockDeviceMappings.Ebs.DeleteOnTermination",
        "block-device-mapping.device-name": "BlockDeviceMappings.DeviceName",
        "block-device-mapping.encrypted": "BlockDeviceMappings.Ebs.Encrypted",
        "block-device-mapping.snapshot-id": "BlockDeviceMappings.Ebs.SnapshotId",
        "block-device-mapping.volume-size": "BlockDeviceMappings.Ebs.VolumeSize",
        "block-device-mapping.volume-type": "BlockDeviceMappings.Ebs.VolumeType",
        "is-public": "Public",
        "manifest-location": "ImageLocation",
        "owner-alias": "ImageOwnerAlias",
        "state-reason-code": "StateReason.Code",
        "state-reason-message": "StateReason.Message",
    },
    absent=(
        *("free-tier-eligible", "image-allowed", "kernel-id", "platform", "product-code", "product-code.type"),
        *("ramdisk-id", "source-image-id", "source-image-region", "sriov-net-support", "tpm-support"),
        *("public-ssm-parameter-name", "scan-result.finding-scan-date", "scan-result.highest-finding-severity-label"),
        *(f"scan-result.{degree}-fix-available-since" for degree in _SEVERITIES),
        *(f"image-watermark.{name}" for name in _WATERMARK),
        *(f"instance-type-specification.{word}-instance-type" for word in ("supported", "unsupported")),
    ),
)
