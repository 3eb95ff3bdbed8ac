"""DescribeInstanceStatus."""

from typing import Any

import msgspec

from tests.faces.ec2.cloud import Account, Cloud, filtered, refused


def states(account: Account, **asked: Any) -> dict[str, str]:
    found = account.ec2.describe_instance_status(**asked)["InstanceStatuses"]
    return {each["InstanceId"]: each["InstanceStatus"]["Status"] for each in found}


def test_only_running_ones_unless_all_are_asked(cloud: Cloud, account: Account) -> None:
    running, pending, broken, stopped = account.launch(4)
    cloud.observe(running)
    cloud.fail(broken, "NoSpace", "The disk is full.")
    account.ec2.stop_instances(InstanceIds=[stopped])
    assert states(account) == {running: "ok"}
    assert states(account, InstanceIds=[running, pending]) == {running: "ok"}
    assert states(account, IncludeAllInstances=True) == {
        running: "ok",
        pending: "initializing",
        broken: "impaired",
        stopped: "not-applicable",
    }
    impaired = filtered("instance-status.status", "impaired")
    assert states(account, IncludeAllInstances=True, Filters=impaired) == {broken: "impaired"}
    assert states(account, IncludeAllInstances=True, Filters=filtered("instance-state-name", "stopping")) == {
        stopped: "not-applicable"
    }
    assert states(account, Filters=filtered("event.code", "*")) == {}


def test_its_zone_is_found_as_it_is_shown(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    row = cloud.observe(ident)
    with cloud.core.store.write() as tx:  # as a cloud of an earlier version launched it
        tx.want(row, msgspec.structs.replace(row.wanted, zone=""))
    (shown,) = account.ec2.describe_instance_status(InstanceIds=[ident])["InstanceStatuses"]
    for name, value in (
        ("availability-zone", shown["AvailabilityZone"]),
        ("availability-zone-id", shown["AvailabilityZoneId"]),
    ):
        assert states(account, Filters=filtered(name, value)) == {ident: "ok"}
        assert states(account, Filters=filtered(name, "elsewhere")) == {}


def test_initializing_until_the_guest_has_come_up(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    for up, status in ((False, "initializing"), (True, "ok")):
        cloud.observe(ident, up=up)
        (found,) = account.ec2.describe_instance_status(InstanceIds=[ident])["InstanceStatuses"]
        assert found["InstanceState"]["Name"] == "running"
        assert found["InstanceStatus"]["Status"] == found["SystemStatus"]["Status"] == status
    assert states(account, Filters=filtered("instance-status.reachability", "initializing")) == {}


def test_bad_input(account: Account) -> None:
    ident = account.launch()[0]
    with refused("InvalidInstanceID.NotFound"):
        states(account, InstanceIds=["i-" + "0" * 17])
    with refused("InvalidParameterValue"):
        states(account, Filters=filtered("colour", "red"))
    with refused("InvalidParameterCombination"):
        states(account, InstanceIds=[ident], MaxResults=5)


def test_waiters(cloud: Cloud, account: Account) -> None:
    """Boto3's waiters are content: they need one answer each."""
    ident = account.launch()[0]
    cloud.observe(ident)
    account.ec2.get_waiter("instance_running").wait(InstanceIds=[ident])
    account.ec2.get_waiter("instance_status_ok").wait(InstanceIds=[ident])
    account.ec2.terminate_instances(InstanceIds=[ident])
    cloud.end(ident)
    account.ec2.get_waiter("instance_terminated").wait(InstanceIds=[ident])


def test_on_a_lost_host_the_system_is_impaired(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    cloud.observe(ident)
    heard = cloud.silence()
    try:
        found = account.ec2.describe_instance_status(InstanceIds=[ident])["InstanceStatuses"][0]
        system = found["SystemStatus"]
        assert system["Status"] == "impaired"
        assert (system["Details"][0]["Name"], system["Details"][0]["Status"]) == ("reachability", "failed")
        assert abs(system["Details"][0]["ImpairedSince"].timestamp() - heard) < 1
        assert found["InstanceStatus"]["Status"] == "insufficient-data"
        impaired = filtered("system-status.status", "impaired")
        assert states(account, Filters=impaired) == {ident: "insufficient-data"}
    finally:
        cloud.silence(over=True)
    assert states(account, Filters=filtered("system-status.reachability", "passed")) == {ident: "ok"}
