"""Options of an instance that have actions of their own: metadata, placement, credits, monitoring, password."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuid_of, uuids_of
from pileus.faces.ec2.instance import shape
from pileus.faces.ec2.instance.launch import metadata_options
from pileus.model import bounds
from pileus.model.errors import InvalidValue, NotFound, PileusError, Unsupported
from pileus.model.instance import Instance
from pileus.model.placementgroup import PlacementGroup
from pileus.verbs import placementgroup
from pileus.verbs.instance import modify as verb
from pileus.verbs.instance import place
from pileus.verbs.instance import view as verbs

_DISABLED = {"State": "disabled"}


@action("ModifyInstanceMetadataOptions")
def modify_metadata(call: Call) -> dict[str, Any]:
    """Say whether an instance has the metadata service, also by IPv6; by which tokens, how many hops, with its tags."""
    args = call.args
    members = ("HttpTokens", "HttpEndpoint", "HttpProtocolIpv6", "InstanceMetadataTags", "HttpPutResponseHopLimit")
    options = {member: args[member] for member in members if member in args}
    if not options:
        raise InvalidValue("Specify at least one option to change.", reason="combination")
    instance = verb.modify(
        call.caller, call.core, uuid_of(call, Instance, args["InstanceId"]), verb.Change(**metadata_options(options))
    )
    metadata_item = shape.metadata_options(instance.wanted) | {"State": "pending"}
    return {"InstanceId": instance.ec2_id, "InstanceMetadataOptions": metadata_item}


@action("ModifyInstancePlacement")
def modify_placement(call: Call) -> dict[str, Any]:
    """Put a stopped instance into a placement group, or take it out of its group by an empty name."""
    args = call.args
    if args.get("HostId"):
        raise NotFound(f"The host ID '{args['HostId'][:40]}' does not exist", noun="dedicatedhost")
    name, ident = args.get("GroupName"), args.get("GroupId")
    if name and ident:
        raise InvalidValue("Specify GroupName or GroupId, but not both.", reason="combination")
    if name is None and not ident:
        raise InvalidValue("Specify the group to change the placement to.", reason="combination")
    named_ids = uuids_of(call, PlacementGroup, [ident] if ident else ())
    uuid = uuid_of(call, Instance, args["InstanceId"])
    groups = placementgroup.listing(call.caller, call.core, [name] if name else (), named_ids)
    place.regroup(call.caller, call.core, uuid, groups[0].uuid if name or ident else None)
    return {"Return": True}


@action("ModifyInstanceCreditSpecification")
def modify_credits(call: Call) -> dict[str, Any]:
    """Accept `standard`, which is what every instance has; `unlimited` is refused for each instance by itself."""
    # Nothing is changed: a request that comes again needs no memory of the first.
    if len(call.args.get("ClientToken", "")) > bounds.TOKEN.most:
        raise InvalidValue(f"A client token has at most {bounds.TOKEN.most} characters.", reason="token")
    done, refused = [], []
    for each in call.args["InstanceCreditSpecifications"]:
        ident, kind = each["InstanceId"], each.get("CpuCredits", "standard")
        if kind not in ("standard", "unlimited"):
            raise InvalidValue(f"Invalid value '{kind[:40]}' for CpuCredits: standard.", reason="credits")
        try:
            verbs.listing(call.caller, call.core, uuids_of(call, Instance, [ident]))
        except PileusError as error:
            code = "InvalidInstanceID.Malformed" if error.code == "Malformed" else "InvalidInstanceID.NotFound"
            refused.append({"InstanceId": ident, "Error": {"Code": code, "Message": error.message}})
            continue
        if kind == "standard":
            done.append({"InstanceId": ident})
        else:
            text = "Instances here have the CPU credits 'standard' alone."
            error_item = {"Code": "InstanceCreditSpecification.NotSupported", "Message": text}
            refused.append({"InstanceId": ident, "Error": error_item})
    return {
        "SuccessfulInstanceCreditSpecifications": done,
        "UnsuccessfulInstanceCreditSpecifications": refused,
    }


@action("MonitorInstances")
def monitor(call: Call) -> dict[str, Any]:
    """Refuse detailed monitoring for instances that exist: the cloud has the basic one alone."""
    _named(call)
    raise Unsupported("This cloud does not support detailed monitoring.", noun="instance")


@action("UnmonitorInstances")
def unmonitor(call: Call) -> dict[str, Any]:
    """Say of each instance that detailed monitoring is off, as it always is."""
    return {"InstanceMonitorings": [{"InstanceId": ident, "Monitoring": _DISABLED} for ident in _named(call)]}


def _named(call: Call) -> list[str]:
    return [
        view.instance.ec2_id
        for view in verbs.listing(call.caller, call.core, uuids_of(call, Instance, call.args["InstanceIds"]))[0]
    ]


@action("GetPasswordData")
def password(call: Call) -> dict[str, Any]:
    """Return no password, as of every Linux guest: the key pair of the launch is how to log in."""
    (view,) = verbs.listing(call.caller, call.core, [uuid_of(call, Instance, call.args["InstanceId"])])[0]
    return {"InstanceId": view.instance.ec2_id, "Timestamp": view.instance.created, "PasswordData": ""}


@action("ResetInstanceAttribute")
def reset(call: Call) -> dict[str, Any]:
    """Set the kernel or the RAM disk back to the image's own, which is what every instance starts."""
    verbs.listing(call.caller, call.core, [uuid_of(call, Instance, call.args["InstanceId"])])
    if call.args["Attribute"] not in ("kernel", "ramdisk"):
        text = f"The attribute {call.args['Attribute']} cannot be reset in this cloud."
        raise Unsupported(text, noun="instance")
    return {}
