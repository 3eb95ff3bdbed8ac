"""VPC peering connections within one account and between two, as boto3 makes them; each refusal by Amazon's code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pileus.loops.router import ENGINE_KIND
from pileus.loops.securitygroup import ENGINE_KIND as GROUP
from pileus.model.quota import DEFAULTS
from pileus.model.router import Router
from pileus.model.securitygroup import SecurityGroup
from tests.faces.ec2.cloud import Account, Cloud, filtered, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.model.spec import RouterSpec

    Ask = Callable[[], object]


@pytest.fixture
def account(cloud: Cloud) -> Account:
    """An account of the test's own."""
    return cloud.account()


def new_vpc(account: Account, number: int) -> str:
    """A VPC with a range of its own."""
    return account.ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"]


def asked(account: Account, vpc: str, peer: str, **more: Any) -> dict[str, Any]:
    """A new connection, as its creation shows it."""
    made = account.ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=peer, **more)
    return dict(made["VpcPeeringConnection"])


def state(account: Account, ident: str) -> str:
    """The state of a connection, as an account sees it."""
    (shown,) = account.ec2.describe_vpc_peering_connections(VpcPeeringConnectionIds=[ident])["VpcPeeringConnections"]
    return str(shown["Status"]["Code"])


def ordered(account: Account, vpc: str) -> RouterSpec:
    """The order of a VPC's router."""
    core = account.cloud.core
    with core.store.read() as tx:
        (router,) = tx.by_ec2(Router, [vpc]).values()
        return ENGINE_KIND.spec(tx, router, core.place)


def test_two_vpcs_of_an_account_are_linked(account: Account) -> None:
    ec2, one, other = account.ec2, new_vpc(account, 1), new_vpc(account, 2)
    tags = [{"ResourceType": "vpc-peering-connection", "Tags": [{"Key": "Name", "Value": "lab"}]}]
    made = asked(account, one, other, TagSpecifications=tags)
    ident = made["VpcPeeringConnectionId"]
    assert made["Status"]["Code"] == "pending-acceptance"
    assert "ExpirationTime" in made
    assert "CidrBlock" not in made["AccepterVpcInfo"]
    with refused("VpcPeeringConnectionAlreadyExists"):
        asked(account, other, one)
    table = ec2.create_route_table(VpcId=one)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.2.0.0/16", VpcPeeringConnectionId=ident)

    def route() -> tuple[str, str]:
        shown = ec2.describe_route_tables(Filters=filtered("route.vpc-peering-connection-id", ident))["RouteTables"]
        (route,) = (each for each in shown[0]["Routes"] if "VpcPeeringConnectionId" in each)
        return route["VpcPeeringConnectionId"], route["State"]

    assert route() == (ident, "blackhole")
    assert (ordered(account, one).peerings, ordered(account, other).peerings) == ((), ())
    accepted = ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=ident)["VpcPeeringConnection"]
    assert (accepted["Status"]["Code"], accepted["AccepterVpcInfo"]["CidrBlock"]) == ("active", "10.2.0.0/16")
    assert route() == (ident, "active")
    (near,), (far,) = ordered(account, one).peerings, ordered(account, other).peerings
    assert (near.side, far.side) == ("requester", "accepter")
    assert (near.address, near.other) == (far.other, far.address)
    assert ordered(account, one).tables[1].routes[0].peering == near.uuid
    found = ec2.describe_vpc_peering_connections(Filters=filtered("tag:Name", "lab"))["VpcPeeringConnections"]
    assert found == [accepted]
    for vpc in (one, other):
        with refused("DependencyViolation"):
            ec2.delete_vpc(VpcId=vpc)
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=ident)
    assert state(account, ident) == "deleted"
    assert route() == (ident, "blackhole")
    assert ordered(account, one).peerings == ordered(account, other).peerings == ()
    with refused("InvalidVpcPeeringConnectionID.NotFound"):
        ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=ident)
    ec2.delete_vpc(VpcId=other)
    asked(account, one, new_vpc(account, 2))


def test_rules_refer_to_groups_of_a_peer(cloud: Cloud, account: Account) -> None:
    """Of the same account, while the peering is active; the group may go, and the rule is stale then."""
    ec2, one, other = account.ec2, new_vpc(account, 1), new_vpc(account, 2)
    own, named = (
        ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"] for vpc in (one, other)
    )
    permission: Any = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": named}]}

    def authorize() -> None:
        ec2.authorize_security_group_ingress(GroupId=own, IpPermissions=[permission])

    def admitted() -> list[str]:
        core = cloud.core
        with core.store.read() as tx:
            (row,) = tx.by_ec2(SecurityGroup, [own]).values()
            return [rule.group for rule in GROUP.spec(tx, row, core.place).rules if rule.group]

    def stale() -> list[Any]:
        return list(ec2.describe_stale_security_groups(VpcId=one)["StaleSecurityGroupSet"])

    with refused("InvalidGroup.NotFound"):
        authorize()
    ident = asked(account, one, other)["VpcPeeringConnectionId"]
    with refused("InvalidGroup.NotFound"):
        authorize()
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=ident)
    authorize()
    assert len(admitted()) == 1
    shown = ec2.describe_security_group_references(GroupId=[named])["SecurityGroupReferenceSet"]
    assert shown == [{"GroupId": named, "ReferencingVpcId": one, "VpcPeeringConnectionId": ident}]
    assert ec2.describe_security_group_references(GroupId=[own])["SecurityGroupReferenceSet"] == []
    assert stale() == []
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=ident)
    (listed,) = stale()
    (stale_permission,) = listed["StaleIpPermissions"]
    assert (listed["GroupId"], stale_permission["FromPort"]) == (own, 80)
    assert stale_permission["UserIdGroupPairs"][0] == {"GroupId": named, "UserId": account.number, "VpcId": other}
    assert admitted() == []
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=asked(account, one, other)["VpcPeeringConnectionId"])
    assert stale() == []
    assert len(admitted()) == 1
    ec2.delete_security_group(GroupId=named)
    assert [each["GroupId"] for each in stale()] == [own]
    assert admitted() == []
    rules = ec2.describe_security_group_rules(Filters=filtered("group-id", own))["SecurityGroupRules"]
    (rule,) = (each["SecurityGroupRuleId"] for each in rules if not each["IsEgress"])
    ec2.revoke_security_group_ingress(GroupId=own, SecurityGroupRuleIds=[rule])
    assert stale() == []


def test_groups_of_another_accounts_peer_are_not_there(cloud: Cloud, account: Account) -> None:
    peer = cloud.account()
    one, other = new_vpc(account, 1), new_vpc(peer, 2)
    ident = asked(account, one, other, PeerOwnerId=peer.number)["VpcPeeringConnectionId"]
    peer.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=ident)
    own = account.ec2.create_security_group(GroupName="g", Description="d", VpcId=one)["GroupId"]
    named = peer.ec2.create_security_group(GroupName="g", Description="d", VpcId=other)["GroupId"]
    permission: Any = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": named, "UserId": peer.number}]}
    with refused("InvalidGroup.NotFound"):
        account.ec2.authorize_security_group_ingress(GroupId=own, IpPermissions=[permission])


def test_another_account_accepts_what_it_is_asked(cloud: Cloud, account: Account) -> None:
    peer = cloud.account()
    one, other = new_vpc(account, 1), new_vpc(peer, 2)
    tags = [{"ResourceType": "vpc-peering-connection", "Tags": [{"Key": "Name", "Value": "mine"}]}]
    made = asked(account, one, other, PeerOwnerId=peer.number, TagSpecifications=tags)
    ident = made["VpcPeeringConnectionId"]
    (seen,) = peer.ec2.describe_vpc_peering_connections()["VpcPeeringConnections"]
    assert seen["RequesterVpcInfo"]["OwnerId"] == account.number
    assert seen["AccepterVpcInfo"]["VpcId"] == other
    assert not seen.get("Tags"), "tags are each account's own"
    with refused("OperationNotPermitted"):
        account.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=ident)
    with refused("InvalidStateTransition"):
        peer.ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=ident)
    with refused("InvalidVpcPeeringConnectionID.NotFound"):
        cloud.account().ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=ident)
    peer.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=ident)
    with refused("InvalidStateTransition"):
        peer.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=ident)
    assert (state(account, ident), state(peer, ident)) == ("active", "active")
    table = peer.ec2.create_route_table(VpcId=other)["RouteTable"]["RouteTableId"]
    peer.ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.1.0.0/16", VpcPeeringConnectionId=ident)
    assert ordered(peer, other).tables[1].routes[0].target == "peering"
    foreign = peer.ec2.create_route_table(VpcId=new_vpc(peer, 3))["RouteTable"]["RouteTableId"]
    with refused("InvalidParameterValue", match="different networks"):
        peer.ec2.create_route(RouteTableId=foreign, DestinationCidrBlock="10.1.0.0/16", VpcPeeringConnectionId=ident)
    peer.ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=ident)
    assert state(account, ident) == "deleted"
    with refused("InvalidVpcPeeringConnectionID.NotFound"):
        state(peer, ident)


def test_a_request_is_rejected_or_withdrawn(cloud: Cloud, account: Account) -> None:
    peer = cloud.account()
    one, other = new_vpc(account, 1), new_vpc(peer, 2)
    ident = asked(account, one, other, PeerOwnerId=peer.number)["VpcPeeringConnectionId"]
    with refused("OperationNotPermitted"):
        account.ec2.reject_vpc_peering_connection(VpcPeeringConnectionId=ident)
    peer.ec2.reject_vpc_peering_connection(VpcPeeringConnectionId=ident)
    assert state(account, ident) == "rejected"
    again = asked(account, one, other, PeerOwnerId=peer.number)["VpcPeeringConnectionId"]
    with refused("DependencyViolation"):
        account.ec2.delete_vpc(VpcId=one)
    peer.ec2.delete_vpc(VpcId=other)
    assert state(account, again) == "deleted", "a request keeps nobody's VPC"
    account.ec2.delete_vpc(VpcId=one)


def test_overlapping_ranges_and_unknown_vpcs_fail_alike(cloud: Cloud, account: Account) -> None:
    peer = cloud.account()
    one, same = new_vpc(account, 1), new_vpc(account, 1)
    assert asked(account, one, same)["Status"]["Code"] == "failed"
    assert asked(account, one, one)["Status"]["Code"] == "failed"
    overlapping, unknown = new_vpc(peer, 1), "vpc-0123456789abcdef0"
    failures = [
        asked(account, one, vpc, PeerOwnerId=owner)
        for vpc, owner in ((overlapping, peer.number), (unknown, peer.number), (new_vpc(peer, 2), "123456789012"))
    ]
    for failure in failures:
        (shown,) = account.ec2.describe_vpc_peering_connections(
            VpcPeeringConnectionIds=[failure["VpcPeeringConnectionId"]]
        )["VpcPeeringConnections"]
        assert shown == failure
        del failure["VpcPeeringConnectionId"], failure["AccepterVpcInfo"]
    assert failures[0] == failures[1] == failures[2]
    assert peer.ec2.describe_vpc_peering_connections()["VpcPeeringConnections"] == []
    asks: tuple[tuple[str, Ask], ...] = (
        ("InvalidVpcID.NotFound", lambda: asked(account, one, unknown)),
        ("InvalidVpcID.NotFound", lambda: asked(account, overlapping, one)),
        ("InvalidVpcID.Malformed", lambda: asked(account, one, "words")),
        ("UnsupportedOperation", lambda: asked(account, one, same, PeerRegion="eu-north-1")),
        ("MissingParameter", lambda: account.ec2.create_vpc_peering_connection(VpcId=one)),
    )
    for code, ask in asks:
        with refused(code):
            ask()
    account.ec2.delete_vpc(VpcId=one)


def test_ranges_that_come_later_do_not_overlap_either(account: Account) -> None:
    ec2, one, other, late = account.ec2, *(new_vpc(account, number) for number in (1, 2, 3))
    linked, pending = (asked(account, one, peer)["VpcPeeringConnectionId"] for peer in (other, late))
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=linked)
    for vpc, cidr in ((one, "10.2.128.0/17"), (other, "10.1.0.0/20")):
        with refused("InvalidVpc.Range"):
            ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock=cidr)
    ec2.associate_vpc_cidr_block(VpcId=one, CidrBlock="10.3.128.0/17")
    with refused("InvalidStateTransition", match="overlap"):
        ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=pending)


def test_options_are_shown_and_not_to_be_had(account: Account) -> None:
    ident = asked(account, new_vpc(account, 1), new_vpc(account, 2))["VpcPeeringConnectionId"]
    ask = account.ec2.modify_vpc_peering_connection_options
    off = {"AllowDnsResolutionFromRemoteVpc": False}
    shown = ask(VpcPeeringConnectionId=ident, RequesterPeeringConnectionOptions=off)  # type: ignore[arg-type]
    assert shown["RequesterPeeringConnectionOptions"]["AllowDnsResolutionFromRemoteVpc"] is False
    with refused("UnsupportedOperation"):
        ask(VpcPeeringConnectionId=ident, AccepterPeeringConnectionOptions={"AllowDnsResolutionFromRemoteVpc": True})


def test_limit_of_a_project(cloud: Cloud) -> None:
    account = cloud.account({**DEFAULTS, "peerings": 1})
    one = new_vpc(account, 1)
    asked(account, one, new_vpc(account, 2))
    with refused("VpcPeeringConnectionLimitExceeded"):
        asked(account, one, new_vpc(account, 3))
