"""Network interfaces that come to guests and leave them while these run, with packets, on machines and containers."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.cloud import KINDS, LiveCloud, until
from tests.live.test_vpc import said

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.cloud import Kind

_RANGES = itertools.count(128)
FIRST = "ip route replace 169.254.169.254 via 172.31.0.2 dev eth0 2>/dev/null;"
"""The tiny machine takes all routes from the interface that came last, and has none once that left."""

METADATA = f"{FIRST} wget -q -O - http://169.254.169.254/latest/meta-data/network/interfaces/macs/"


class Lab:
    """A second subnet of the default VPC, a group for all, and guests."""

    def __init__(self, cloud: LiveCloud) -> None:
        ec2 = self.ec2 = cloud.ec2
        self.cloud = cloud
        self.guests: list[str] = []
        vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        self.subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=f"172.31.{next(_RANGES)}.0/24")["Subnet"]["SubnetId"]
        self.group = ec2.create_security_group(GroupName=f"lab-{self.subnet}", Description="d", VpcId=vpc)["GroupId"]
        ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "127.0.0.0/8"}]}
        own = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": self.group}]}
        ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=[ssh, own])

    def guest(self, kind: Kind, **more: Any) -> str:
        """A guest that was asked for."""
        made = self.ec2.run_instances(
            ImageId=self.cloud.image(kind.image), InstanceType=kind.flavor, MinCount=1, MaxCount=1, KeyName="test",
            **(more or {"SecurityGroupIds": [self.group]}),
        )  # fmt: skip
        self.guests.append(made["Instances"][0]["InstanceId"])
        return self.guests[-1]

    def interface(self) -> dict[str, Any]:
        """A network interface in the second subnet, without a guest."""
        made = self.ec2.create_network_interface(SubnetId=self.subnet, Groups=[self.group])
        return dict(made["NetworkInterface"])

    def shown(self, interface: dict[str, Any]) -> dict[str, Any]:
        """The interface as it is now."""
        ident = interface["NetworkInterfaceId"]
        return dict(self.ec2.describe_network_interfaces(NetworkInterfaceIds=[ident])["NetworkInterfaces"][0])

    def attached(self, interface: dict[str, Any], guest: str, index: int = 1) -> str:
        """Attach it, and wait until it is; the attachment's id."""
        ident = self.ec2.attach_network_interface(
            NetworkInterfaceId=interface["NetworkInterfaceId"], InstanceId=guest, DeviceIndex=index
        )["AttachmentId"]
        until("the interface is attached", lambda: self.shown(interface)["Attachment"]["Status"] == "attached")
        return str(ident)

    def detached(self, interface: dict[str, Any], attachment: str) -> None:
        """Detach it, and wait until it is available."""
        self.ec2.detach_network_interface(AttachmentId=attachment)
        until("the interface is available", lambda: self.shown(interface)["Status"] == "available")

    def delete(self, *interfaces: dict[str, Any]) -> None:
        """All of it."""
        self.ec2.terminate_instances(InstanceIds=self.guests)
        for ident in self.guests:
            self.cloud.wait(ident, "terminated")
        for interface in interfaces:
            until("it is left without a guest", lambda one=interface: self.shown(one)["Status"] == "available")  # type: ignore[misc]
            self.ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
        until("its ports are gone", lambda: not self._held())

    def _held(self) -> bool:
        try:
            self.ec2.delete_security_group(GroupId=self.group)
            self.ec2.delete_subnet(SubnetId=self.subnet)
        except self.ec2.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            assert code in ("DependencyViolation", "InvalidGroup.NotFound"), code
            if code == "InvalidGroup.NotFound":
                self.ec2.delete_subnet(SubnetId=self.subnet)
                return False
            return True
        return False


@pytest.mark.cost(60)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_one_comes_and_goes_while_the_guest_runs(cloud: LiveCloud, key: Path, kind: Kind) -> None:
    """It is in the guest with its MAC and speaks to a neighbour; once detached it is neither there nor reached."""
    lab = Lab(cloud)
    # From another subnet the answer would leave by the guest's first interface, as on EC2.
    peer = lab.guest(KINDS[1], SubnetId=lab.subnet, SecurityGroupIds=[lab.group])
    guest = lab.guest(kind)
    cloud.ssh(guest, key, "true")
    interface = lab.interface()
    mac, address = interface["MacAddress"], interface["PrivateIpAddress"]
    find = f"grep -li {mac} /sys/class/net/*/address | cut -d/ -f5"
    for _ in range(2):
        attachment = lab.attached(interface, guest)
        device = until("the guest has the device", lambda: cloud.ssh(guest, key, f"{find} || true"))
        if kind is KINDS[0]:
            cloud.ssh(guest, key, f"ip link set {device} up; ip address add {address}/24 dev {device}")
        assert address in cloud.ssh(guest, key, f"ip -4 address show dev {device}")
        assert f"{mac}/" in cloud.ssh(guest, key, METADATA).split()
        assert cloud.ssh(guest, key, f"{METADATA}{mac}/device-number") == "1"
        ping = f"ping -c 1 -W 2 {address} >/dev/null && echo yes || echo no"
        until("a neighbour reaches it", lambda: said(cloud, peer, key, ping) == "yes")  # noqa: B023  (asked at once)
        assert "All is well" in cloud.pileus("doctor")
        lab.detached(interface, attachment)
        assert cloud.ssh(guest, key, f"{find} || true") == ""
        assert said(cloud, peer, key, ping) == "no"
        assert f"{mac}/" not in cloud.ssh(guest, key, METADATA).split()
    lab.attached(interface, guest)
    lab.ec2.terminate_instances(InstanceIds=[guest])
    cloud.wait(guest, "terminated")
    lab.delete(interface)
    assert "All is well" in cloud.pileus("doctor")


@pytest.mark.cost(60)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_launch_has_several(cloud: LiveCloud, key: Path, kind: Kind) -> None:
    """A new interface and one that is there, both on the guest; it moves to another one, stopped, and starts there."""
    lab = Lab(cloud)
    default = next(each for each in lab.ec2.describe_subnets()["Subnets"] if each["DefaultForAz"])["SubnetId"]
    interface = lab.interface()
    first = {"DeviceIndex": 0, "SubnetId": default, "Groups": [lab.group]}
    second = {"DeviceIndex": 1, "NetworkInterfaceId": interface["NetworkInterfaceId"]}
    guest = lab.guest(kind, NetworkInterfaces=[first, second])
    other = lab.guest(kind)
    macs = "cat /sys/class/net/e*/address"
    # With several interfaces it has no public address, as on EC2.
    until("both are there", lambda: interface["MacAddress"] in said(cloud, guest, key, macs).split())
    assert len(said(cloud, guest, key, METADATA).split()) == 2
    lab.detached(interface, lab.shown(interface)["Attachment"]["AttachmentId"])
    cloud.ssh(other, key, "true")
    lab.ec2.stop_instances(InstanceIds=[other])
    cloud.wait(other, "stopped")
    lab.attached(interface, other)
    lab.ec2.start_instances(InstanceIds=[other])
    cloud.wait(other, "running")
    assert interface["MacAddress"] in cloud.ssh(other, key, macs).split()
    assert "All is well" in cloud.pileus("doctor")
    lab.delete(interface)
