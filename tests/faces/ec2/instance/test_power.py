"""Start, stop, reboot, terminate."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.faces.ec2.cloud import Account, Cloud, refused


def change(found: Any) -> tuple[str, str, str]:
    (each,) = found
    return each["InstanceId"], each["PreviousState"]["Name"], each["CurrentState"]["Name"]


def test_life(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    ec2 = account.ec2
    cloud.observe(ident)
    assert change(ec2.stop_instances(InstanceIds=[ident])["StoppingInstances"]) == (ident, "running", "stopping")
    assert change(ec2.stop_instances(InstanceIds=[ident], Force=True)["StoppingInstances"]) == (
        ident,
        "stopping",
        "stopping",
    )
    cloud.observe(ident, running=False)
    assert change(ec2.start_instances(InstanceIds=[ident])["StartingInstances"]) == (ident, "stopped", "pending")
    cloud.observe(ident)
    assert change(ec2.start_instances(InstanceIds=[ident])["StartingInstances"]) == (ident, "running", "running")
    ec2.reboot_instances(InstanceIds=[ident])
    assert change(ec2.terminate_instances(InstanceIds=[ident])["TerminatingInstances"]) == (
        ident,
        "running",
        "shutting-down",
    )
    cloud.end(ident)
    assert change(ec2.terminate_instances(InstanceIds=[ident])["TerminatingInstances"]) == (
        ident,
        "terminated",
        "terminated",
    )


def actions(account: Account) -> dict[str, Callable[..., Any]]:
    ec2 = account.ec2
    return {
        "start": ec2.start_instances,
        "stop": ec2.stop_instances,
        "reboot": ec2.reboot_instances,
        "terminate": ec2.terminate_instances,
    }


@pytest.mark.parametrize(("name", "done"), [("start", "started"), ("stop", "stopped"), ("reboot", "rebooted")])
def test_ended_instances_stay_ended(cloud: Cloud, account: Account, name: str, done: str) -> None:
    ident = account.launch()[0]
    account.ec2.terminate_instances(InstanceIds=[ident])
    with refused("IncorrectInstanceState", match=f"can be {done} "):
        actions(account)[name](InstanceIds=[ident])
    cloud.end(ident)
    with refused("IncorrectInstanceState"):
        actions(account)[name](InstanceIds=[ident])


@pytest.mark.parametrize("name", ["start", "stop", "reboot", "terminate"])
def test_all_or_none(cloud: Cloud, account: Account, name: str) -> None:
    ident = account.launch()[0]
    cloud.observe(ident)
    with refused("InvalidInstanceID.NotFound"):
        actions(account)[name](InstanceIds=[ident, "i-" + "0" * 17])
    with refused("InvalidInstanceID.Malformed"):
        actions(account)[name](InstanceIds=[ident, "mine"])
    with refused("DryRunOperation", 412):
        actions(account)[name](InstanceIds=[ident], DryRun=True)
    with refused("InvalidParameterCombination", match="No instances specified"):
        actions(account)[name](InstanceIds=[])
    assert account.show(ident)["State"]["Name"] == "running"


def test_protected_instances_are_not_terminated(account: Account) -> None:
    ident = account.launch(DisableApiTermination=True)[0]
    with refused("OperationNotPermitted", match=ident):
        account.ec2.terminate_instances(InstanceIds=[ident])
    assert account.show(ident)["State"]["Name"] == "pending"


def test_no_hibernation(account: Account) -> None:
    ident = account.launch()[0]
    with refused("UnsupportedOperation"):
        account.ec2.stop_instances(InstanceIds=[ident], Hibernate=True)
