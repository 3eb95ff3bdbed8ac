"""DescribeInstanceAttribute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.instance import shape
from pileus.faces.ec2.instance.part import Parts, mapping
from pileus.verbs.instance import view as verbs
from pileus.verbs.instance.view import InstanceView


@action("DescribeInstanceAttribute")
def describe(call: Call) -> dict[str, Any]:
    """One attribute of one instance."""
    views, _ = verbs.listing(call.caller, call.core, [call.args["InstanceId"]])
    view = views[0]
    found = _ATTRIBUTES[call.args["Attribute"]](view, Parts(call.core.place))
    return {"InstanceId": view.instance.ec2_id, **found}


def _groups(view: InstanceView, parts: Parts) -> dict[str, Any]:
    return {"Groups": [group for nic in view.nics for group in parts.groups(nic)]}


def _devices(view: InstanceView, parts: Parts) -> dict[str, Any]:
    del parts
    return {"BlockDeviceMappings": [mapping(volume) for volume in view.volumes]}


def _value(member: str, get: Callable[[InstanceView], Any]) -> Callable[[InstanceView, Parts], dict[str, Any]]:
    return lambda view, _: {member: {"Value": get(view)}}


_ATTRIBUTES: dict[str, Callable[[InstanceView, Parts], dict[str, Any]]] = {
    "blockDeviceMapping": _devices,
    "disableApiStop": _value("DisableApiStop", lambda _: False),
    "disableApiTermination": _value("DisableApiTermination", lambda view: view.instance.wanted.protected),
    "ebsOptimized": _value("EbsOptimized", lambda _: False),
    "enaSupport": _value("EnaSupport", lambda _: False),
    "enclaveOptions": lambda _view, _parts: {"EnclaveOptions": {"Enabled": False}},
    "groupSet": _groups,
    "instanceInitiatedShutdownBehavior": _value(
        "InstanceInitiatedShutdownBehavior", lambda view: view.instance.wanted.on_shutdown
    ),
    "instanceType": _value("InstanceType", lambda view: view.flavor.name),
    "kernel": _value("KernelId", lambda _: None),
    "productCodes": lambda _view, _parts: {"ProductCodes": []},
    "ramdisk": _value("RamdiskId", lambda _: None),
    "rootDeviceName": _value("RootDeviceName", lambda _: shape.ROOT_DEVICE),
    "sourceDestCheck": _value("SourceDestCheck", lambda _: True),
    "sriovNetSupport": _value("SriovNetSupport", lambda _: None),
    "userData": _value("UserData", lambda view: view.instance.wanted.user_data or None),
}
