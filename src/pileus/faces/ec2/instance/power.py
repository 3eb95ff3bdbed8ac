"""StartInstances, StopInstances, RebootInstances, TerminateInstances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuids_of
from pileus.faces.ec2.instance.part import STATES
from pileus.model.errors import Unsupported
from pileus.model.instance import Instance
from pileus.verbs.instance import power as verbs

OF_INSTANCES = frozenset({"StartInstances", "StopInstances", "RebootInstances", "TerminateInstances"})
"""Actions that EC2 refuses without instances as a combination of parameters that cannot be."""


@action("StartInstances", dry=True)
def start(call: Call) -> dict[str, Any]:
    """Start instances."""
    return {"StartingInstances": _changed(call, verbs.start)}


@action("StopInstances", dry=True)
def stop(call: Call) -> dict[str, Any]:
    """Stop instances. With or without `Force` the guest is asked first, and made to stop when it does not."""
    if call.args.get("Hibernate"):
        raise Unsupported("This cloud does not hibernate instances.", noun="instance")
    return {"StoppingInstances": _changed(call, verbs.stop)}


@action("RebootInstances", dry=True)
def reboot(call: Call) -> dict[str, Any]:
    """Have instances go down and come up again."""
    verbs.reboot(call.caller, call.core, _uuids(call), dry_run=_dry(call))
    return {}


@action("TerminateInstances", dry=True)
def terminate(call: Call) -> dict[str, Any]:
    """End instances, with their disks and network interfaces."""
    return {"TerminatingInstances": _changed(call, verbs.terminate)}


def _uuids(call: Call) -> list[str]:
    return uuids_of(call, Instance, call.args["InstanceIds"])


def _dry(call: Call) -> bool:
    return bool(call.args.get("DryRun"))


def _changed(call: Call, verb: Callable[..., list[verbs.Change]]) -> list[dict[str, Any]]:
    changes = verb(call.caller, call.core, _uuids(call), dry_run=_dry(call))
    return [
        {"InstanceId": instance.ec2_id, "CurrentState": STATES[after], "PreviousState": STATES[before]}
        for instance, before, after in changes
    ]
