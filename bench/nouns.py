"""Describe* of every noun in process: processor time a request for 1, 50, 500 rows, alone and beside 10,000 of others.

Goals: flat in the number of others' rows, and at most 1.3 times DescribeInstances for as many rows (`ratio`). The list
is asked for again and again, as clients do that wait for something; `changed` is the first time after a change of one
row, and `changed-ratio` that to DescribeInstances after the same change.
"""

from __future__ import annotations

import argparse
import ipaddress
import itertools
import re
import statistics
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pileus.model.caller import SYSTEM
from pileus.model.dhcpoptionset import DhcpOptionSet
from pileus.model.dhcpoptionset import Wanted as OptionsWanted
from pileus.model.egressgateway import EgressGateway
from pileus.model.egressgateway import Wanted as EgressWanted
from pileus.model.flavor import Flavor
from pileus.model.floatingip import Assigned as FloatingAssigned
from pileus.model.floatingip import FloatingIp
from pileus.model.floatingip import Wanted as FloatingWanted
from pileus.model.flowlog import FlowLog
from pileus.model.flowlog import Wanted as LogWanted
from pileus.model.ids import new_ec2, new_uuid
from pileus.model.image import Image
from pileus.model.image import Wanted as ImageWanted
from pileus.model.instance import Instance, Power, Seen
from pileus.model.instance import Wanted as InstanceWanted
from pileus.model.internetgateway import InternetGateway
from pileus.model.internetgateway import Wanted as GatewayWanted
from pileus.model.keypair import KeyPair
from pileus.model.keypair import Wanted as KeyWanted
from pileus.model.launchtemplate import LaunchTemplate, LaunchTemplateVersion
from pileus.model.launchtemplate import Wanted as TemplateWanted
from pileus.model.natgateway import Assigned as NatAssigned
from pileus.model.natgateway import NatGateway
from pileus.model.natgateway import Wanted as NatWanted
from pileus.model.network import Network
from pileus.model.network import Wanted as NetworkWanted
from pileus.model.networkacl import NetworkAcl
from pileus.model.networkacl import Wanted as AclWanted
from pileus.model.peering import Peering
from pileus.model.peering import Wanted as PeeringWanted
from pileus.model.placementgroup import PlacementGroup
from pileus.model.placementgroup import Wanted as PlacementWanted
from pileus.model.port import Assigned as PortAssigned
from pileus.model.port import Port
from pileus.model.port import Wanted as PortWanted
from pileus.model.prefixlist import PrefixList
from pileus.model.prefixlist import Wanted as ListWanted
from pileus.model.router import Router
from pileus.model.router import Wanted as RouterWanted
from pileus.model.routerattachment import RouterAttachment
from pileus.model.routerattachment import Wanted as AttachmentWanted
from pileus.model.routetable import NetworkRoute, RouteTable
from pileus.model.routetable import Wanted as TableWanted
from pileus.model.securitygroup import Rule, SecurityGroup
from pileus.model.securitygroup import Wanted as GroupWanted
from pileus.model.subnet import Subnet
from pileus.model.subnet import Wanted as SubnetWanted
from pileus.model.transitgateway import TransitGateway
from pileus.model.transitgateway import Wanted as HubWanted
from pileus.model.volume import Volume
from pileus.model.volume import Wanted as VolumeWanted
from pileus.rules.securitygroup import anywhere
from pileus.verbs import project
from tests.faces.ec2.cloud import Account, Cloud

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


SIZES: Final = (1, 50, 500)
OTHERS: Final = 10_000
PROJECTS: Final = 100


class MeasuredList(NamedTuple):
    """An element that each item of a list has, and the parameters of a request.

    `changed` is the list of which a row is changed, where that is not the list itself. With `rows`, the list is as long
    as the project has rows.
    """

    element: str
    parameters: Mapping[str, str] = {}
    changed: str = ""
    rows: bool = True


ACTIONS: Final = {
    "DescribeInstances": MeasuredList("instanceId"),
    "DescribeAddresses": MeasuredList("allocationId"),
    "DescribeDhcpOptions": MeasuredList("dhcpOptionsId"),
    "DescribeEgressOnlyInternetGateways": MeasuredList("egressOnlyInternetGatewayId"),
    "DescribeFlowLogs": MeasuredList("flowLogId"),
    "DescribeImages": MeasuredList("imageId"),
    "DescribeInstanceStatus": MeasuredList("instanceId"),
    "DescribeInstanceTypes": MeasuredList("instanceType", changed="DescribeInstances", rows=False),
    "DescribeInternetGateways": MeasuredList("internetGatewayId"),
    "DescribeKeyPairs": MeasuredList("keyPairId"),
    "DescribeLaunchTemplateVersions": MeasuredList("launchTemplateId", {"LaunchTemplateVersion.1": "$Latest"}),
    "DescribeLaunchTemplates": MeasuredList("launchTemplateId"),
    "DescribeManagedPrefixLists": MeasuredList("prefixListId"),
    "DescribeNatGateways": MeasuredList("natGatewayId"),
    "DescribeNetworkAcls": MeasuredList("networkAclId"),
    "DescribeNetworkInterfaces": MeasuredList("networkInterfaceId"),
    "DescribePlacementGroups": MeasuredList("groupId"),
    "DescribeRouteTables": MeasuredList("routeTableId"),
    "DescribeSecurityGroups": MeasuredList("groupId"),
    "DescribeSnapshots": MeasuredList("snapshotId", changed="DescribeImages"),
    "DescribeSubnets": MeasuredList("subnetId"),
    "DescribeTags": MeasuredList("resourceId", changed="DescribeVolumes"),
    "DescribeTransitGatewayAttachments": MeasuredList("transitGatewayAttachmentId"),
    "DescribeTransitGatewayVpcAttachments": MeasuredList("transitGatewayAttachmentId"),
    "DescribeTransitGateways": MeasuredList("transitGatewayId"),
    "DescribeVolumeStatus": MeasuredList("volumeId"),
    "DescribeVolumes": MeasuredList("volumeId"),
    "DescribeVpcPeeringConnections": MeasuredList("vpcPeeringConnectionId"),
    "DescribeVpcs": MeasuredList("vpcId"),
}

_NUMBERS = itertools.count(1)


def _network(owner: str, count: int) -> tuple[list[Router], list[Network], list[Subnet]]:
    routers = [
        Router(uuid=new_uuid(), project=owner, name=f"r{i}", wanted=RouterWanted(cidr="10.0.0.0/16"))
        for i in range(count)
    ]
    networks = [
        Network(uuid=new_uuid(), project=owner, name=f"n{i}", wanted=NetworkWanted(router=router.uuid))
        for i, router in enumerate(routers)
    ]
    subnets = [
        Subnet(uuid=new_uuid(), project=owner, wanted=SubnetWanted(network=network.uuid, cidr="10.0.0.0/24"))
        for network in networks
    ]
    return routers, networks, subnets


def _instances(
    owner: str, flavor: Flavor, image: Image, network: Network, subnet: Subnet, group: SecurityGroup, count: int
) -> tuple[list[Instance], list[Port], list[Volume]]:
    power = Power(state="running", n=1)
    instances = [
        Instance(
            uuid=new_uuid(),
            project=owner,
            name=f"i{i}",
            tags={"Name": f"i{i}"},
            wanted=InstanceWanted(flavor=flavor.uuid, image=image.uuid, power=power, reservation=new_ec2("r")),
            seen=Seen(running=True, n=1, ever=True, since=1.7e9),
        )
        for i in range(count)
    ]
    ports = []
    for i, instance in enumerate(instances):
        uuid = new_uuid()
        wanted = PortWanted(
            network=network.uuid, subnet=subnet.uuid, instance=instance.uuid, groups=(group.uuid,), attachment="a"
        )
        address = str(ipaddress.IPv4Address("10.0.0.0") + 10 + i)
        number = next(_NUMBERS)
        mac = f"fa:16:{number >> 24 & 255:02x}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        ports.append(Port(uuid=uuid, project=owner, wanted=wanted, assigned=PortAssigned(mac=mac, address=address)))
    volumes = [
        Volume(uuid=new_uuid(), project=owner, wanted=VolumeWanted(size=8, instance=instance.uuid, image=image.uuid))
        for instance in instances
    ]
    return instances, ports, volumes


def _others_of(owner: str, routers: list[Router], subnets: list[Subnet]) -> Iterable[list[Any]]:
    """The nouns beside instances and networks, as many of each kind as there are routers."""
    count = len(routers)
    own: dict[str, Any] = {"project": owner}
    addresses = [str(ipaddress.IPv4Address("172.16.0.0") + next(_NUMBERS)) for _ in range(count)]
    floating = [
        FloatingIp(uuid=new_uuid(), **own, wanted=FloatingWanted(), assigned=FloatingAssigned(address=address))
        for address in addresses
    ]
    gateways = [InternetGateway(uuid=new_uuid(), **own, wanted=GatewayWanted(router=router.uuid)) for router in routers]
    yield floating
    yield gateways
    yield [
        NatGateway(
            uuid=new_uuid(),
            **own,
            wanted=NatWanted(router=router.uuid, subnet=subnet.uuid, floatingip=each.uuid),
            assigned=NatAssigned(address="10.0.0.9"),
        )
        for router, subnet, each in zip(routers, subnets, floating, strict=True)
    ]
    yield [
        RouteTable(
            uuid=new_uuid(),
            **own,
            wanted=TableWanted(
                router=router.uuid,
                main=new_ec2("rtbassoc"),
                routes=(NetworkRoute(cidr="0.0.0.0/0", target="internetgateway", uuid=gateway.uuid),),
            ),
        )
        for router, gateway in zip(routers, gateways, strict=True)
    ]
    yield [NetworkAcl(uuid=new_uuid(), **own, wanted=AclWanted(router=router.uuid, default=True)) for router in routers]
    yield [
        KeyPair(uuid=new_uuid(), **own, name=f"k{i}", wanted=KeyWanted(public_key="ssh-rsa A", fingerprint="f"))
        for i in range(count)
    ]
    version = LaunchTemplateVersion(number=1, data={"InstanceType": "t2.micro"}, created=1.7e9, author="bench")
    yield [
        LaunchTemplate(uuid=new_uuid(), **own, name=f"t{i}", wanted=TemplateWanted(versions=(version,)))
        for i in range(count)
    ]
    yield [PrefixList(uuid=new_uuid(), **own, name=f"p{i}", wanted=ListWanted(max_entries=5)) for i in range(count)]
    yield [PlacementGroup(uuid=new_uuid(), **own, name=f"g{i}", wanted=PlacementWanted()) for i in range(count)]
    yield [DhcpOptionSet(uuid=new_uuid(), **own, wanted=OptionsWanted(domain="lab")) for _ in range(count)]
    yield [
        Peering(
            uuid=new_uuid(),
            **own,
            wanted=PeeringWanted(router=router.uuid, peer=routers[0].uuid, peer_project=owner, asked=routers[0].ec2_id),
        )
        for router in routers
    ]
    yield [
        Image(uuid=new_uuid(), **own, name=f"m{i}", wanted=ImageWanted(digest="0" * 64, size=1, virtual_size=1))
        for i in range(count)
    ]


def _further_of(owner: str, routers: list[Router]) -> Iterable[list[Any]]:
    """The nouns of routers alone, as many of each kind as there are routers."""
    own: dict[str, Any] = {"project": owner}
    yield [EgressGateway(uuid=new_uuid(), **own, wanted=EgressWanted(router=router.uuid)) for router in routers]
    yield [
        FlowLog(uuid=new_uuid(), **own, wanted=LogWanted(kind=Router.KIND, resource=router.uuid, log_group="l"))
        for router in routers
    ]
    hubs = [TransitGateway(uuid=new_uuid(), **own, wanted=HubWanted()) for _ in routers]
    yield hubs
    yield [
        RouterAttachment(uuid=new_uuid(), **own, wanted=AttachmentWanted(gateway=hub.uuid, router=router.uuid))
        for hub, router in zip(hubs, routers, strict=True)
    ]


def fill(cloud: Cloud, owner: str, count: int) -> None:
    """Give a project (a uuid) this many nouns of each kind."""
    with cloud.core.store.write() as tx:
        tx.limited = False
        flavor = tx.list(Flavor)[0]
        routers, networks, subnets = _network(owner, count)
        rules = (Rule(id=new_ec2("sgr"), cidr="10.0.0.0/8"), *anywhere())
        groups = [
            SecurityGroup(
                uuid=new_uuid(), project=owner, name=f"s{i}", wanted=GroupWanted(router=routers[0].uuid, rules=rules)
            )
            for i in range(count)
        ]
        instances, ports, volumes = _instances(owner, flavor, cloud.image, networks[0], subnets[0], groups[0], count)
        tx.insert(routers, networks, subnets, groups, instances, ports, volumes, *_others_of(owner, routers, subnets))
        tx.insert(*_further_of(owner, routers))


def cpu_of_changed(account: Account, action: str) -> tuple[float, float]:
    """Milliseconds of the first request after a change of a row, and of DescribeInstances' after the same change."""
    changed = ACTIONS[action].changed or action
    body = account.post(params={"Action": changed, **ACTIONS[changed].parameters}).body
    ident = re.findall(f"<{ACTIONS[changed].element}>([^<]+)<".encode(), body)[-1].decode()
    rounds: dict[str, list[float]] = {action: [], "DescribeInstances": []}
    for _ in range(5):
        # In the same moment, so that other work on the machine is in both.
        for measured, times in rounds.items():
            tag = {"ResourceId.1": ident, "Tag.1.Key": "bench", "Tag.1.Value": str(next(_NUMBERS))}
            answer = account.post(params={"Action": "CreateTags", **tag})
            if answer.status != 200:
                raise RuntimeError(f"{action}: {answer.body[:400]!r}")
            parameters, begin = ACTIONS[measured].parameters, time.process_time()
            account.post(params={"Action": measured, **parameters})
            times.append((time.process_time() - begin) * 1000)
    return statistics.median(rounds[action]), statistics.median(rounds["DescribeInstances"])


def cpu(account: Account, action: str, size: int) -> float:
    """Milliseconds of processor time that one request takes: the median of rounds of some 0.05 s."""
    measured = ACTIONS[action]
    params = {"Action": action, **measured.parameters}
    answer = account.post(params=params)
    if answer.status != 200 or answer.body.count(f"<{measured.element}>".encode()) < (size if measured.rows else 1):
        raise RuntimeError(f"{action}: {answer.status} {answer.body[:400]!r}")
    rounds = []
    for _ in range(3):
        count, begin = 0, time.process_time()
        while time.process_time() - begin < 0.05 or count < 2:
            account.post(params=params)
            count += 1
        rounds.append((time.process_time() - begin) * 1000 / count)
    return statistics.median(rounds)


def run(others: int = OTHERS) -> None:
    """Print a line for each list and size."""
    cloud = Cloud()
    accounts = {size: cloud.account() for size in SIZES}
    for size, account in accounts.items():
        fill(cloud, account.caller.project, size)
    alone = {(action, size): cpu(accounts[size], action, size) for action in ACTIONS for size in SIZES}
    changed_alone = {(action, size): cpu_of_changed(accounts[size], action)[0] for action in ACTIONS for size in SIZES}
    for number in range(PROJECTS if others else 0):
        fill(cloud, project.ensure(SYSTEM, cloud.core, f"other{number}").uuid, others // PROJECTS)
    for action in ACTIONS:
        for size in SIZES:
            beside = cpu(accounts[size], action, size)
            instances = cpu(accounts[size], "DescribeInstances", size)
            changed, changed_instances = cpu_of_changed(accounts[size], action)
            print(
                f"{action}-{size} ratio={beside / instances:.2f}"
                f" alone={alone[action, size]:.3f}ms beside-{others}={beside:.3f}ms"
                f" changed-ratio={changed / changed_instances:.2f}"
                f" changed-alone={changed_alone[action, size]:.3f}ms changed-beside-{others}={changed:.3f}ms",
                flush=True,
            )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench.nouns", description=__doc__)
    parser.add_argument("--others", type=int, default=OTHERS, help="rows of each kind that other projects have")
    run(parser.parse_args().others)


if __name__ == "__main__":
    main()
