"""First light: from RunInstances by boto3 to a shell over plain ssh, and to nothing left."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from tests.live.cloud import KINDS, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.cloud import Kind, LiveCloud


@pytest.mark.cost(60)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_an_instance_from_launch_to_ssh_to_nothing(cloud: LiveCloud, key: Path, kind: Kind) -> None:
    """The main job of the whole product, by an untouched boto3 and an untouched ssh."""
    ec2, nonce = cloud.ec2, secrets.token_hex(8)
    group = ec2.create_security_group(GroupName="light", Description="ssh from here")["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="127.0.0.0/8")
    answer = ec2.run_instances(
        ImageId=cloud.image(kind.image),
        InstanceType=kind.flavor,
        MinCount=1,
        MaxCount=1,
        KeyName="test",
        SecurityGroupIds=[group],
        UserData=f"#!/bin/sh\necho {nonce} > /root/nonce\n",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "light"}]}],
    )
    launched, request = answer["Instances"][0], answer["ResponseMetadata"]["RequestId"]
    ident = launched["InstanceId"]
    assert launched["State"]["Name"] == "pending"
    cloud.wait(ident, "running")

    assert "Linux" in cloud.ssh(ident, key, "uname -a")
    until("user data ran", lambda: cloud.ssh(ident, key, "cat /root/nonce") == nonce)
    assert "ID=" in cloud.ssh(ident, key, "cat /etc/os-release")
    assert launched["PrivateIpAddress"] in cloud.ssh(ident, key, "ip -4 addr")
    until("the console says so", lambda: "READY" in ec2.get_console_output(InstanceId=ident).get("Output", ""))
    if kind.name == "container":
        with pytest.raises(ClientError, match="UnsupportedOperation"):
            ec2.get_console_screenshot(InstanceId=ident)
    else:
        assert base64.b64decode(ec2.get_console_screenshot(InstanceId=ident)["ImageData"]).startswith(b"\x89PNG")

    said = []
    for line in (cloud.state / "log/host.log").read_text().splitlines():
        # The last one may just be written.
        with contextlib.suppress(ValueError):
            said.append(json.loads(line))
    done = [line.get("call", line["event"]) for line in said if line.get("request") == request]
    made = ["container started"] if kind.name == "container" else ["defineXML", "create"]
    assert [one for one in done if one in made] == made, "the request's id is beside what was done for it"

    port = cloud.instance(ident)["NetworkInterfaces"][0]
    names = (ident[2:], port["NetworkInterfaceId"][4:12], port["PrivateIpAddress"] + " ", port["MacAddress"])
    assert cloud.left(names), "the scan finds a living instance"
    ec2.terminate_instances(InstanceIds=[ident])
    cloud.wait(ident, "terminated")
    until("nothing is left", lambda: not cloud.left(names))
    ec2.delete_security_group(GroupId=group)
