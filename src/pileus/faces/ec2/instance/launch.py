"""RunInstances."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuid_of, uuids_of
from pileus.faces.ec2.instance import shape
from pileus.faces.ec2.instance.template import with_template
from pileus.faces.ec2.names import check_id
from pileus.faces.ec2.privateaddress import addresses_of
from pileus.faces.ec2.tag import specified
from pileus.model.errors import InvalidValue, NotFound, Unsupported
from pileus.model.flavor import DEFAULT
from pileus.model.image import snapshot_id
from pileus.model.port import Port
from pileus.model.securitygroup import SecurityGroup
from pileus.model.subnet import Subnet
from pileus.model.volume import DEFAULT_TYPE
from pileus.rules.instance.interface import LaunchInterface
from pileus.verbs.instance import launch as verbs
from pileus.verbs.instance.launch import Launch

ROOT_DEVICES = (shape.ROOT_DEVICE, "/dev/sda1", "/dev/xvda")
"""Names of the root disk: our images' own, and those of most of Amazon's, which many scripts have in them."""


@action("RunInstances", dry=True)
def run(call: Call) -> dict[str, Any]:
    """Launch as many instances as possible from MinCount to MaxCount, or none."""
    args = call.args
    if "LaunchTemplate" in args:
        args, template, version = with_template(call)
        request = msgspec.structs.replace(asked(args), launchtemplate=template.uuid, launchtemplate_version=version)
    else:
        request = asked(args)
    request = with_interfaces(call._replace(args=args), request)
    views = verbs.shown(call.caller, call.core, request)
    reservations = shape.reservations(views, call.core.place)
    return reservations[0] if reservations else {"OwnerId": call.caller.account_id, "Groups": [], "Instances": []}


def with_interfaces(call: Call, request: Launch) -> Launch:
    """The launch with the interfaces that the parameters of `call` describe, if any. Raises NotFound as well."""
    interfaces = tuple(_interface(call, item) for item in call.args.get("NetworkInterfaces", ()))
    return msgspec.structs.replace(request, interfaces=interfaces) if interfaces else request


def asked(args: dict[str, Any]) -> Launch:
    """The launch that a request asks, without its interfaces; raises InvalidValue, Malformed or Unsupported."""
    image = args.get("ImageId")
    if not image:
        raise missing("ImageId")
    check_id("ami", "image", image)
    tags = specified(args, "instance", "volume", "network-interface")
    return Launch(
        image=image,
        flavor=args.get("InstanceType", DEFAULT),
        least=args["MinCount"],
        most=args["MaxCount"],
        key_name=args.get("KeyName", ""),
        # Older clients wrap base64 in lines.
        user_data="".join(args.get("UserData", "").split()),
        **_placement(args),
        tags=tags["instance"],
        volume_tags=tags["volume"],
        port_tags=tags["network-interface"],
        token=args.get("ClientToken", ""),
        on_shutdown=args.get("InstanceInitiatedShutdownBehavior", "stop"),
        protected=args.get("DisableApiTermination", False),
        **_disk(args),
        **metadata_options(args.get("MetadataOptions", {})),
        dry_run=args.get("DryRun", False),
        **_network(args),
    )


def _placement(args: dict[str, Any]) -> dict[str, Any]:
    """Zone and placement group, which may be named in either way; there are no dedicated hosts."""
    placement = args.get("Placement", {})
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
        check_id("pg", "placementgroup", ident)
    return {"zone": placement.get("AvailabilityZone", ""), "placementgroup": name or ident}


def metadata_options(options: dict[str, Any]) -> dict[str, Any]:
    """The fields of a launch or a change that the options of the metadata service ask for. Raises InvalidValue."""
    fields: dict[str, Any] = {}
    if "HttpTokens" in options:
        fields["metadata_v2_only"] = options["HttpTokens"] == "required"
    if "HttpEndpoint" in options:
        fields["metadata_enabled"] = options["HttpEndpoint"] == "enabled"
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
        if disk.get("SnapshotId", "") not in ("", snapshot_id(args["ImageId"])):
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


def _network(args: dict[str, Any]) -> dict[str, Any]:
    """Subnet, address and groups of the only interface; none where the request describes its interfaces."""
    interfaces = args.get("NetworkInterfaces", ())
    groups, names = args.get("SecurityGroupIds", []), args.get("SecurityGroups", [])
    if interfaces:
        for name, what in (
            ("SubnetId", "subnet ID"),
            ("SecurityGroupIds", "security groups"),
            ("SecurityGroups", "security groups"),
            ("PrivateIpAddress", "private address"),
        ):
            if args.get(name):
                raise InvalidValue(
                    f"Network interfaces and an instance-level {what} may not be specified on the same request",
                    reason="combination",
                )
        for each in interfaces:
            if "DeviceIndex" not in each:
                raise InvalidValue("Each network interface requires a device index.", reason="device-index")
        return {}
    if names and args.get("SubnetId"):
        raise InvalidValue("The parameter groupName cannot be used with the parameter subnet", reason="combination")
    return {
        "subnet": args.get("SubnetId", ""),
        "address": args.get("PrivateIpAddress", ""),
        "groups": tuple(groups),
        "group_names": tuple(names),
    }


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
