"""RunInstances."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuid_of, uuids_of
from pileus.faces.ec2.instance import profile, shape
from pileus.faces.ec2.instance.template import with_template
from pileus.faces.ec2.names import check_id
from pileus.faces.ec2.privateaddress import addresses_of, ipv6_of
from pileus.faces.ec2.tag import specified
from pileus.model import bounds
from pileus.model.errors import InvalidValue, NotFound, Unsupported
from pileus.model.flavor import DEFAULT
from pileus.model.image import Image, snapshot_id
from pileus.model.placementgroup import PlacementGroup
from pileus.model.port import Port
from pileus.model.securitygroup import SecurityGroup
from pileus.model.subnet import Subnet
from pileus.model.volume import DEFAULT_TYPE
from pileus.rules import keypair as keypair_rules
from pileus.rules import placementgroup as placementgroup_rules
from pileus.rules import securitygroup as securitygroup_rules
from pileus.rules.instance.interface import LaunchInterface
from pileus.verbs.instance import launch as verbs
from pileus.verbs.instance.launch import Launch

ROOT_DEVICES = (shape.ROOT_DEVICE, "/dev/sda1", "/dev/xvda")
"""Names of the root disk: our images' own, and those of most of Amazon's, which many scripts have in them."""


@action("RunInstances", dry=True)
def run(call: Call) -> dict[str, Any]:
    """Launch as many instances as possible from MinCount to MaxCount, or none."""
    args, origin = call.args, {}
    if "LaunchTemplate" in args:
        args, template, version = with_template(call)
        origin = {"launchtemplate": template.uuid, "launchtemplate_version": version}
    if not args.get("ImageId"):
        raise missing("ImageId")
    request = msgspec.structs.replace(form(args), **named(call._replace(args=args)), **origin)
    views = verbs.shown(call.caller, call.core, request)
    reservations = shape.reservations(views, call.core.place)
    return reservations[0] if reservations else {"OwnerId": call.caller.account_id, "Groups": [], "Instances": []}


def form(args: dict[str, Any]) -> Launch:
    """The launch that parameters of RunInstances, or of a launch template, describe; without the nouns that they name.

    Raises InvalidValue, Malformed, NotFound and Unsupported for parameters that no launch can have.
    """
    if args.get("ImageId"):
        check_id(Image.PREFIX, Image.KIND, args["ImageId"])
    placement = args.get("Placement", {})
    _check_placement(placement)
    _check_network(args)
    _check_names(args.get("KeyName", ""), placement.get("GroupName", ""), *args.get("SecurityGroups", ()))
    tags = specified(args, "instance", "volume", "network-interface")
    return Launch(
        image="",
        flavor=args.get("InstanceType", DEFAULT),
        least=args.get("MinCount", 1),
        most=args.get("MaxCount", 1),
        # Older clients wrap base64 in lines.
        user_data="".join(args.get("UserData", "").split()),
        zone=placement.get("AvailabilityZone", ""),
        address=args.get("PrivateIpAddress", ""),
        **ipv6_of(args),
        tags=tags["instance"],
        volume_tags=tags["volume"],
        port_tags=tags["network-interface"],
        token=args.get("ClientToken", ""),
        on_shutdown=args.get("InstanceInitiatedShutdownBehavior", "stop"),
        protected=args.get("DisableApiTermination", False),
        **_disk(args),
        **metadata_options(args.get("MetadataOptions", {})),
        dry_run=args.get("DryRun", False),
    )


def named(call: Call) -> dict[str, Any]:
    """The fields of a launch that name nouns, by their uuids. Raises Malformed, NotFound."""
    args, placement = call.args, call.args.get("Placement", {})
    subnet, group = args.get("SubnetId", ""), placement.get("GroupId", "")
    fields = {
        "image": uuid_of(call, Image, args["ImageId"]),
        "subnet": uuid_of(call, Subnet, subnet) if subnet else "",
        "groups": tuple(uuids_of(call, SecurityGroup, args.get("SecurityGroupIds", ()))),
        "placementgroup": uuid_of(call, PlacementGroup, group) if group else "",
        "interfaces": tuple(_interface(call, item) for item in args.get("NetworkInterfaces", ())),
    }
    if "IamInstanceProfile" in args:
        fields["instanceprofile"] = profile.named(call, args["IamInstanceProfile"]).uuid
    key, group, groups = args.get("KeyName", ""), placement.get("GroupName", ""), args.get("SecurityGroups", ())
    if key or group or groups:
        with call.core.store.read() as tx:
            if key:
                fields["keypair"] = keypair_rules.named(call.caller, tx, key).uuid
            if group:
                fields["placementgroup"] = placementgroup_rules.named(call.caller, tx, group).uuid
            named_groups = (securitygroup_rules.named(call.caller, tx, name).uuid for name in groups)
            fields["groups"] = (*fields["groups"], *named_groups)
    return fields


def _check_names(*names: str) -> None:
    for name in names:
        if len(name) > bounds.IDENT.most:
            text = f"The name '{name[:40]}...' is longer than {bounds.IDENT.most} characters."
            raise InvalidValue(text, ident=name[:40], reason="length")


def _check_placement(placement: dict[str, Any]) -> None:
    """Raise what EC2 does for a place that there is not: there are no dedicated hosts."""
    tenancy, host = placement.get("Tenancy", "default"), placement.get("HostId")
    if tenancy not in ("default", "dedicated", "host"):
        raise InvalidValue(f"Invalid value '{tenancy}' for tenancy.", ident=tenancy, reason="tenancy")
    if host:
        if tenancy == "dedicated":
            text = "The parameters HostId and Tenancy=dedicated may not be combined."
            raise InvalidValue(text, reason="combination")
        raise NotFound(f"The host ID '{host}' does not exist", noun="dedicatedhost", ident=host)
    if tenancy != "default":
        raise Unsupported("This cloud supports the tenancy 'default' only.", noun="instance")
    if placement.get("Affinity", "default") != "default":
        raise InvalidValue("Affinity is for the tenancy 'host' only.", reason="combination")
    name, ident = placement.get("GroupName", ""), placement.get("GroupId", "")
    if name and ident:
        raise InvalidValue("Specify GroupName or GroupId, but not both.", reason="combination")
    if ident:
        check_id(PlacementGroup.PREFIX, PlacementGroup.KIND, ident)


def metadata_options(options: dict[str, Any]) -> dict[str, Any]:
    """The fields of a launch or a change that the options of the metadata service ask for. Raises InvalidValue."""
    fields: dict[str, Any] = {}
    if "HttpTokens" in options:
        fields["metadata_v2_only"] = options["HttpTokens"] == "required"
    if "HttpEndpoint" in options:
        fields["metadata_enabled"] = options["HttpEndpoint"] == "enabled"
    if "HttpProtocolIpv6" in options:
        fields["metadata_ipv6"] = options["HttpProtocolIpv6"] == "enabled"
    if "InstanceMetadataTags" in options:
        fields["metadata_tags"] = options["InstanceMetadataTags"] == "enabled"
    if "HttpPutResponseHopLimit" in options:
        hops = fields["metadata_hops"] = options["HttpPutResponseHopLimit"]
        if not 1 <= hops <= 64:
            text = f"Value ({hops}) for parameter HttpPutResponseHopLimit is invalid. Expecting a value from 1 to 64."
            raise InvalidValue(text, reason="hop-limit")
    return fields


def _disk(args: dict[str, Any]) -> dict[str, Any]:
    """The size that is asked for the root disk, in GiB, 0 when none is; and its type."""
    size, volume_type = 0, DEFAULT_TYPE
    for each in args.get("BlockDeviceMappings", ()):
        name, disk = each.get("DeviceName", ""), each.get("Ebs", {})
        if not name:
            raise missing("BlockDeviceMapping.DeviceName")
        if name not in ROOT_DEVICES or "NoDevice" in each or "VirtualName" in each:
            raise Unsupported(
                f"This cloud launches instances with a root disk ({ROOT_DEVICES[0]}) only, not with '{name[:40]}'.",
                noun="volume",
            )
        if size:
            raise InvalidValue(f"Duplicate device '{name}'", ident=name, reason="disk")
        # A launch template may leave its image to the launch, which compares them then.
        if "ImageId" in args and disk.get("SnapshotId", "") not in ("", snapshot_id(args["ImageId"])):
            raise Unsupported("A root disk starts as its image, not as another SnapshotId.", noun="volume")
        if not disk.get("DeleteOnTermination", True):
            raise Unsupported(
                "The root disk goes with its instance: DeleteOnTermination=false is not supported.", noun="volume"
            )
        size = disk.get("VolumeSize", 0)
        if not 0 <= size <= 65536 or ("VolumeSize" in disk and not size):
            raise InvalidValue(f"Volume of {size}GiB is not from 1 to 65536 GiB.", reason="disk-size")
        volume_type = disk.get("VolumeType", volume_type)
    return {"disk": size, "volume_type": volume_type}


def _check_network(args: dict[str, Any]) -> None:
    """Raise InvalidValue for a description of an only interface where the request has a list of them."""
    interfaces = args.get("NetworkInterfaces", ())
    for name, what in (
        ("SubnetId", "subnet ID"),
        ("SecurityGroupIds", "security groups"),
        ("SecurityGroups", "security groups"),
        ("PrivateIpAddress", "private address"),
        ("Ipv6Addresses", "IPv6 addresses"),
        ("Ipv6AddressCount", "IPv6 address count"),
    ):
        if interfaces and args.get(name):
            raise InvalidValue(
                f"Network interfaces and an instance-level {what} may not be specified on the same request",
                reason="combination",
            )
    for each in interfaces:
        if "DeviceIndex" not in each:
            raise InvalidValue("Each network interface requires a device index.", reason="device-index")
    if args.get("SecurityGroups") and args.get("SubnetId"):
        raise InvalidValue("The parameter groupName cannot be used with the parameter subnet", reason="combination")


def _interface(call: Call, item: dict[str, Any]) -> LaunchInterface:
    """A new interface, or one that is there and stays when the instance goes."""
    port = item.get("NetworkInterfaceId", "")
    if port and item.get("DeleteOnTermination"):
        text = "A network interface that is there already is not deleted on termination unless it is said later."
        raise InvalidValue(text, noun="port", reason="combination")
    subnet = item.get("SubnetId", "")
    return LaunchInterface(
        index=item["DeviceIndex"],
        port=uuid_of(call, Port, port) if port else "",
        subnet=uuid_of(call, Subnet, subnet) if subnet else "",
        groups=tuple(uuids_of(call, SecurityGroup, item.get("Groups", ()))),
        description=item.get("Description", ""),
        delete_on_termination=item.get("DeleteOnTermination", True) if not port else True,
        map_public=item.get("AssociatePublicIpAddress"),
        **addresses_of(item),
    )
