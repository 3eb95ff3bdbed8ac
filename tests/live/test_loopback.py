"""A tenant with very many rules, on a real cloud: nobody else notices, and everything goes with its instances."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest

from tests.live.cloud import LiveCloud, running

if TYPE_CHECKING:
    from pathlib import Path

GROUPS, RULES, PORTS = 16, 60, 16


def _launch(cloud: LiveCloud, *groups: str) -> str:
    asked = cloud.ec2.run_instances(
        ImageId=cloud.image("tiny-container"),
        InstanceType="light",
        MinCount=1,
        MaxCount=1,
        KeyName="test",
        SecurityGroupIds=groups,
    )
    return str(asked["Instances"][0]["InstanceId"])


def _descriptors(cloud: LiveCloud) -> int:
    return len(os.listdir(f"/proc/{cloud.part('host')}/fd"))  # noqa: PTH208  (a count)


def _group(cloud: LiveCloud, number: int) -> str:
    """A group as full as can be, whose rules admit ports that no other group's do, with gaps; and ssh."""
    made = str(cloud.ec2.create_security_group(GroupName=f"many-{number}", Description="many")["GroupId"])
    firsts = range(3000 + number * RULES * (PORTS + 1), 3000 + (number + 1) * RULES * (PORTS + 1), PORTS + 1)
    rules = [
        {"IpProtocol": "tcp", "FromPort": at, "ToPort": at + PORTS - 1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        for at in firsts[:-1]
    ]
    rules += [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "127.0.0.0/8"}]}]
    cloud.ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=rules)
    return made


@pytest.mark.cost(60)
def test_very_many_rules_take_nothing_from_anybody(tmp_path: Path) -> None:
    with running() as cloud:
        key = cloud.key("test", tmp_path)
        cloud.open_ssh()
        (default,) = cloud.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
        groups = [_group(cloud, number) for number in range(GROUPS)]
        victim = _launch(cloud, default["GroupId"])
        cloud.ssh(victim, key, "true")
        host, before = cloud.part("host"), _descriptors(cloud)
        greedy = [_launch(cloud, *groups) for _ in range(2)]
        for ident in greedy:
            cloud.wait(ident, "running")
        assert _descriptors(cloud) < before + 100
        assert _descriptors(cloud) < resource.prlimit(host, resource.RLIMIT_NOFILE)[0] // 10
        ask = "wget -q -O - http://169.254.169.254/latest/meta-data/instance-id"
        assert cloud.ssh(victim, key, ask) == victim
        late = _launch(cloud, default["GroupId"])
        assert cloud.ssh(late, key, ask) == late
        assert cloud.ssh(greedy[0], key, ask) == greedy[0]
        findings = cloud.pileus("doctor", "--json")
        assert "Listener" not in findings
        everybody = [victim, late, *greedy]
        cloud.ec2.terminate_instances(InstanceIds=everybody)
        for ident in everybody:
            cloud.wait(ident, "terminated")
        assert cloud.part("host") == host, "it never ended"
        assert _descriptors(cloud) <= before
