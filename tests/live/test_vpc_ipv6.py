"""A VPC with IPv6 as users make it: a public subnet, and one that leads out one way, with guests in both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pileus.model.addresses import METADATA6
from tests.live import veth6
from tests.live.cloud import LiveCloud, until
from tests.live.test_floating import OUTSIDE
from tests.live.test_ipv6 import GATEWAY
from tests.live.test_vpc import Vpc, said

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.cost(60), pytest.mark.allow_hosts(["127.0.0.0/8", "::/0", OUTSIDE])]

EVERYWHERE = "::/0"


def wide(vpc: Vpc) -> str:
    """Give both subnets ranges of IPv6, the second an egress-only gateway, whose id is returned."""
    ec2 = vpc.ec2
    added = ec2.associate_vpc_cidr_block(VpcId=vpc.vpc, AmazonProvidedIpv6CidrBlock=True)
    cidr = added["Ipv6CidrBlockAssociation"]["Ipv6CidrBlock"]
    for number, subnet in enumerate((vpc.public, vpc.private), 1):
        part = cidr.replace("00::/56", f"{number:02x}::/64")
        ec2.associate_subnet_cidr_block(SubnetId=subnet, Ipv6CidrBlock=part)
        ec2.modify_subnet_attribute(SubnetId=subnet, AssignIpv6AddressOnCreation={"Value": True})
    everything: Any = [{"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": EVERYWHERE}]}]
    ec2.authorize_security_group_ingress(GroupId=vpc.group, IpPermissions=everything)
    egress = ec2.create_egress_only_internet_gateway(VpcId=vpc.vpc)["EgressOnlyInternetGateway"]
    ident = str(egress["EgressOnlyInternetGatewayId"])
    ec2.create_route(RouteTableId=vpc.tables[0], DestinationIpv6CidrBlock=EVERYWHERE, GatewayId=vpc.gateway)
    ec2.create_route(RouteTableId=vpc.tables[1], DestinationIpv6CidrBlock=EVERYWHERE, EgressOnlyInternetGatewayId=ident)
    return ident


def _check_metadata(cloud: LiveCloud, key: Path, ids: list[str]) -> None:
    """By IPv6 the metadata service answers the instances that have it switched on, each about itself."""
    path = "latest/meta-data/instance-id"
    ask = rf"printf 'GET /{path} HTTP/1.0\r\n\r\n' | nc -w 3 {METADATA6} 80 | tail -n 1"
    assert [said(cloud, ident, key, ask) for ident in ids] == ["", ""]
    for ident in ids:
        changed = cloud.ec2.modify_instance_metadata_options(InstanceId=ident, HttpProtocolIpv6="enabled")
        assert changed["InstanceMetadataOptions"]["HttpProtocolIpv6"] == "enabled"
        until("the service answers", lambda i=ident: said(cloud, i, key, ask) == i)  # type: ignore[misc]  # mypy infers no type of a lambda with a default
    cloud.ec2.modify_instance_metadata_options(InstanceId=ids[0], HttpProtocolIpv6="disabled")
    until("it answers no more", lambda: not said(cloud, ids[0], key, ask))
    assert said(cloud, ids[1], key, ask) == ids[1]
    assert not said(cloud, ids[1], key, f"nc -w 3 {METADATA6} 22 </dev/null && echo open")


def test_guests_have_ipv6_of_their_vpc(cloud: LiveCloud, key: Path) -> None:
    """The public guest is reached from outside; the other one goes out only; each by its own address."""
    vpc, outside = Vpc(cloud), cloud.layout.netns
    egress = wide(vpc)
    public, closed = vpc.guest(vpc.public), vpc.guest(vpc.private)
    own = [each["Ipv6Address"] for each in (public, closed)]
    ids = [each["InstanceId"] for each in (public, closed)]
    ask = f"nc -w 3 {GATEWAY} 8091 </dev/null"
    server = veth6.server(outside, 8091)
    try:
        for ident, address in zip(ids, own, strict=True):
            until("the guest goes out", lambda i=ident, a=address: said(cloud, i, key, ask) == a)  # type: ignore[misc]
        until("the public guest is reached", lambda: veth6.pings(outside, own[0]))
        assert veth6.fetched(outside, own[0], 22).startswith(b"SSH")
        assert not veth6.pings(outside, own[1])
        assert not veth6.fetched(outside, own[1], 22)
        ping = f"ping -6 -c 1 -W 2 {own[1]} >/dev/null && echo yes"
        until("the guests reach each other", lambda: said(cloud, ids[0], key, ping) == "yes")
        _check_metadata(cloud, key, ids)
        advertised = "ip -6 route show default | grep -c via"
        assert said(cloud, ids[0], key, advertised) == "1"
        vpc.ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=egress)
        until("its way out is gone", lambda: not said(cloud, ids[1], key, ask))
    finally:
        server.close()
    assert "All is well" in cloud.pileus("doctor")
    vpc.delete()
    uuids = tuple(ident.partition("-")[2][:8] for ident in (vpc.vpc, vpc.public, vpc.private))
    until("nothing is left in the engine", lambda: not cloud.left(uuids))
