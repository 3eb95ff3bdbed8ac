"""Machine images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.tag import shown
from pileus.faces.wire.scalars import from_timestamp
from pileus.model.caller import SYSTEM
from pileus.model.image import Image
from pileus.verbs import image as verbs
from pileus.verbs import project

GIB = 1 << 30
NOBODY = "000000000000"
"""The account of images that are the cloud's and no project's."""


@action("DescribeImages")
def describe(call: Call) -> dict[str, Any]:
    """List the images that the caller may start from, by id, by owner, or all."""
    args = call.args
    images = verbs.listing(call.caller, call.core, args.get("ImageIds", ()))
    found = _rendered(call, images)
    if owners := args.get("Owners"):
        wanted = {call.caller.account_id if owner == "self" else owner for owner in owners}
        found = [item for item in found if wanted & {item["OwnerId"], item.get("ImageOwnerAlias")}]
    if users := args.get("ExecutableUsers"):
        # Images are for everybody or for their project alone: there are no lists of accounts.
        found = [item for item in found if "all" in users and item["Public"]]
    keep = filters.compiled(args.get("Filters"), _FILTERS, filters.tags_of)
    page, more = paging.paged(args, [item for item in found if keep is None or keep(item)])
    return {"Images": page, **more}


def _rendered(call: Call, images: Sequence[Image]) -> list[dict[str, Any]]:
    accounts = {"": NOBODY, call.caller.project: call.caller.account_id}
    if any(image.project not in accounts for image in images):
        # Whose a public image is, is public: the caller need not see that project otherwise.
        accounts |= {each.uuid: each.wanted.account_id for each in project.listing(SYSTEM, call.core)}
    return [_image(image, accounts.get(image.project, NOBODY)) for image in images]


def _image(image: Image, account: str) -> dict[str, Any]:
    wanted = image.wanted
    root = {
        "DeviceName": "/dev/vda",
        "Ebs": {
            "DeleteOnTermination": True,
            "VolumeSize": max(wanted.min_disk, -(-wanted.virtual_size // GIB)),
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
        "State": "available",
        "CreationDate": from_timestamp(image.created),
        "Architecture": wanted.architecture,
        "ImageType": "machine",
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "Hypervisor": "xen",
        "VirtualizationType": "hvm",
        "BootMode": "legacy-bios",
        "EnaSupport": False,
        "RootDeviceName": "/dev/vda",
        "RootDeviceType": "ebs",
        "BlockDeviceMappings": [root],
        "Tags": shown(image.tags),
    }


_FILTERS = {
    **filters.of_members(
        architecture="Architecture",
        boot_mode="BootMode",
        creation_date="CreationDate",
        description="Description",
        ena_support="EnaSupport",
        hypervisor="Hypervisor",
        image_id="ImageId",
        image_type="ImageType",
        is_public="Public",
        manifest_location="ImageLocation",
        name="Name",
        owner_alias="ImageOwnerAlias",
        owner_id="OwnerId",
        platform_details="PlatformDetails",
        root_device_name="RootDeviceName",
        root_device_type="RootDeviceType",
        state="State",
        usage_operation="UsageOperation",
        virtualization_type="VirtualizationType",
    ),
    "block-device-mapping.delete-on-termination": filters.member("BlockDeviceMappings.Ebs.DeleteOnTermination"),
    "block-device-mapping.device-name": filters.member("BlockDeviceMappings.DeviceName"),
    "block-device-mapping.encrypted": filters.member("BlockDeviceMappings.Ebs.Encrypted"),
    "block-device-mapping.volume-size": filters.member("BlockDeviceMappings.Ebs.VolumeSize"),
    "block-device-mapping.volume-type": filters.member("BlockDeviceMappings.Ebs.VolumeType"),
    **dict.fromkeys(
        (
            "block-device-mapping.snapshot-id",
            "free-tier-eligible",
            "image-allowed",
            "kernel-id",
            "platform",
            "product-code",
            "product-code.type",
            "ramdisk-id",
            "source-image-id",
            "source-image-region",
            "source-instance-id",
            "sriov-net-support",
            "state-reason-code",
            "state-reason-message",
            "tpm-support",
        ),
        filters.none,
    ),
}
