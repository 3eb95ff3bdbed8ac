"""What holds between guests and over their lives: disks, groups, addresses, power."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live.cloud import KINDS, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.cloud import LiveCloud


@pytest.fixture(scope="module")
def group(cloud: LiveCloud) -> str:
    """A security group that admits ssh from this machine."""
    ec2 = cloud.ec2
    made = str(ec2.create_security_group(GroupName="life", Description="ssh from here")["GroupId"])
    ec2.authorize_security_group_ingress(GroupId=made, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="127.0.0.0/8")
    return made


@pytest.mark.cost(60)
@pytest.mark.parametrize("image", ["tiny", "tiny-container", "debian-12", "debian-12-container"])
def test_status_checks_pass_when_the_guest_answers(cloud: LiveCloud, group: str, image: str) -> None:
    """And not before; of a guest that no rule lets anybody reach as well."""
    container = image.endswith("container")
    flavor = "basic" if container else "m1.tiny" if image == "tiny" else "m1.small"
    closed = str(cloud.ec2.create_security_group(GroupName=f"closed-{image}", Description="nobody")["GroupId"])

    def status(ident: str) -> str:
        found = cloud.ec2.describe_instance_status(InstanceIds=[ident])["InstanceStatuses"]
        return str(found[0]["InstanceStatus"]["Status"]) if found else ""

    idents = []
    for admitted in (group, closed):
        launched = cloud.ec2.run_instances(
            ImageId=cloud.image(image), InstanceType=flavor, MinCount=1, MaxCount=1, SecurityGroupIds=[admitted]
        )
        idents.append(str(launched["Instances"][0]["InstanceId"]))
    seen: set[str] = set()

    def passed() -> bool:
        seen.add(found := status(idents[0]))
        return found == "ok"

    until("the status checks pass", passed, 300.0)
    assert cloud.reaches(idents[0], 22)
    assert seen <= {"", "initializing", "ok"}
    until("the other one's, too", lambda: status(idents[1]) == "ok")
    cloud.ec2.reboot_instances(InstanceIds=[idents[0]])
    until("it has to come up again", lambda: status(idents[0]) != "ok")
    until("it is up again", lambda: status(idents[0]) == "ok", 300.0)
    assert cloud.reaches(idents[0], 22)
    cloud.ec2.terminate_instances(InstanceIds=idents)
    for ident in idents:
        cloud.wait(ident, "terminated")
    cloud.ec2.delete_security_group(GroupId=closed)


@pytest.fixture(scope="module", params=KINDS, ids=str)
def guests(cloud: LiveCloud, group: str, key: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Two guests of a kind on the default subnet."""
    kind = request.param
    launched = cloud.ec2.run_instances(
        ImageId=cloud.image(kind.image),
        InstanceType=kind.flavor,
        MinCount=2,
        MaxCount=2,
        KeyName="test",
        SecurityGroupIds=[group],
    )["Instances"]
    first, second = (instance["InstanceId"] for instance in launched)
    for ident in (first, second):
        cloud.wait(ident, "running")
        cloud.ssh(ident, key, "true")
    yield first, second
    cloud.ec2.terminate_instances(InstanceIds=[first, second])
    for ident in (first, second):
        cloud.wait(ident, "terminated")


@pytest.mark.cost(60)
def test_a_rule_takes_effect_on_a_live_guest(cloud: LiveCloud, guests: tuple[str, str], group: str, key: Path) -> None:
    """Two guests of one subnet reach each other from the moment a rule admits it, and no longer than that."""
    first, second = guests
    address = cloud.instance(second)["PrivateIpAddress"]

    def reaches() -> bool:
        return "0% packet loss" in cloud.ssh(first, key, f"ping -c 1 -W 1 {address} || true").replace("100%", "all")

    assert not reaches()
    rule = {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "UserIdGroupPairs": [{"GroupId": group}]}
    cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    until("the rule admits", reaches)
    cloud.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])
    until("the rule is gone", lambda: not reaches())


@pytest.mark.cost(60)
def test_stop_start_and_reboot_keep_the_disk(cloud: LiveCloud, guests: tuple[str, str], key: Path) -> None:
    """What a guest wrote is there after each of them; an address and a host key stay as well."""
    ident = guests[0]
    before = cloud.instance(ident)
    cloud.ssh(ident, key, "echo kept > /root/kept; sync")
    boot = cloud.ssh(ident, key, "cat /proc/sys/kernel/random/boot_id")

    cloud.ec2.reboot_instances(InstanceIds=[ident])
    # Nothing is said by a guest that goes down while it is asked.
    until("booted again", lambda: cloud.ssh(ident, key, "cat /proc/sys/kernel/random/boot_id") not in ("", boot))
    assert cloud.ssh(ident, key, "cat /root/kept") == "kept"

    cloud.ec2.stop_instances(InstanceIds=[ident])
    cloud.wait(ident, "stopped")
    cloud.ec2.start_instances(InstanceIds=[ident])
    cloud.wait(ident, "running")
    assert cloud.ssh(ident, key, "cat /root/kept") == "kept"
    after = cloud.instance(ident)
    assert (after["PrivateIpAddress"], after["PublicIpAddress"]) == (
        before["PrivateIpAddress"],
        before["PublicIpAddress"],
    )


@pytest.mark.cost(40)
def test_a_guest_that_shuts_itself_down_stays_down(cloud: LiveCloud, guests: tuple[str, str], key: Path) -> None:
    """It shows as stopped, and a start brings it back."""
    ident = guests[1]
    cloud.ssh(ident, key, "(sleep 1; poweroff) </dev/null >/dev/null 2>&1 &")
    cloud.wait(ident, "stopped")
    cloud.ec2.start_instances(InstanceIds=[ident])
    cloud.wait(ident, "running")
    cloud.ssh(ident, key, "true")


@pytest.mark.cost(10)
def test_every_port_is_in_its_groups_and_nowhere_else(cloud: LiveCloud, guests: tuple[str, str], group: str) -> None:
    """Read back from OVN's own northbound database, not from what was ordered."""
    wanted = {}
    for ident in guests:
        for port in cloud.instance(ident)["NetworkInterfaces"]:
            wanted[port["NetworkInterfaceId"][4:]] = sorted(held["GroupId"][3:] for held in port["Groups"])

    def held() -> dict[str, list[str]]:
        found = {}
        for trace in cloud.traces():
            words = trace.split()
            if words[:2] == ["ovn", "port"] and len(words) == 4:
                groups = [name.replace("-", "")[:17] for name in words[3].split(",") if name != "drop"]
                found[words[2].replace("-", "")[:17]] = sorted(groups)
                assert "drop" in words[3].split(",")
        return found

    # What another test asked for last may still be on its way there.
    until("OVN has it so", lambda: wanted.items() <= held().items())
    assert all(groups == [group[3:]] for groups in wanted.values())


@pytest.mark.cost(30)
def test_rules_that_name_a_group_follow_its_members(
    cloud: LiveCloud, guests: tuple[str, str], group: str, key: Path
) -> None:
    """A guest in several groups is reached as each of them says, by whoever is a member of the named one just then."""
    client, server = guests
    address = cloud.instance(server)["PrivateIpAddress"]
    ask = f"ping -c 1 -W 1 {address} >/dev/null && echo ping; nc -w 2 {address} 22 </dev/null | head -c 3"

    def admitted() -> set[str]:
        return set(cloud.ssh(client, key, ask).split())

    def belong(ident: str, *groups: str) -> None:
        cloud.ec2.modify_instance_attribute(InstanceId=ident, Groups=[group, *groups])

    trusted, *serving = (
        cloud.ec2.create_security_group(GroupName=name, Description="d")["GroupId"]
        for name in ("trusted", "tcp", "icmp")
    )
    for each, low, high in zip(serving, (22, -1), (22, -1), strict=True):
        protocol = "tcp" if low == 22 else "icmp"
        rule = {"IpProtocol": protocol, "FromPort": low, "ToPort": high, "UserIdGroupPairs": [{"GroupId": trusted}]}
        cloud.ec2.authorize_security_group_ingress(GroupId=each, IpPermissions=[rule])
    belong(server, *serving)
    assert admitted() == set()
    belong(client, trusted)
    until("a member reaches both", lambda: admitted() == {"ping", "SSH"})
    belong(server, serving[0])
    until("one group is left", lambda: admitted() == {"SSH"})
    belong(server, *serving)
    until("both groups are back", lambda: admitted() == {"ping", "SSH"})
    belong(client)
    until("who is no member any more reaches nothing", lambda: admitted() == set())
    belong(server)
    for each in (*serving, trusted):
        cloud.ec2.delete_security_group(GroupId=each)


@pytest.mark.cost(20)
def test_other_groups_take_effect_on_a_live_guest(
    cloud: LiveCloud, guests: tuple[str, str], group: str, key: Path
) -> None:
    """An instance that leaves the group that admits ssh is out of reach, and back with it; its console agrees."""
    ident = guests[0]
    closed = cloud.ec2.create_security_group(GroupName="closed", Description="nothing")["GroupId"]
    cloud.ssh(ident, key, "true")
    cloud.ec2.modify_instance_attribute(InstanceId=ident, Groups=[closed])
    until("ssh is refused", lambda: not cloud.reaches(ident, 22))
    cloud.ec2.modify_instance_attribute(InstanceId=ident, Groups=[group])
    cloud.ssh(ident, key, "true")
    cloud.ec2.delete_security_group(GroupId=closed)
