"""boto3's resource API: a VPC with a public and a private guest, from the first call to the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.live.cloud import LiveCloud, until
from tests.live.test_floating import OUTSIDE

if TYPE_CHECKING:
    from tests.clients.conftest import Outside

pytestmark = [pytest.mark.cost(90), pytest.mark.allow_hosts(["127.0.0.0/8", OUTSIDE])]

EVERYWHERE = "0.0.0.0/0"
SOON: Any = {"Delay": 1, "MaxAttempts": 120}


class Site:
    """A VPC with all that a public and a private guest need."""

    def __init__(self, ec2: Any, image: str, public_key: str) -> None:
        self.ec2 = ec2
        self.vpc = ec2.create_vpc(CidrBlock="10.81.0.0/16")
        self.vpc.wait_until_available()
        self.vpc.create_tags(Tags=[{"Key": "Name", "Value": "resources"}])
        self.vpc.modify_attribute(EnableDnsHostnames={"Value": True})
        self.public_subnet, self.private_subnet = (
            self.vpc.create_subnet(CidrBlock=f"10.81.{number}.0/24") for number in (1, 2)
        )
        self.gateway = ec2.create_internet_gateway()
        self.vpc.attach_internet_gateway(InternetGatewayId=self.gateway.id)
        self._route()
        self._admit()
        ec2.import_key_pair(KeyName="resources", PublicKeyMaterial=public_key.encode())
        self.public_guest = self._guest(image, self.public_subnet, self.public_group)
        self.private_guest = self._guest(image, self.private_subnet, self.private_group)
        self.address = ec2.VpcAddress(ec2.meta.client.allocate_address(Domain="vpc")["AllocationId"])
        self.address.associate(InstanceId=self.public_guest.id)

    def _route(self) -> None:
        client = self.ec2.meta.client
        self.nat_address = self.ec2.VpcAddress(client.allocate_address(Domain="vpc")["AllocationId"])
        answer = client.create_nat_gateway(SubnetId=self.public_subnet.id, AllocationId=self.nat_address.allocation_id)
        self.nat = answer["NatGateway"]["NatGatewayId"]
        client.get_waiter("nat_gateway_available").wait(NatGatewayIds=[self.nat], WaiterConfig=SOON)
        self.tables = [self.vpc.create_route_table() for _ in range(2)]
        self.tables[0].create_route(DestinationCidrBlock=EVERYWHERE, GatewayId=self.gateway.id)
        self.tables[1].create_route(DestinationCidrBlock=EVERYWHERE, NatGatewayId=self.nat)
        self.associations = [
            table.associate_with_subnet(SubnetId=subnet.id)
            for table, subnet in zip(self.tables, (self.public_subnet, self.private_subnet), strict=True)
        ]

    def _admit(self) -> None:
        self.public_group, self.private_group = (
            self.vpc.create_security_group(GroupName=name, Description="ssh") for name in ("public", "private")
        )
        ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
        self.public_group.authorize_ingress(IpPermissions=[{**ssh, "IpRanges": [{"CidrIp": EVERYWHERE}]}])
        self.private_group.authorize_ingress(
            IpPermissions=[{**ssh, "UserIdGroupPairs": [{"GroupId": self.public_group.id}]}]
        )

    def _guest(self, image: str, subnet: Any, group: Any) -> Any:
        (instance,) = subnet.create_instances(
            ImageId=image, InstanceType="light", MinCount=1, MaxCount=1, KeyName="resources",
            SecurityGroupIds=[group.id],
        )  # fmt: skip
        instance.wait_until_exists()
        instance.wait_until_running(WaiterConfig=SOON)
        instance.reload()
        return instance

    def delete(self) -> None:
        """All of it, in the order that EC2 asks for."""
        client = self.ec2.meta.client
        instances = self.vpc.instances.all()
        instances.terminate()
        for instance in instances:
            instance.wait_until_terminated(WaiterConfig=SOON)
        self.address.release()
        client.delete_nat_gateway(NatGatewayId=self.nat)
        client.get_waiter("nat_gateway_deleted").wait(NatGatewayIds=[self.nat], WaiterConfig=SOON)
        self.nat_address.release()
        for association in self.associations:
            association.delete()
        for table in self.tables:
            table.delete()
        self.vpc.detach_internet_gateway(InternetGatewayId=self.gateway.id)
        self.gateway.delete()
        for group in (self.private_group, self.public_group):
            group.delete()
        for subnet in self.vpc.subnets.all():
            subnet.delete()
        self.ec2.KeyPair("resources").delete()
        self.vpc.delete()


def test_resources_make_a_vpc_and_take_it_down(cloud: LiveCloud, outside: Outside, environment: dict[str, str]) -> None:
    """The private guest is reached through the public one, and goes out by the NAT gateway."""
    ec2: Any = boto3.resource(
        "ec2",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_DEFAULT_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    (image,) = ec2.images.filter(Filters=[{"Name": "name", "Values": ["tiny-container"]}])
    site = Site(ec2, image.id, outside.public_key.read_text())
    assert {instance.id for instance in site.vpc.instances.all()} == {site.public_guest.id, site.private_guest.id}
    assert {route.gateway_id for route in site.tables[0].routes} == {"local", site.gateway.id}
    assert site.private_guest.public_ip_address is None
    assert [group["GroupId"] for group in site.private_guest.security_groups] == [site.private_group.id]
    public, private = site.address.public_ip, site.private_guest.private_ip_address
    until(
        "the private guest goes out by the NAT gateway",
        lambda: outside.fetched_through(public, private) == site.nat_address.public_ip,
    )
    site.delete()
    assert not [vpc for vpc in ec2.vpcs.all() if not vpc.is_default]
    assert not list(ec2.vpc_addresses.all())
    until("all is well", lambda: "All is well" in cloud.pileus("doctor"))
