"""Settings of an account that tools read and set: each has the one value that is so in this cloud."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pileus.faces.ec2 import paging
from pileus.faces.ec2.call import Call, action
from pileus.model.errors import InvalidValue, Unsupported

_FAMILIES = ("t2", "t3")
"""The families of burstable instance types that there are."""

_LONG_IDS = (
    *("customer-gateway", "dhcp-options", "elastic-ip-allocation", "elastic-ip-association", "flow-log", "image"),
    *("instance", "internet-gateway", "network-acl", "network-acl-association", "network-interface"),
    *("network-interface-attachment", "prefix-list", "reservation", "route-table", "route-table-association"),
    *("security-group", "snapshot", "subnet", "subnet-cidr-block-association", "volume", "vpc"),
    *("vpc-cidr-block-association", "vpc-endpoint", "vpc-peering-connection", "vpn-connection", "vpn-gateway"),
)
"""The types of resources whose ids are long."""


@action("GetInstanceMetadataDefaults")
def metadata_defaults(_call: Call) -> dict[str, Any]:
    """Return no defaults of the account's own: those of the cloud hold."""
    return {"AccountLevel": {"ManagedBy": "account"}}


@action("ModifyInstanceMetadataDefaults")
def modify_metadata_defaults(_call: Call) -> dict[str, Any]:
    """Accept what is so anyway: the account has no defaults of its own."""
    return {"Return": True}


@action("GetDefaultCreditSpecification")
def default_credits(call: Call) -> dict[str, Any]:
    """Return `standard` for each family of burstable instance types."""
    return _credits(call)


@action("ModifyDefaultCreditSpecification")
def modify_default_credits(call: Call) -> dict[str, Any]:
    """Accept `standard`, which is what every instance has."""
    if call.args["CpuCredits"] != "standard":
        raise InvalidValue("Invalid value for CpuCredits: standard.", reason="credits")
    return _credits(call)


def _credits(call: Call) -> dict[str, Any]:
    family = call.args["InstanceFamily"]
    if family not in _FAMILIES:
        choices = ", ".join(_FAMILIES)
        raise InvalidValue(f"The instance family '{family}' is not one of {choices}.", reason="family")
    return {"InstanceFamilyCreditSpecification": {"InstanceFamily": family, "CpuCredits": "standard"}}


@action("GetSerialConsoleAccessStatus")
def serial_console(_call: Call) -> dict[str, Any]:
    """Say that nobody types into serial consoles."""
    return {"SerialConsoleAccessEnabled": False, "ManagedBy": "account"}


@action("DisableSerialConsoleAccess")
def disable_serial_console(_call: Call) -> dict[str, Any]:
    """Accept that nobody types into serial consoles, which is always so."""
    return {"SerialConsoleAccessEnabled": False}


@action("GetEbsEncryptionByDefault")
def encryption_by_default(_call: Call) -> dict[str, Any]:
    """Say that disks are not encrypted by default."""
    return {"EbsEncryptionByDefault": False, "SseType": "none"}


@action("DisableEbsEncryptionByDefault")
def disable_encryption_by_default(_call: Call) -> dict[str, Any]:
    """Accept that disks are not encrypted by default, which is always so."""
    return {"EbsEncryptionByDefault": False}


@action("GetAllowedImagesSettings")
def allowed_images(_call: Call) -> dict[str, Any]:
    """Say that an account may start from each image that it sees."""
    return {"State": "disabled", "ImageCriteria": [], "ManagedBy": "account"}


@action("DisableAllowedImagesSettings")
def disable_allowed_images(_call: Call) -> dict[str, Any]:
    """Accept that an account may start from each image that it sees, which is always so."""
    return {"AllowedImagesSettingsState": "disabled"}


@action("GetImageBlockPublicAccessState")
def public_images(_call: Call) -> dict[str, Any]:
    """Say that images may be public: administrators make them so."""
    return {"ImageBlockPublicAccessState": "unblocked", "ManagedBy": "account"}


@action("DisableImageBlockPublicAccess")
def unblock_public_images(_call: Call) -> dict[str, Any]:
    """Accept that images may be public, which is always so."""
    return {"ImageBlockPublicAccessState": "unblocked"}


@action("GetSnapshotBlockPublicAccessState")
def public_snapshots(_call: Call) -> dict[str, Any]:
    """Say that snapshots may be public: those behind public images are."""
    return {"State": "unblocked", "ManagedBy": "account"}


@action("DisableSnapshotBlockPublicAccess")
def unblock_public_snapshots(_call: Call) -> dict[str, Any]:
    """Accept that snapshots may be public, which is always so."""
    return {"State": "unblocked"}


@action("ModifyIdFormat")
def modify_id_format(call: Call) -> dict[str, Any]:
    """Accept that the ids of a type of resource are long, which is always so; short ones are refused."""
    resource = call.args["Resource"]
    _statuses(() if resource == "all-current" else (resource,))
    if not call.args["UseLongIds"]:
        raise Unsupported("Ids are long in this cloud, and cannot be short.", noun="account")
    return {}


@action("DescribeIdFormat")
def id_format(call: Call) -> dict[str, Any]:
    """Say of each type of resource that its ids are long."""
    resource = call.args.get("Resource")
    return {"Statuses": _statuses(() if resource is None else (resource,))}


@action("DescribeAggregateIdFormat")
def aggregate_id_format(_call: Call) -> dict[str, Any]:
    """Say that all ids are long."""
    return {"UseLongIdsAggregated": True, "Statuses": _statuses(())}


@action("DescribePrincipalIdFormat")
def principal_id_format(call: Call) -> dict[str, Any]:
    """List no principals: none has set the length of ids, which is long."""
    _statuses(call.args.get("Resources", ()))
    paging.paged(call.args, [])
    return {"Principals": []}


def _statuses(resources: Sequence[str]) -> list[dict[str, Any]]:
    """The length of the ids of these types, of all for none. Raises InvalidValue."""
    for resource in resources:
        if resource not in _LONG_IDS:
            raise InvalidValue(f"'{resource[:40]}' is no type of a resource.", reason="resource")
    return [{"Resource": resource, "UseLongIds": True} for resource in resources or _LONG_IDS]
