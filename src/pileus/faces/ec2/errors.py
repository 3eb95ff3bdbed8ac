"""The one table from the core's errors to Amazon's codes and statuses.

Source: "Error codes for the Amazon EC2 API" in its reference, and what EC2 is known to answer where that differs.
"""

from __future__ import annotations

import re

from pileus.faces.ec2.names import ec2_id
from pileus.faces.wire.errors import ErrorResponse, WireError, nearest
from pileus.model import bounds
from pileus.model.errors import Fault, PileusError
from pileus.model.nouns import NOUNS

_BAD = 400

TABLE: dict[tuple[str, str, str], tuple[str, int]] = {
    ("NotFound", "", ""): ("InvalidID", _BAD),
    ("NotFound", "instance", ""): ("InvalidInstanceID.NotFound", _BAD),
    ("NotFound", "image", ""): ("InvalidAMIID.NotFound", _BAD),
    ("NotFound", "keypair", ""): ("InvalidKeyPair.NotFound", _BAD),
    ("NotFound", "securitygroup", ""): ("InvalidGroup.NotFound", _BAD),
    ("NotFound", "securitygrouprule", ""): ("InvalidSecurityGroupRuleId.NotFound", _BAD),
    ("NotFound", "securitygrouprule", "rule"): ("InvalidPermission.NotFound", _BAD),
    ("NotFound", "prefixlist", ""): ("InvalidPrefixListID.NotFound", _BAD),
    ("NotFound", "prefixlist", "entry"): ("InvalidParameterValue", _BAD),
    ("NotFound", "prefixlist", "version"): ("InvalidParameterValue", _BAD),
    ("NotFound", "subnet", ""): ("InvalidSubnetID.NotFound", _BAD),
    ("NotFound", "subnet", "default"): ("MissingInput", _BAD),
    ("NotFound", "subnet", "range"): ("InvalidSubnetCidrBlockAssociationID.NotFound", _BAD),
    ("NotFound", "router", ""): ("InvalidVpcID.NotFound", _BAD),
    ("NotFound", "router", "no-default"): ("DefaultVpcDoesNotExist", _BAD),
    ("NotFound", "router", "range"): ("InvalidVpcCidrBlockAssociationIdError.NotFound", _BAD),
    ("NotFound", "egressgateway", ""): ("InvalidEgressOnlyInternetGatewayId.NotFound", _BAD),
    ("NotFound", "flowlog", ""): ("InvalidFlowLogId.NotFound", _BAD),
    ("NotFound", "internetgateway", ""): ("InvalidInternetGatewayID.NotFound", _BAD),
    ("NotFound", "instanceprofile", ""): ("InvalidParameterValue", _BAD),
    ("NotFound", "instanceprofile", "association"): ("InvalidAssociationID.NotFound", _BAD),
    ("NotFound", "launchtemplate", ""): ("InvalidLaunchTemplateId.NotFound", _BAD),
    ("NotFound", "launchtemplate", "name"): ("InvalidLaunchTemplateName.NotFoundException", _BAD),
    ("NotFound", "launchtemplate", "version"): ("InvalidLaunchTemplateId.VersionNotFound", _BAD),
    ("NotFound", "natgateway", ""): ("NatGatewayNotFound", _BAD),
    ("NotFound", "networkacl", ""): ("InvalidNetworkAclID.NotFound", _BAD),
    ("NotFound", "networkacl", "association"): ("InvalidAssociationID.NotFound", _BAD),
    ("NotFound", "networkacl", "entry"): ("InvalidNetworkAclEntry.NotFound", _BAD),
    ("NotFound", "peering", ""): ("InvalidVpcPeeringConnectionID.NotFound", _BAD),
    ("NotFound", "routetable", ""): ("InvalidRouteTableID.NotFound", _BAD),
    ("NotFound", "routetable", "association"): ("InvalidAssociationID.NotFound", _BAD),
    ("NotFound", "routetable", "route"): ("InvalidRoute.NotFound", _BAD),
    ("NotFound", "router", "default"): ("VPCIdNotSpecified", _BAD),
    ("NotFound", "routerattachment", ""): ("InvalidTransitGatewayAttachmentID.NotFound", _BAD),
    ("NotFound", "transitgateway", ""): ("InvalidTransitGatewayID.NotFound", _BAD),
    ("NotFound", "transittable", ""): ("InvalidRouteTableID.NotFound", _BAD),
    ("NotFound", "transittable", "association"): ("InvalidAssociation.NotFound", _BAD),
    ("NotFound", "transittable", "propagation"): ("TransitGatewayRouteTablePropagation.NotFound", _BAD),
    ("NotFound", "transittable", "route"): ("InvalidRoute.NotFound", _BAD),
    ("NotFound", "volume", ""): ("InvalidVolume.NotFound", _BAD),
    ("NotFound", "port", ""): ("InvalidNetworkInterfaceID.NotFound", _BAD),
    ("NotFound", "port", "attachment"): ("InvalidAttachmentID.NotFound", _BAD),
    ("NotFound", "floatingip", ""): ("InvalidAllocationID.NotFound", _BAD),
    ("NotFound", "floatingip", "association"): ("InvalidAssociationID.NotFound", _BAD),
    ("NotFound", "floatingip", "address"): ("InvalidAddress.NotFound", _BAD),
    ("NotFound", "snapshot", ""): ("InvalidSnapshot.NotFound", _BAD),
    ("NotFound", "dhcpoptionset", ""): ("InvalidDhcpOptionID.NotFound", _BAD),
    ("NotFound", "placementgroup", ""): ("InvalidPlacementGroup.Unknown", _BAD),
    ("NotFound", "dedicatedhost", ""): ("InvalidHostID.NotFound", _BAD),
    ("NotFound", "flavor", ""): ("InvalidInstanceType", _BAD),
    ("Malformed", "", ""): ("InvalidParameterValue", _BAD),
    ("Malformed", "instance", ""): ("InvalidInstanceID.Malformed", _BAD),
    ("Malformed", "image", ""): ("InvalidAMIID.Malformed", _BAD),
    ("Malformed", "securitygroup", ""): ("InvalidGroupId.Malformed", _BAD),
    ("Malformed", "subnet", ""): ("InvalidSubnetID.Malformed", _BAD),
    ("Malformed", "dhcpoptionset", ""): ("InvalidDhcpOptionsId.Malformed", _BAD),
    ("Malformed", "egressgateway", ""): ("InvalidEgressOnlyInternetGatewayId.Malformed", _BAD),
    ("Malformed", "flowlog", ""): ("InvalidFlowLogId.NotFound", _BAD),
    ("Malformed", "internetgateway", ""): ("InvalidInternetGatewayId.Malformed", _BAD),
    ("Malformed", "launchtemplate", ""): ("InvalidLaunchTemplateId.Malformed", _BAD),
    ("Malformed", "natgateway", ""): ("NatGatewayMalformed", _BAD),
    ("Malformed", "prefixlist", ""): ("InvalidPrefixListId.Malformed", _BAD),
    ("Malformed", "networkacl", ""): ("InvalidNetworkAclId.Malformed", _BAD),
    ("Malformed", "peering", ""): ("InvalidVpcPeeringConnectionId.Malformed", _BAD),
    ("Malformed", "routetable", ""): ("InvalidRouteTableId.Malformed", _BAD),
    ("Malformed", "router", ""): ("InvalidVpcID.Malformed", _BAD),
    ("Malformed", "routerattachment", ""): ("InvalidTransitGatewayAttachmentID.Malformed", _BAD),
    ("Malformed", "transitgateway", ""): ("InvalidTransitGatewayID.Malformed", _BAD),
    ("Malformed", "transittable", ""): ("InvalidRouteTableId.Malformed", _BAD),
    ("Malformed", "securitygrouprule", ""): ("InvalidSecurityGroupRuleId.Malformed", _BAD),
    ("Malformed", "owner", ""): ("InvalidUserID.Malformed", _BAD),
    ("Malformed", "volume", ""): ("InvalidVolumeID.Malformed", _BAD),
    ("Malformed", "snapshot", ""): ("InvalidSnapshotID.Malformed", _BAD),
    ("Malformed", "port", ""): ("InvalidNetworkInterfaceId.Malformed", _BAD),
    ("Malformed", "floatingip", ""): ("InvalidAllocationID.NotFound", _BAD),
    ("Malformed", "floatingip", "address"): ("InvalidAddress.Malformed", _BAD),
    ("Malformed", "placementgroup", ""): ("InvalidPlacementGroupId.Malformed", _BAD),
    ("Malformed", "network", ""): ("InvalidID", _BAD),
    ("Conflict", "", ""): ("IncorrectState", _BAD),
    ("Conflict", "image", "unavailable"): ("InvalidAMIID.Unavailable", _BAD),
    ("Conflict", "instance", "state"): ("IncorrectInstanceState", _BAD),
    ("Conflict", "instance", "protected"): ("OperationNotPermitted", _BAD),
    ("Conflict", "securitygroup", "default"): ("CannotDelete", _BAD),
    ("Conflict", "floatingip", "in-use"): ("InvalidIPAddress.InUse", _BAD),
    ("Conflict", "floatingip", "associated"): ("Resource.AlreadyAssociated", _BAD),
    ("Conflict", "placementgroup", "in-use"): ("InvalidPlacementGroup.InUse", _BAD),
    ("Conflict", "internetgateway", "attached"): ("Resource.AlreadyAssociated", _BAD),
    ("Conflict", "internetgateway", "not-attached"): ("Gateway.NotAttached", _BAD),
    ("Conflict", "natgateway", "no-gateway"): ("Gateway.NotAttached", _BAD),
    ("Conflict", "prefixlist", "version"): ("PrefixListVersionMismatch", _BAD),
    ("Conflict", "port", "first"): ("OperationNotPermitted", _BAD),
    ("Conflict", "port", "in-use"): ("InvalidNetworkInterface.InUse", _BAD),
    ("Conflict", "snapshot", "in-use"): ("InvalidSnapshot.InUse", _BAD),
    ("Conflict", "port", "not-attached"): ("InvalidAttachmentID.NotFound", _BAD),
    ("Conflict", "router", "default-exists"): ("DefaultVpcAlreadyExists", _BAD),
    ("Conflict", "router", "gateway"): ("InvalidParameterValue", _BAD),
    ("Conflict", "router", "ranges"): ("CidrLimitExceeded", _BAD),
    ("Conflict", "peering", "status"): ("InvalidStateTransition", _BAD),
    ("Conflict", "routetable", "associated"): ("Resource.AlreadyAssociated", _BAD),
    ("Conflict", "subnet", "default-exists"): ("DefaultSubnetAlreadyExistsInAvailabilityZone", _BAD),
    ("Conflict", "subnet", "ipv6"): ("InvalidSubnet.Conflict", _BAD),
    ("Conflict", "subnet", "overlap"): ("InvalidSubnet.Conflict", _BAD),
    ("Conflict", "transittable", "associated"): ("Resource.AlreadyAssociated", _BAD),
    ("Conflict", "", "in-use"): ("DependencyViolation", _BAD),
    ("Duplicate", "", ""): ("InvalidParameterValue", _BAD),
    ("Duplicate", "flowlog", "pair"): ("FlowLogAlreadyExists", _BAD),
    ("Duplicate", "image", ""): ("InvalidAMIName.Duplicate", _BAD),
    ("Duplicate", "keypair", ""): ("InvalidKeyPair.Duplicate", _BAD),
    ("Duplicate", "launchtemplate", ""): ("InvalidLaunchTemplateName.AlreadyExistsException", _BAD),
    ("Duplicate", "securitygroup", ""): ("InvalidGroup.Duplicate", _BAD),
    ("Duplicate", "securitygroup", "reserved"): ("InvalidGroup.Reserved", _BAD),
    ("Duplicate", "securitygroup", "rule"): ("InvalidPermission.Duplicate", _BAD),
    ("Duplicate", "networkacl", "entry"): ("NetworkAclEntryAlreadyExists", _BAD),
    ("Duplicate", "peering", "pair"): ("VpcPeeringConnectionAlreadyExists", _BAD),
    ("Duplicate", "routerattachment", "pair"): ("DuplicateTransitGatewayAttachment", _BAD),
    ("Duplicate", "routetable", "route"): ("RouteAlreadyExists", _BAD),
    ("Duplicate", "transittable", "propagation"): ("TransitGatewayRouteTablePropagation.Duplicate", _BAD),
    ("Duplicate", "transittable", "route"): ("RouteAlreadyExists", _BAD),
    ("Duplicate", "placementgroup", ""): ("InvalidPlacementGroup.Duplicate", _BAD),
    ("InvalidValue", "", ""): ("InvalidParameterValue", _BAD),
    ("InvalidValue", "image", "account"): ("InvalidAMIAttributeItemValue", _BAD),
    ("InvalidValue", "image", "name"): ("InvalidAMIName.Malformed", _BAD),
    ("InvalidValue", "instance", "flavor"): ("InvalidInstanceAttributeValue", _BAD),
    ("InvalidValue", "keypair", "key-format"): ("InvalidKey.Format", _BAD),
    ("InvalidValue", "instance", "interfaces"): ("InvalidInstanceID", _BAD),
    ("InvalidValue", "launchtemplate", "name"): ("InvalidLaunchTemplateName.MalformedException", _BAD),
    ("InvalidValue", "prefixlist", "entries"): ("PrefixListMaxEntriesExceeded", _BAD),
    ("InvalidValue", "router", "overlap"): ("InvalidVpc.Range", _BAD),
    ("InvalidValue", "routerattachment", "other-router"): ("InvalidSubnetID.NotFound", _BAD),
    ("InvalidValue", "routerattachment", "zone"): ("DuplicateSubnetsInSameZone", _BAD),
    ("InvalidValue", "router", "range"): ("InvalidVpc.Range", _BAD),
    ("InvalidValue", "subnet", "overlap"): ("InvalidSubnet.Conflict", _BAD),
    ("InvalidValue", "subnet", "range"): ("InvalidSubnet.Range", _BAD),
    ("InvalidValue", "", "user-data"): ("InvalidUserData.Malformed", _BAD),
    ("InvalidValue", "", "address-in-use"): ("InvalidIPAddress.InUse", _BAD),
    ("InvalidValue", "", "address-count"): ("InvalidParameterCombination", _BAD),
    ("InvalidValue", "", "disk"): ("InvalidBlockDeviceMapping", _BAD),
    ("InvalidValue", "", "memory"): ("InvalidParameterCombination", _BAD),
    ("InvalidValue", "", "combination"): ("InvalidParameterCombination", _BAD),
    ("InvalidValue", "", "missing"): ("MissingParameter", _BAD),
    ("InvalidValue", "", "other-vpc"): ("InvalidParameter", _BAD),
    ("InvalidValue", "", "pagination-token"): ("InvalidNextToken", _BAD),
    ("InvalidValue", "", "filter-limit"): ("FilterLimitExceeded", _BAD),
    ("QuotaExceeded", "", ""): ("ResourceLimitExceeded", _BAD),
    ("QuotaExceeded", "", "addresses"): ("PrivateIpAddressLimitExceeded", _BAD),
    ("QuotaExceeded", "", "interfaces"): ("AttachmentLimitExceeded", _BAD),
    ("QuotaExceeded", "", "instances"): ("InstanceLimitExceeded", _BAD),
    ("QuotaExceeded", "", "memory"): ("InstanceLimitExceeded", _BAD),
    ("QuotaExceeded", "", "vcpus"): ("VcpuLimitExceeded", _BAD),
    ("QuotaExceeded", "", "disk"): ("VolumeLimitExceeded", _BAD),
    ("QuotaExceeded", "", "securitygroups"): ("SecurityGroupLimitExceeded", _BAD),
    ("QuotaExceeded", "", "keypairs"): ("KeyPairLimitExceeded", _BAD),
    ("QuotaExceeded", "", "images"): ("AMIQuotaExceeded", _BAD),
    ("QuotaExceeded", "", "imagespace"): ("AMIQuotaExceeded", _BAD),
    ("QuotaExceeded", "", "volumes"): ("VolumeLimitExceeded", _BAD),
    ("QuotaExceeded", "", "ports"): ("NetworkInterfaceLimitExceeded", _BAD),
    ("QuotaExceeded", "", "routers"): ("VpcLimitExceeded", _BAD),
    ("QuotaExceeded", "", "dhcpoptionsets"): ("DhcpOptionsLimitExceeded", _BAD),
    ("QuotaExceeded", "", "egressgateways"): ("EgressOnlyInternetGatewayLimitExceeded", _BAD),
    ("QuotaExceeded", "", "flowlogs"): ("FlowLogsLimitExceeded", _BAD),
    ("QuotaExceeded", "", "internetgateways"): ("InternetGatewayLimitExceeded", _BAD),
    ("QuotaExceeded", "", "natgateways"): ("NatGatewayLimitExceeded", _BAD),
    ("QuotaExceeded", "", "entries"): ("NetworkAclEntryLimitExceeded", _BAD),
    ("QuotaExceeded", "", "networkacls"): ("NetworkAclLimitExceeded", _BAD),
    ("QuotaExceeded", "", "peerings"): ("VpcPeeringConnectionLimitExceeded", _BAD),
    ("QuotaExceeded", "", "routes"): ("RouteLimitExceeded", _BAD),
    ("QuotaExceeded", "", "routerattachments"): ("TransitGatewayAttachmentLimitExceeded", _BAD),
    ("QuotaExceeded", "", "routetables"): ("RouteTableLimitExceeded", _BAD),
    ("QuotaExceeded", "", "transitgateways"): ("TransitGatewayLimitExceeded", _BAD),
    ("QuotaExceeded", "", "transittables"): ("TransitGatewayRouteTableLimitExceeded", _BAD),
    ("QuotaExceeded", "", "subnets"): ("SubnetLimitExceeded", _BAD),
    ("QuotaExceeded", "", "floatingips"): ("AddressLimitExceeded", _BAD),
    ("QuotaExceeded", "", "rules"): ("RulesPerSecurityGroupLimitExceeded", _BAD),
    ("QuotaExceeded", "", "groups"): ("SecurityGroupsPerInterfaceLimitExceeded", _BAD),
    ("QuotaExceeded", "", "tags"): ("TagLimitExceeded", _BAD),
    ("NoCapacity", "", ""): ("InsufficientInstanceCapacity", 500),
    ("NoCapacity", "", "addresses"): ("InsufficientFreeAddressesInSubnet", _BAD),
    ("NoCapacity", "", "ipv6"): ("InsufficientCidrBlocks", _BAD),
    ("NoCapacity", "", "floating"): ("InsufficientAddressCapacity", 500),
    ("NoCapacity", "", "loopback"): ("InsufficientAddressCapacity", 500),
    ("Forbidden", "peering", "requester"): ("OperationNotPermitted", _BAD),
    ("Forbidden", "", ""): ("UnauthorizedOperation", 403),
    ("Forbidden", "image", "owner"): ("AuthFailure", 403),
    ("TokenReused", "", ""): ("IdempotentParameterMismatch", _BAD),
    ("TokenReused", "instance", "terminated"): ("IdempotentInstanceTerminated", _BAD),
    ("DryRun", "", ""): ("DryRunOperation", 412),
    ("Unsupported", "", ""): ("UnsupportedOperation", _BAD),
    ("Unavailable", "", ""): ("Unavailable", 503),
    ("Throttled", "", ""): ("RequestLimitExceeded", 503),
    ("TooLarge", "", ""): ("RequestEntityTooLarge", 413),
}
"""(core code, noun, reason) → (Amazon's code, status); an empty noun or reason stands for any."""

_WORDS = {
    "image": "image",
    "router": "vpc",
    "securitygroup": "security group",
    "keypair": "key pair",
    "port": "networkInterface",
    "volume": "volume",
    "dhcpoptionset": "dhcpOption",
    "floatingip": "allocation",
    "egressgateway": "egressOnlyInternetGateway",
    "flowlog": "flow log",
    "internetgateway": "internetGateway",
    "launchtemplate": "launch template",
    "natgateway": "natGateway",
    "prefixlist": "prefix list",
    "networkacl": "networkAcl",
    "peering": "vpcPeeringConnection",
    "routerattachment": "transitGatewayAttachment",
    "routetable": "routeTable",
    "transitgateway": "transitGateway",
    "transittable": "transitGatewayRouteTable",
}
"""Amazon's words for nouns that the core calls otherwise."""

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_UUIDS = re.compile(rf"{_UUID}(?:, {_UUID})*")
_LABEL = re.compile(rf"\b(The )?({'|'.join(NOUNS)}) ({_UUID})\b")
"""A noun in a message of the core: kind and uuid (`Noun.label`)."""

WORDINGS: dict[tuple[str, str, str], str] = {
    ("Conflict", "instance", "protected"): (
        "The instance '{ident}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try "
        "again."
    ),
    ("Conflict", "placementgroup", "in-use"): "The placement group '{ident}' is in use and may not be deleted.",
    ("Conflict", "securitygroup", "default"): (
        'the specified group: "{ident}" name: "default" cannot be deleted by a user'
    ),
    ("Conflict", "securitygroup", "in-use"): "resource {ident} has a dependent object",
    ("DryRun", "", ""): "Request would have succeeded, but DryRun flag is set.",
    ("Duplicate", "image", ""): "AMI name {ident} is already in use by another image.",
    ("Duplicate", "securitygroup", "rule"): 'the specified rule "{ident}, ALLOW" already exists',
    ("InvalidValue", "image", "name"): (
        "AMI names must be between 3 and 128 characters long, of letters, digits, spaces and ( ) [ ] . / - ' @ _"
    ),
    ("InvalidValue", "instance", "least"): "Invalid value '{ident}' for MinCount: it must be from 1 to MaxCount.",
    ("InvalidValue", "instance", "most"): f"Invalid value '{{ident}}' for MaxCount: at most {bounds.LAUNCHES.most}.",
    ("InvalidValue", "instance", "token"): f"ClientToken exceeds the maximum length of {bounds.TOKEN.most} characters.",
    ("InvalidValue", "keypair", "name"): (
        "Value ({ident}) for parameter KeyName is invalid: 1 to 255 printable characters."
    ),
    ("InvalidValue", "", "rule-twice"): "The same permission must not appear multiple times",
    ("NotFound", "router", "default"): "This project has no default VPC; name one.",
    ("NotFound", "securitygroup", "name"): "The security group '{ident}' does not exist in default VPC",
}
"""(core code, noun, reason) → Amazon's text, where its clients know errors by words; found as in `TABLE`.

`{ident}` is the error's, which may be a label.
"""

INTERNAL = ErrorResponse("InternalError", "An internal error has occurred", 500)


def told(error: Exception) -> ErrorResponse | None:
    """Return the error for the client in place of `error`; None for a mistake of ours."""
    if isinstance(error, WireError):
        return ErrorResponse(error.code, error.message, error.status)
    if isinstance(error, PileusError):
        return _of_core(error)
    if isinstance(error, Fault):
        return ErrorResponse("Unavailable", f"The host could not do it now ({error.code}: {error.message}).", 503)
    return None


def _of_core(error: PileusError) -> ErrorResponse | None:
    entry = nearest(TABLE, error)
    return None if entry is None else ErrorResponse(entry[0], _worded(error), entry[1])


def _worded(error: PileusError) -> str:
    """The error's text in Amazon's words, with its ids."""
    wording = nearest(WORDINGS, error)
    if wording is not None and (error.ident or "{ident}" not in wording):
        return wording.replace("{ident}", _LABEL.sub(_id_of, error.ident))
    word = _WORDS.get(error.noun, error.noun)
    if (error.code, error.reason) == ("NotFound", "") and error.noun in NOUNS and _UUIDS.fullmatch(error.ident):
        ids = [ec2_id(NOUNS[error.noun], uuid) for uuid in error.ident.split(", ")]
        does = "IDs '{}' do not exist" if len(ids) > 1 else "ID '{}' does not exist"
        return f"The {word} {does.format(', '.join(ids))}"
    message = _LABEL.sub(_named, error.message)
    ours = f"The {error.noun} ID"
    return f"The {word} ID{message.removeprefix(ours)}" if message.startswith(ours) else message


def _id_of(label: re.Match[str]) -> str:
    return ec2_id(NOUNS[label[2]], label[3])


def _named(label: re.Match[str]) -> str:
    """The noun of a label as Amazon has it: its id, and where a sentence begins with it, its kind too."""
    ident = _id_of(label)
    return f"The {_WORDS.get(label[2], label[2])} '{ident}'" if label[1] else ident
