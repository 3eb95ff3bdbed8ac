"""The attributes of an image: its description, and who may launch from it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuid_of
from pileus.faces.ec2.image import rendered
from pileus.model.errors import InvalidValue
from pileus.model.image import Image
from pileus.verbs import image as verbs
from pileus.verbs.image import ImageChange

_NOTHING: dict[str, tuple[str, Any]] = {
    "kernel": ("KernelId", {}),
    "ramdisk": ("RamdiskId", {}),
    "productCodes": ("ProductCodes", []),
    "sriovNetSupport": ("SriovNetSupport", {}),
    "tpmSupport": ("TpmSupport", {}),
    "uefiData": ("UefiData", {}),
    "lastLaunchedTime": ("LastLaunchedTime", {}),
    "imdsSupport": ("ImdsSupport", {}),
}
"""The attributes that no image here has: the member, and what it is then."""


@action("DescribeImageAttribute")
def describe(call: Call) -> dict[str, Any]:
    """One attribute of one image of the account's own."""
    image, name = _own(call), call.args["Attribute"]
    value: Any
    if name == "description":
        member, value = "Description", {"Value": image.wanted.description}
    elif name == "launchPermission":
        member, value = "LaunchPermissions", _permissions(image)
    elif name == "blockDeviceMapping":
        member, value = "BlockDeviceMappings", rendered(image, call.caller.account_id)["BlockDeviceMappings"]
    elif name == "bootMode":
        member, value = "BootMode", {"Value": "legacy-bios"}
    else:
        member, value = _NOTHING[name]
    return {"ImageId": image.ec2_id, member: value}


@action("ModifyImageAttribute")
def modify(call: Call) -> dict[str, Any]:
    """Change an image's description, or share it: with accounts, or with all by an administrator."""
    args = call.args
    attribute_names = [name for name in ("Description", "LaunchPermission", "Attribute") if name in args]
    if len(attribute_names) != 1:
        raise InvalidValue("Specify exactly one attribute to change.", reason="combination")
    if args.get("Attribute", "description") not in ("description", "launchPermission"):
        raise InvalidValue(f"The attribute {args['Attribute'][:40]} of an image is not modifiable.", reason="attribute")
    if "Description" in args or args.get("Attribute") == "description":
        text = args["Description"].get("Value") if "Description" in args else args.get("Value")
        change = ImageChange(description=text or "")
    elif "LaunchPermission" in args:
        change = _shared(args["LaunchPermission"].get("Add", ()), args["LaunchPermission"].get("Remove", ()))
    else:
        items = [{"UserId": user} for user in args.get("UserIds", ())]
        items += [{"Group": group} for group in args.get("UserGroups", ())]
        removes = args.get("OperationType") == "remove"
        if not items or "OperationType" not in args:
            raise InvalidValue("Specify OperationType, and UserIds or UserGroups.", reason="combination")
        change = _shared(() if removes else items, items if removes else ())
    verbs.modify(call.caller, call.core, _uuid(call), change)
    return {}


@action("ResetImageAttribute")
def reset(call: Call) -> dict[str, Any]:
    """Make an image its account's alone."""
    if call.args["Attribute"] != "launchPermission":
        raise InvalidValue("The attribute launchPermission alone can be reset.", reason="attribute")
    image = _own(call)
    verbs.modify(call.caller, call.core, image.uuid, ImageChange(public=False, remove=image.wanted.accounts))
    return {}


def _uuid(call: Call) -> str:
    return uuid_of(call, Image, call.args["ImageId"])


def _own(call: Call) -> Image:
    return verbs.one(call.caller, call.core, _uuid(call))


def _permissions(image: Image) -> list[dict[str, str]]:
    everybody = [{"Group": "all"}] if image.wanted.public else []
    return [*everybody, *({"UserId": account} for account in image.wanted.accounts)]


def _shared(added: Iterable[dict[str, str]], removed: Iterable[dict[str, str]]) -> ImageChange:
    public: bool | None = None
    accounts: dict[bool, list[str]] = {True: [], False: []}
    for adds, items in ((True, added), (False, removed)):
        for item in items:
            user, group = item.get("UserId", ""), item.get("Group", "")
            if group == "all":
                public = adds
            elif group or not re.fullmatch("[0-9]{12}", user):
                text = f'Invalid attribute item value "{(group or user)[:40]}" for launchPermission.'
                raise InvalidValue(text, noun="image", reason="account")
            if user:
                accounts[adds].append(user)
    return ImageChange(public=public, add=tuple(accounts[True]), remove=tuple(accounts[False]))
