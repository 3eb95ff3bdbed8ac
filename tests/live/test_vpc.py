"""A VPC as users make it: a public and a private subnet, a NAT gateway, and guests in both on real networks."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.cloud import PILEUS, SSH, LiveCloud, until
from tests.live.test_floating import GATEWAY, OUTSIDE, mirror

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.cost(60), pytest.mark.allow_hosts(["127.0.0.0/8", OUTSIDE])]

EVERYWHERE = "0.0.0.0/0"


class Vpc:
    """Ids of a VPC with all that guests of two subnets need."""

    def __init__(self, cloud: LiveCloud) -> None:
        ec2 = self.ec2 = cloud.ec2
        self.cloud = cloud
        self.vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
        self.public, self.private = (
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.77.{number}.0/24")["Subnet"]["SubnetId"]
            for number in (1, 2)
        )
        ec2.modify_subnet_attribute(SubnetId=self.public, MapPublicIpOnLaunch={"Value": True})
        self.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.tables = [ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"] for _ in range(2)]
        for table, subnet in zip(self.tables, (self.public, self.private), strict=True):
            ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        ec2.create_route(RouteTableId=self.tables[0], DestinationCidrBlock=EVERYWHERE, GatewayId=self.gateway)
        self.group = ec2.create_security_group(GroupName="lab", Description="d", VpcId=self.vpc)["GroupId"]
        for protocol in ("tcp", "icmp"):
            ec2.authorize_security_group_ingress(
                GroupId=self.group, IpProtocol=protocol, FromPort=-1 if protocol == "icmp" else 22,
                ToPort=-1 if protocol == "icmp" else 22, CidrIp=EVERYWHERE,
            )  # fmt: skip
        self.guests: list[str] = []

    def guest(self, subnet: str) -> dict[str, Any]:
        """A running container in a subnet."""
        made = self.ec2.run_instances(
            ImageId=self.cloud.image("tiny-container"), InstanceType="light", MinCount=1, MaxCount=1, KeyName="test",
            SubnetId=subnet, SecurityGroupIds=[self.group],
        )  # fmt: skip
        self.guests.append(made["Instances"][0]["InstanceId"])
        return self.cloud.wait(self.guests[-1], "running")

    def delete(self) -> None:
        """All of it, in the order that EC2 asks for."""
        ec2 = self.ec2
        ec2.terminate_instances(InstanceIds=self.guests)
        for ident in self.guests:
            self.cloud.wait(ident, "terminated")
        ec2.delete_security_group(GroupId=self.group)
        ec2.detach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        ec2.delete_internet_gateway(InternetGatewayId=self.gateway)
        for subnet in (self.public, self.private):
            ec2.delete_subnet(SubnetId=subnet)
        for table in self.tables:
            ec2.delete_route_table(RouteTableId=table)
        ec2.delete_vpc(VpcId=self.vpc)


def said(cloud: LiveCloud, ident: str, key: Path, command: str) -> str:
    """Return the output of a command in a guest, by ssh to its loopback address, which private guests have too."""
    listed = subprocess.run(
        [PILEUS, "list", "--json", "--state", str(cloud.state)], capture_output=True, text=True, check=True
    )
    address = next(each["loopback"] for each in json.loads(listed.stdout) if ident in json.dumps(each))
    words = [*SSH, "-i", str(key), f"root@{address}", command]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stdout.strip()


def test_guests_of_a_public_and_a_private_subnet(cloud: LiveCloud, key: Path) -> None:
    """The public guest is reached and goes out; the private one goes out once a NAT gateway leads there."""
    vpc = Vpc(cloud)
    public, private = vpc.guest(vpc.public), vpc.guest(vpc.private)
    assert "PublicIpAddress" in public
    assert "PublicIpAddress" not in private
    ids = [each["InstanceId"] for each in (public, private)]
    ask = f"nc -w 3 {GATEWAY} 8090 </dev/null"
    server = mirror(cloud.layout.netns, 8090)
    try:
        until("the public guest goes out", lambda: said(cloud, ids[0], key, ask))
        assert not said(cloud, ids[1], key, ask), "no route leads out of the private subnet"
        ping = f"ping -c 1 -W 2 {private['PrivateIpAddress']} >/dev/null && echo yes"
        until("the guests reach each other", lambda: said(cloud, ids[0], key, ping) == "yes")
        allocation = vpc.ec2.allocate_address()
        nat = vpc.ec2.create_nat_gateway(SubnetId=vpc.public, AllocationId=allocation["AllocationId"])["NatGateway"]
        vpc.ec2.create_route(
            RouteTableId=vpc.tables[1], DestinationCidrBlock=EVERYWHERE, NatGatewayId=nat["NatGatewayId"]
        )
        seen = allocation["PublicIp"]
        until("the private guest goes out by the gateway's address", lambda: said(cloud, ids[1], key, ask) == seen)
        assert said(cloud, ids[0], key, ask) != seen
        vpc.ec2.delete_nat_gateway(NatGatewayId=nat["NatGatewayId"])
        until("its way out is gone", lambda: not said(cloud, ids[1], key, ask))
        vpc.ec2.release_address(AllocationId=allocation["AllocationId"])
    finally:
        server.close()
    assert "All is well" in cloud.pileus("doctor")
    vpc.delete()
    uuids = tuple(ident.partition("-")[2][:8] for ident in (vpc.vpc, vpc.public, vpc.private))
    until("nothing is left in the engine", lambda: not cloud.left(uuids))
