"""DescribeInstanceAttribute and ModifyInstanceAttribute."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec

from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuid_of, uuids_of
from pileus.faces.ec2.instance import shape
from pileus.faces.ec2.instance.part import InstanceParts, mapping
from pileus.model.errors import InvalidValue, Unsupported
from pileus.model.instance import Instance
from pileus.model.securitygroup import SecurityGroup
from pileus.rules.instance.view import InstanceView
from pileus.verbs.instance import modify as verb
from pileus.verbs.instance import view as verbs


@action("DescribeInstanceAttribute")
def describe(call: Call) -> dict[str, Any]:
    """One attribute of one instance."""
    views, _ = verbs.listing(call.caller, call.core, [uuid_of(call, Instance, call.args["InstanceId"])])
    view = views[0]
    attribute = _ATTRIBUTES[call.args["Attribute"]](view, InstanceParts(call.core.place))
    return {"InstanceId": view.instance.ec2_id, **attribute}


@action("ModifyInstanceAttribute")
def modify(call: Call) -> dict[str, Any]:
    """Change one attribute, in either form: a member of its own, or `Attribute` with `Value`."""
    args = {key: value for key, value in call.args.items() if key not in ("InstanceId", "DryRun", "Attribute", "Value")}
    if "Attribute" in call.args:
        name = call.args["Attribute"]
        args[name[:1].upper() + name[1:]] = {"Value": call.args.get("Value")}
    if len(args) != 1:
        raise InvalidValue("Specify exactly one attribute to change.", reason="combination")
    ((member, attribute),) = args.items()
    if member not in _CHANGES:
        raise Unsupported(f"{member} cannot be changed in this cloud.", noun="instance")
    uuid = uuid_of(call, Instance, call.args["InstanceId"])
    change = _CHANGES[member](attribute)
    if change.groups is not None:
        change = msgspec.structs.replace(change, groups=tuple(uuids_of(call, SecurityGroup, change.groups)))
    verb.modify(call.caller, call.core, uuid, change)
    return {}


def _flag(attribute: Any) -> bool:
    text = str(attribute["Value"]).lower()
    if text not in ("true", "false"):
        raise InvalidValue(f"Invalid value '{attribute['Value']}' for Value: true or false.", reason="value")
    return text == "true"


def _behaviour(attribute: Any) -> verb.Change:
    if attribute["Value"] not in ("stop", "terminate"):
        text = f"Invalid value '{attribute['Value']}' for instanceInitiatedShutdownBehavior: stop or terminate."
        raise InvalidValue(text, reason="value")
    return verb.Change(on_shutdown=attribute["Value"])


def _data(attribute: Any) -> verb.Change:
    """The member of its own is a blob, which arrives decoded; `Value` is base64 already."""
    value = attribute["Value"]
    return verb.Change(user_data=base64.b64encode(value).decode() if isinstance(value, bytes) else value or "")


_CHANGES: dict[str, Callable[[Any], verb.Change]] = {
    "DisableApiTermination": lambda attribute: verb.Change(protected=_flag(attribute)),
    "Groups": lambda group_ids: verb.Change(groups=tuple(group_ids)),
    "InstanceInitiatedShutdownBehavior": _behaviour,
    "InstanceType": lambda attribute: verb.Change(flavor=attribute["Value"] or ""),
    "SourceDestCheck": lambda attribute: verb.Change(forwards=not _flag(attribute)),
    "UserData": _data,
}


def _value(member: str, get: Callable[[InstanceView], Any]) -> Callable[[InstanceView, InstanceParts], dict[str, Any]]:
    return lambda view, _: {member: {"Value": get(view)}}


_ATTRIBUTES: dict[str, Callable[[InstanceView, InstanceParts], dict[str, Any]]] = {
    "blockDeviceMapping": lambda view, _: {"BlockDeviceMappings": [mapping(volume) for volume in view.volumes]},
    "disableApiStop": _value("DisableApiStop", lambda _: False),
    "disableApiTermination": _value("DisableApiTermination", lambda view: view.instance.wanted.protected),
    "ebsOptimized": _value("EbsOptimized", lambda _: False),
    "enaSupport": _value("EnaSupport", lambda _: False),
    "enclaveOptions": lambda _view, _parts: {"EnclaveOptions": {"Enabled": False}},
    "groupSet": lambda view, parts: {"Groups": [group for nic in view.nics for group in parts.groups(nic)]},
    "instanceInitiatedShutdownBehavior": _value(
        "InstanceInitiatedShutdownBehavior", lambda view: view.instance.wanted.on_shutdown
    ),
    "instanceType": _value("InstanceType", lambda view: view.flavor.name),
    "kernel": _value("KernelId", lambda _: None),
    "productCodes": lambda _view, _parts: {"ProductCodes": []},
    "ramdisk": _value("RamdiskId", lambda _: None),
    "rootDeviceName": _value("RootDeviceName", lambda _: shape.ROOT_DEVICE),
    "sourceDestCheck": _value("SourceDestCheck", shape.checks_addresses),
    "sriovNetSupport": _value("SriovNetSupport", lambda _: None),
    "userData": _value("UserData", lambda view: view.instance.wanted.user_data or None),
}
