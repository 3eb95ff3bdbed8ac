"""StartInstances, StopInstances, RebootInstances, TerminateInstances."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.instance.part import STATES
from pileus.model.errors import Unsupported
from pileus.verbs.instance import power as verbs

OF_INSTANCES = frozenset({"StartInstances", "StopInstances", "RebootInstances", "TerminateInstances"})
"""Actions that EC2 refuses without instances as a combination of parameters that cannot be."""


@action("StartInstances", dry=True)
def start(call: Call) -> dict[str, Any]:
    """Start instances."""
    changes = verbs.start(call.caller, call.core, call.args["InstanceIds"], dry_run=_dry(call))
    return {"StartingInstances": _changes(changes)}


@action("StopInstances", dry=True)
def stop(call: Call) -> dict[str, Any]:
    """Stop instances. With or without `Force` the guest is asked first, and made to stop when it does not."""
    if call.args.get("Hibernate"):
        raise Unsupported("This cloud does not hibernate instances.", noun="instance")
    changes = verbs.stop(call.caller, call.core, call.args["InstanceIds"], dry_run=_dry(call))
    return {"StoppingInstances": _changes(changes)}


@action("RebootInstances", dry=True)
def reboot(call: Call) -> dict[str, Any]:
    """Have instances go down and come up again."""
    verbs.reboot(call.caller, call.core, call.args["InstanceIds"], dry_run=_dry(call))
    return {}


@action("TerminateInstances", dry=True)
def terminate(call: Call) -> dict[str, Any]:
    """End instances, with their disks and network interfaces."""
    changes = verbs.terminate(call.caller, call.core, call.args["InstanceIds"], dry_run=_dry(call))
    return {"TerminatingInstances": _changes(changes)}


def _dry(call: Call) -> bool:
    return bool(call.args.get("DryRun"))


def _changes(changes: Iterable[verbs.Change]) -> list[dict[str, Any]]:
    return [
        {"InstanceId": instance.ec2_id, "CurrentState": STATES[after], "PreviousState": STATES[before]}
        for instance, before, after in changes
    ]
