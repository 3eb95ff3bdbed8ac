"""Managed prefix lists, as boto3 makes them and names them in rules and routes; and each refusal by Amazon's code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.loops.routing import routing
from pileus.loops.securitygroup import ENGINE_KIND
from pileus.model import bounds
from pileus.model.router import Router
from pileus.model.securitygroup import SecurityGroup
from pileus.rules import doctor
from tests.faces.ec2.cloud import Account, Cloud, code_of, filtered, refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from mypy_boto3_ec2.type_defs import AddPrefixListEntryTypeDef, IpPermissionTypeDef

    Ask = Callable[[], object]

OFFICE, LAB = "198.51.100.0/24", "203.0.113.0/25"
SSH: IpPermissionTypeDef = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}


@pytest.fixture
def account(cloud: Cloud) -> Account:
    """An account of the test's own."""
    return cloud.account()


@pytest.fixture
def listed(account: Account) -> str:
    """A list with one entry, of five at most."""
    return str(made(account)["PrefixListId"])


def made(account: Account, *cidrs: str, most: int = 5, **more: Any) -> Any:
    """A new list with these entries."""
    listed_entries: list[AddPrefixListEntryTypeDef] = [
        {"Cidr": cidr, "Description": "a place"} for cidr in cidrs or (OFFICE,)
    ]
    return account.ec2.create_managed_prefix_list(
        PrefixListName="offices", MaxEntries=most, AddressFamily="IPv4", Entries=listed_entries, **more
    )["PrefixList"]


def entries(account: Account, ident: str, **more: Any) -> list[str]:
    """The ranges of a list."""
    shown = account.ec2.get_managed_prefix_list_entries(PrefixListId=ident, **more)["Entries"]
    return [entry["Cidr"] for entry in shown]


def ordered_ranges(account: Account, group: str) -> list[str]:
    """The ranges in the ingress rules of a group's order."""
    core = account.cloud.core
    with core.store.read() as tx:
        (row,) = tx.by_ec2(SecurityGroup, [group]).values()
        spec = ENGINE_KIND.spec(tx, row, core.place)
    return [rule.cidr for rule in spec.rules if rule.direction == "ingress"]


def ordered_routes(account: Account, vpc: str) -> dict[str, str]:
    """The target of each range in the routes of a router's order."""
    with account.cloud.core.store.read() as tx:
        (router,) = tx.by_ec2(Router, [vpc]).values()
        return {route.cidr: route.target for table in routing(tx, router).tables for route in table.routes}


def test_a_list_is_made_shown_and_deleted(account: Account) -> None:
    tags = [{"ResourceType": "prefix-list", "Tags": [{"Key": "Name", "Value": "lab"}]}]
    prefixlist = made(account, OFFICE, "203.0.113.9/25", TagSpecifications=tags)
    ident = prefixlist["PrefixListId"]
    assert (prefixlist["State"], prefixlist["Version"], prefixlist["MaxEntries"]) == ("create-complete", 1, 5)
    assert prefixlist["PrefixListArn"].endswith(f":prefix-list/{ident}")
    made(account)
    for chosen in (
        filtered("tag:Name", "lab"),
        filtered("prefix-list-id", ident),
        filtered("tag:Name", "lab") + filtered("prefix-list-name", "off*") + filtered("owner-id", account.number),
    ):
        assert account.ec2.describe_managed_prefix_lists(Filters=chosen)["PrefixLists"] == [prefixlist]
    assert entries(account, ident) == [OFFICE, "203.0.113.0/25"]
    assert account.ec2.delete_managed_prefix_list(PrefixListId=ident)["PrefixList"]["State"] == "delete-complete"
    with refused("InvalidPrefixListID.NotFound"):
        account.ec2.describe_managed_prefix_lists(PrefixListIds=[ident])
    with refused("InvalidPrefixListId.Malformed"):
        account.ec2.describe_managed_prefix_lists(PrefixListIds=["pl-1"])
    assert account.ec2.describe_prefix_lists()["PrefixLists"] == []


def test_a_token_makes_one_list(account: Account) -> None:
    assert made(account, ClientToken="t")["PrefixListId"] == made(account, ClientToken="t")["PrefixListId"]
    with refused("IdempotentParameterMismatch"):
        made(account, LAB, ClientToken="t")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"AddressFamily": "IPv6"}, "InvalidParameterValue"),
        ({"MaxEntries": 0}, "InvalidParameterValue"),
        ({"MaxEntries": bounds.PREFIX_LIST_ENTRIES.most + 1}, "InvalidParameterValue"),
        ({"MaxEntries": 1, "Entries": [{"Cidr": OFFICE}, {"Cidr": LAB}]}, "PrefixListMaxEntriesExceeded"),
        ({"Entries": [{"Cidr": OFFICE}, {"Cidr": "198.51.100.7/24"}]}, "InvalidParameterValue"),
        ({"Entries": [{"Cidr": "198.51.100.7"}]}, "InvalidParameterValue"),
        ({"Entries": [{"Cidr": "2001:db8::/32"}]}, "InvalidParameterValue"),
        ({"Entries": [{"Cidr": "x" * 300}]}, "InvalidParameterValue"),
        ({"Entries": [{"Cidr": OFFICE, "Description": "x" * 256}]}, "InvalidParameterValue"),
        ({"PrefixListName": ""}, "InvalidParameterValue"),
        ({"PrefixListName": "x" * 256}, "InvalidParameterValue"),
        ({"PrefixListName": "com.amazonaws.us-east-1.s3"}, "InvalidParameterValue"),
    ],
)
def test_a_list_needs_good_values(account: Account, change: dict[str, Any], code: str) -> None:
    with refused(code):
        account.ec2.create_managed_prefix_list(
            **{"PrefixListName": "l", "MaxEntries": 5, "AddressFamily": "IPv4", **change}
        )
    assert account.ec2.describe_managed_prefix_lists()["PrefixLists"] == []


def test_an_entry_needs_a_range(account: Account) -> None:
    form = {"PrefixListName": "l", "MaxEntries": "5", "AddressFamily": "IPv4", "Entry.1.Description": "nothing"}
    answer = account.post(params={"Action": "CreateManagedPrefixList", **form})
    assert code_of(answer) == "MissingParameter"


def test_each_change_of_entries_is_a_version(account: Account, listed: str) -> None:
    ec2 = account.ec2
    changed = ec2.modify_managed_prefix_list(
        PrefixListId=listed, CurrentVersion=1, AddEntries=[{"Cidr": LAB}], RemoveEntries=[{"Cidr": OFFICE}]
    )["PrefixList"]
    assert (changed["Version"], changed["State"], entries(account, listed)) == (2, "modify-complete", [LAB])
    assert entries(account, listed, TargetVersion=1) == [OFFICE]
    renamed = ec2.modify_managed_prefix_list(PrefixListId=listed, PrefixListName="other", MaxEntries=3)["PrefixList"]
    assert (renamed["PrefixListName"], renamed["MaxEntries"], renamed["Version"]) == ("other", 3, 2)
    described = ec2.modify_managed_prefix_list(
        PrefixListId=listed, CurrentVersion=2, AddEntries=[{"Cidr": LAB, "Description": "the lab"}]
    )
    assert described["PrefixList"]["Version"] == 3
    restored = ec2.restore_managed_prefix_list_version(PrefixListId=listed, PreviousVersion=1, CurrentVersion=3)
    assert (restored["PrefixList"]["Version"], entries(account, listed)) == (4, [OFFICE])


def test_a_change_is_refused_whole(account: Account, listed: str) -> None:
    add = [{"Cidr": LAB}]
    for code, change in (
        ("PrefixListVersionMismatch", {"CurrentVersion": 2, "AddEntries": add}),
        ("PrefixListVersionMismatch", {"CurrentVersion": 2, "PrefixListName": "n"}),
        ("MissingParameter", {"AddEntries": add}),
        ("InvalidParameterCombination", {"CurrentVersion": 1, "AddEntries": add, "MaxEntries": 9}),
        ("InvalidParameterValue", {"CurrentVersion": 1, "RemoveEntries": add}),
        ("InvalidParameterValue", {"CurrentVersion": 1, "AddEntries": add, "RemoveEntries": [{"Cidr": LAB}]}),
        ("InvalidParameterValue", {"CurrentVersion": 1, "AddEntries": [*add, *add]}),
        (
            "PrefixListMaxEntriesExceeded",
            {"CurrentVersion": 1, "AddEntries": [{"Cidr": f"10.0.{n}.0/24"} for n in range(5)]},
        ),
        ("UnsupportedOperation", {"IpamPrefixListResolverSyncEnabled": True}),
    ):
        with refused(code):
            account.ec2.modify_managed_prefix_list(PrefixListId=listed, **change)
        assert entries(account, listed) == [OFFICE]
    asks: tuple[Ask, ...] = (
        lambda: account.ec2.get_managed_prefix_list_entries(PrefixListId=listed, TargetVersion=7),
        lambda: account.ec2.restore_managed_prefix_list_version(
            PrefixListId=listed, PreviousVersion=7, CurrentVersion=1
        ),
    )
    for ask in asks:
        with refused("InvalidParameterValue"):
            ask()


def test_old_versions_are_forgotten(account: Account, listed: str) -> None:
    for version in range(1, bounds.PREFIX_LIST_VERSIONS.most + 2):
        account.ec2.modify_managed_prefix_list(
            PrefixListId=listed,
            CurrentVersion=version,
            AddEntries=[{"Cidr": f"10.{version}.0.0/16"}],
            RemoveEntries=[{"Cidr": f"10.{version - 1}.0.0/16" if version > 1 else OFFICE}],
        )
    assert entries(account, listed, TargetVersion=2) == ["10.1.0.0/16"]
    with refused("InvalidParameterValue"):
        entries(account, listed, TargetVersion=1)


def test_a_rule_admits_the_entries_of_a_list(account: Account, listed: str) -> None:
    ec2 = account.ec2
    group = ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    permission: IpPermissionTypeDef = {**SSH, "PrefixListIds": [{"PrefixListId": listed, "Description": "offices"}]}
    (rule,) = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])["SecurityGroupRules"]
    assert (rule["PrefixListId"], rule.get("CidrIpv4"), rule["Description"]) == (listed, None, "offices")
    (shown,) = ec2.describe_security_groups(Filters=filtered("ip-permission.prefix-list-id", listed))["SecurityGroups"]
    assert shown["IpPermissions"][0]["PrefixListIds"] == [{"PrefixListId": listed, "Description": "offices"}]
    assert ordered_ranges(account, group) == [OFFICE]
    ec2.modify_managed_prefix_list(PrefixListId=listed, CurrentVersion=1, AddEntries=[{"Cidr": LAB}])
    assert ordered_ranges(account, group) == [OFFICE, LAB]
    with account.cloud.core.store.read() as tx:
        (engine_row,) = [row for row in doctor.view(tx, 0.0).engine if row.ec2_id == group]
    assert [rule.cidr for rule in engine_row.rules if rule.direction == "ingress"] == [OFFICE, LAB]
    with refused("InvalidPermission.Duplicate"):
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    (user,) = ec2.get_managed_prefix_list_associations(PrefixListId=listed)["PrefixListAssociations"]
    assert user == {"ResourceId": group, "ResourceOwner": account.number}
    with refused("DependencyViolation", match=group):
        ec2.delete_managed_prefix_list(PrefixListId=listed)
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])
    assert ordered_ranges(account, group) == []
    ec2.delete_managed_prefix_list(PrefixListId=listed)
    with refused("InvalidPrefixListID.NotFound"):
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])


def test_a_change_of_a_list_wakes_its_groups_and_their_members(cloud: Cloud, account: Account, listed: str) -> None:
    ec2 = account.ec2
    group = ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{**SSH, "PrefixListIds": [{"PrefixListId": listed}]}]
    )
    (instance,) = account.launch(SecurityGroupIds=[group])
    with cloud.core.store.write() as tx:
        for kind, uuid, _ in tx.wakes():
            tx.unwake(kind, uuid)
    ec2.modify_managed_prefix_list(PrefixListId=listed, CurrentVersion=1, AddEntries=[{"Cidr": LAB}])
    with cloud.core.store.read() as tx:
        assert sorted(kind for kind, _, _ in tx.wakes()) == ["instance", "securitygroup"]
    assert instance


def test_a_rule_counts_as_its_list_may_have_entries(account: Account) -> None:
    ec2, most = account.ec2, bounds.RULES.most
    group = ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    ident = made(account, most=most - 1)["PrefixListId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{**SSH, "PrefixListIds": [{"PrefixListId": ident}]}]
    )
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{**SSH, "IpRanges": [{"CidrIp": OFFICE}]}])
    asks: tuple[Ask, ...] = (
        lambda: ec2.authorize_security_group_ingress(
            GroupId=group, IpPermissions=[{**SSH, "IpRanges": [{"CidrIp": LAB}]}]
        ),
        lambda: ec2.modify_managed_prefix_list(PrefixListId=ident, MaxEntries=most),
    )
    for ask in asks:
        with refused("RulesPerSecurityGroupLimitExceeded"):
            ask()
    ec2.modify_managed_prefix_list(PrefixListId=ident, MaxEntries=most - 2)
    asks[0]()


def test_a_rule_is_given_a_list_in_the_place_of_a_range(account: Account, listed: str) -> None:
    ec2 = account.ec2
    group = ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    (rule,) = ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{**SSH, "IpRanges": [{"CidrIp": LAB}]}]
    )["SecurityGroupRules"]
    change = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "PrefixListId": listed}
    ec2.modify_security_group_rules(
        GroupId=group,
        SecurityGroupRules=[{"SecurityGroupRuleId": rule["SecurityGroupRuleId"], "SecurityGroupRule": change}],  # type: ignore[typeddict-item]
    )
    assert ordered_ranges(account, group) == [OFFICE]
    with refused("InvalidParameterValue"):
        ec2.authorize_security_group_ingress(
            GroupId=group, IpPermissions=[{"IpProtocol": "icmpv6", "PrefixListIds": [{"PrefixListId": listed}]}]
        )


def test_a_route_leads_the_entries_of_a_list(account: Account) -> None:
    ec2 = account.ec2
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ident = made(account, OFFICE, LAB)["PrefixListId"]
    ec2.create_route(RouteTableId=table, DestinationPrefixListId=ident, GatewayId=gateway)
    assert ordered_routes(account, vpc) == {OFFICE: "outside", LAB: "outside"}
    (shown,) = ec2.describe_route_tables(Filters=filtered("route.destination-prefix-list-id", ident))["RouteTables"]
    assert [route for route in shown["Routes"] if "DestinationPrefixListId" in route] == [
        {"DestinationPrefixListId": ident, "GatewayId": gateway, "Origin": "CreateRoute", "State": "active"}
    ]
    with refused("RouteAlreadyExists", match=ident):
        ec2.create_route(RouteTableId=table, DestinationPrefixListId=ident, GatewayId=gateway)
    ec2.replace_route(RouteTableId=table, DestinationPrefixListId=ident, GatewayId=gateway)
    ec2.modify_managed_prefix_list(PrefixListId=ident, CurrentVersion=1, RemoveEntries=[{"Cidr": LAB}])
    assert ordered_routes(account, vpc) == {OFFICE: "outside"}
    with refused("InvalidParameterValue", match="more specific"):
        ec2.modify_managed_prefix_list(PrefixListId=ident, CurrentVersion=2, AddEntries=[{"Cidr": "10.1.2.0/24"}])
    inner = made(account, "10.1.2.0/24")["PrefixListId"]
    with refused("InvalidParameterValue", match="more specific"):
        ec2.create_route(RouteTableId=table, DestinationPrefixListId=inner, GatewayId=gateway)
    with refused("InvalidParameterCombination", match="exactly one"):
        ec2.create_route(RouteTableId=table, DestinationPrefixListId=ident, DestinationCidrBlock=LAB, GatewayId=gateway)
    with refused("RouteLimitExceeded"):
        ec2.modify_managed_prefix_list(PrefixListId=ident, MaxEntries=bounds.ROUTES.most + 1)
    # A range of the VPC that comes later is connected: the list's entry leads nowhere else.
    ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock=OFFICE)
    assert ordered_routes(account, vpc) == {}
    (user,) = ec2.get_managed_prefix_list_associations(PrefixListId=ident)["PrefixListAssociations"]
    assert user["ResourceId"] == table
    with refused("DependencyViolation", match=table):
        ec2.delete_managed_prefix_list(PrefixListId=ident)
    ec2.delete_route(RouteTableId=table, DestinationPrefixListId=ident)
    with refused("InvalidRoute.NotFound", match=ident):
        ec2.delete_route(RouteTableId=table, DestinationPrefixListId=ident)
    ec2.delete_managed_prefix_list(PrefixListId=ident)


def test_a_tables_own_route_wins_over_a_list(account: Account) -> None:
    ec2 = account.ec2
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24")["Subnet"]["SubnetId"]
    allocation = ec2.allocate_address()["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=allocation)["NatGateway"]["NatGatewayId"]
    ident = made(account, OFFICE, LAB)["PrefixListId"]
    ec2.create_route(RouteTableId=table, DestinationPrefixListId=ident, GatewayId=gateway)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock=LAB, NatGatewayId=nat)
    ec2.delete_nat_gateway(NatGatewayId=nat)
    assert ordered_routes(account, vpc) == {OFFICE: "outside", LAB: "nowhere"}
