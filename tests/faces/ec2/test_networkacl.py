"""Network ACLs, as boto3 makes them and gives them to subnets; and each refusal by Amazon's code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pileus.loops.router import ENGINE_KIND
from pileus.model.caller import SYSTEM
from pileus.model.networkacl import AclEntry, NetworkAcl
from pileus.model.quota import DEFAULTS
from pileus.model.router import Router
from pileus.verbs.network import ROUTED, complete
from tests.faces.ec2.cloud import Account, Cloud, filtered, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.model.spec import NetworkAclSpec

    Ask = Callable[[], object]

ANY = "0.0.0.0/0"


@pytest.fixture
def account(cloud: Cloud) -> Account:
    """An account of the test's own."""
    return cloud.account()


@pytest.fixture
def vpc(account: Account) -> str:
    """A VPC with two subnets."""
    vpc = account.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    for number in (1, 2):
        account.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{number}.0/24")
    return vpc


def acls(account: Account, vpc: str) -> list[dict[str, Any]]:
    """The ACLs of a VPC, as they are shown, the default one first."""
    return [dict(acl) for acl in account.ec2.describe_network_acls(Filters=filtered("vpc-id", vpc))["NetworkAcls"]]


def associations(acl: dict[str, Any]) -> dict[str, str]:
    """The ids of an ACL's associations, by subnet."""
    return {each["SubnetId"]: each["NetworkAclAssociationId"] for each in acl["Associations"]}


def entry(acl: str, number: int = 100, **changes: Any) -> dict[str, Any]:
    """The parameters of an entry that admits SSH."""
    ports = {"From": 22, "To": 22}
    ssh = {"Egress": False, "Protocol": "6", "RuleAction": "allow", "CidrBlock": ANY, "PortRange": ports}
    return {"NetworkAclId": acl, "RuleNumber": number, **ssh, **changes}


def ordered(account: Account, vpc: str) -> tuple[NetworkAclSpec, ...]:
    """The ACLs of the order of a VPC's router."""
    core = account.cloud.core
    with core.store.read() as tx:
        (router,) = tx.by_ec2(Router, [vpc]).values()
        return ENGINE_KIND.spec(tx, router, core.place).acls


def test_a_vpc_has_a_default_acl_that_allows_everything(account: Account, vpc: str) -> None:
    (default,) = acls(account, vpc)
    assert default["IsDefault"]
    subnets = account.ec2.describe_subnets(Filters=filtered("vpc-id", vpc))["Subnets"]
    assert set(associations(default)) == {subnet["SubnetId"] for subnet in subnets}
    shown = [(each["Egress"], each["RuleNumber"], each["RuleAction"]) for each in default["Entries"]]
    assert shown == [(egress, *rule) for egress in (True, False) for rule in ((100, "allow"), (32767, "deny"))]
    assert ordered(account, vpc) == (), "what allows everything costs the engine nothing"
    with refused("InvalidParameterValue", match="default"):
        account.ec2.delete_network_acl(NetworkAclId=default["NetworkAclId"])


def test_entries_are_made_replaced_and_deleted(account: Account, vpc: str) -> None:
    ec2 = account.ec2
    tags = [{"ResourceType": "network-acl", "Tags": [{"Key": "Name", "Value": "lab"}]}]
    made = ec2.create_network_acl(VpcId=vpc, ClientToken="once", TagSpecifications=tags)["NetworkAcl"]  # type: ignore[arg-type]
    acl = made["NetworkAclId"]
    again = ec2.create_network_acl(VpcId=vpc, ClientToken="once", TagSpecifications=tags)["NetworkAcl"]  # type: ignore[arg-type]
    assert again == made
    assert [each["RuleNumber"] for each in made["Entries"]] == [32767, 32767]
    ec2.create_network_acl_entry(**entry(acl, 110, Protocol="tcp", CidrBlock="10.9.8.7/8"))
    ec2.create_network_acl_entry(**entry(acl, 110, Egress=True, Protocol="-1"))
    ping = {"Protocol": "icmp", "IcmpTypeCode": {"Type": 8, "Code": -1}}
    ec2.create_network_acl_entry(**entry(acl, 90, **ping))
    with refused("NetworkAclEntryAlreadyExists"):
        ec2.create_network_acl_entry(**entry(acl, 110))
    (shown,) = ec2.describe_network_acls(Filters=filtered("tag:Name", "lab"))["NetworkAcls"]
    inward = [each for each in shown["Entries"] if not each["Egress"]]
    assert [each["RuleNumber"] for each in inward] == [90, 110, 32767]
    assert inward[0]["IcmpTypeCode"] == {"Type": 8, "Code": -1}
    assert (inward[1]["CidrBlock"], inward[1]["PortRange"]) == ("10.0.0.0/8", {"From": 22, "To": 22})
    assert "PortRange" not in inward[0]
    assert "PortRange" not in shown["Entries"][0], "an entry for all protocols has no ports"
    for name, value in (("entry.port-range.from", "22"), ("entry.icmp.type", "8"), ("entry.rule-number", "90")):
        assert ec2.describe_network_acls(Filters=filtered(name, value))["NetworkAcls"] == [shown]
    ec2.replace_network_acl_entry(**entry(acl, 110, RuleAction="deny"))
    ec2.delete_network_acl_entry(NetworkAclId=acl, RuleNumber=90, Egress=False)
    asks: tuple[Ask, ...] = (
        lambda: ec2.replace_network_acl_entry(**entry(acl, 90)),
        lambda: ec2.delete_network_acl_entry(NetworkAclId=acl, RuleNumber=90, Egress=False),
    )
    for ask in asks:
        with refused("InvalidNetworkAclEntry.NotFound"):
            ask()
    (shown,) = ec2.describe_network_acls(NetworkAclIds=[acl])["NetworkAcls"]
    assert [each["RuleAction"] for each in shown["Entries"] if not each["Egress"]] == ["deny", "deny"]
    ec2.delete_network_acl(NetworkAclId=acl)
    with refused("InvalidNetworkAclID.NotFound"):
        ec2.create_network_acl_entry(**entry(acl))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"RuleNumber": 0}, "InvalidParameterValue"),
        ({"RuleNumber": 32767}, "InvalidParameterValue"),
        ({"Protocol": "256"}, "InvalidParameterValue"),
        ({"Protocol": "-2"}, "InvalidParameterValue"),
        ({"Protocol": "words"}, "InvalidParameterValue"),
        ({"Protocol": "1"}, "MissingParameter"),
        ({"Protocol": "1", "IcmpTypeCode": {"Type": 256, "Code": 0}}, "InvalidParameterValue"),
        ({"PortRange": {"From": 2, "To": 1}}, "InvalidParameterValue"),
        ({"PortRange": {"From": 2}}, "MissingParameter"),
        ({"PortRange": {"From": 2, "To": 65536}}, "InvalidParameterValue"),
        ({"CidrBlock": "10.0.0.0/33"}, "InvalidParameterValue"),
        ({"Ipv6CidrBlock": "::/0"}, "InvalidParameterCombination"),
        ({"RuleAction": "reject"}, "InvalidParameterValue"),
    ],
)
def test_an_entry_that_means_nothing_is_refused(account: Account, vpc: str, changes: dict[str, Any], code: str) -> None:
    (default,) = acls(account, vpc)
    for ask in (account.ec2.create_network_acl_entry, account.ec2.replace_network_acl_entry):
        with refused(code):
            ask(**entry(default["NetworkAclId"]) | changes)
    assert acls(account, vpc) == [default]


def test_a_subnet_goes_by_one_acl(account: Account, vpc: str) -> None:
    ec2 = account.ec2
    (default,) = acls(account, vpc)
    acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    subnet, association = next(iter(associations(default).items()))
    moved = ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=acl)["NewAssociationId"]
    default, own = acls(account, vpc)
    assert associations(own) == {subnet: moved}
    assert subnet not in associations(default)
    with refused("DependencyViolation", match=acl):
        ec2.delete_network_acl(NetworkAclId=acl)
    with refused("InvalidAssociationID.NotFound"):
        ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=acl)
    again = ec2.replace_network_acl_association(AssociationId=moved, NetworkAclId=acl)["NewAssociationId"]
    back = ec2.replace_network_acl_association(AssociationId=again, NetworkAclId=default["NetworkAclId"])
    assert associations(acls(account, vpc)[0])[subnet] == back["NewAssociationId"]
    (other,) = (each for each in ec2.describe_network_acls()["NetworkAcls"] if each["VpcId"] != vpc)
    with refused("InvalidParameterValue", match="different networks"):
        ec2.replace_network_acl_association(AssociationId=back["NewAssociationId"], NetworkAclId=other["NetworkAclId"])


def test_the_engine_is_told_of_acls_that_deny(account: Account, vpc: str) -> None:
    ec2 = account.ec2
    (default,) = acls(account, vpc)
    acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    assert ordered(account, vpc) == (), "no subnet goes by it"
    subnet, association = next(iter(associations(default).items()))
    ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=acl)
    ec2.create_network_acl_entry(**entry(acl))
    (spec,) = ordered(account, vpc)
    ssh = AclEntry(number=100, protocol=6, port_min=22, port_max=22)
    assert spec.entries == (ssh,)
    assert [uuid.replace("-", "")[:17] for uuid in spec.subnets] == [subnet.partition("-")[2]]
    ec2.create_network_acl_entry(**entry(default["NetworkAclId"], 50, RuleAction="deny"))
    assert [len(spec.subnets) for spec in ordered(account, vpc)] == [1, 1]
    ec2.delete_network_acl_entry(NetworkAclId=default["NetworkAclId"], RuleNumber=50, Egress=False)
    assert [len(spec.subnets) for spec in ordered(account, vpc)] == [1]


def test_subnets_and_vpcs_go_with_their_associations(account: Account, vpc: str) -> None:
    ec2 = account.ec2
    (default,) = acls(account, vpc)
    acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    for association in associations(default).values():
        ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=acl)
    for subnet in associations(default):
        ec2.delete_subnet(SubnetId=subnet)
    with refused("DependencyViolation"):
        ec2.delete_vpc(VpcId=vpc)
    ec2.delete_network_acl(NetworkAclId=acl)
    ec2.delete_vpc(VpcId=vpc)
    assert acls(account, vpc) == []


def test_routers_of_an_earlier_version_get_the_acl_that_was_shown(account: Account) -> None:
    core = account.cloud.core
    vpc = account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    with core.store.write() as tx:
        (acl,) = tx.list(NetworkAcl, project=account.caller.project)
        tx.make_tombstone(tx.want_gone(acl))
        tx.keep_meta(ROUTED, 1)
    for _ in range(2):
        complete(SYSTEM, core)
        (shown,) = acls(account, vpc)
        assert (shown["NetworkAclId"], shown["IsDefault"]) == (vpc.replace("vpc-", "acl-"), True)
        assert len(shown["Associations"]) == 1


def test_limits_of_an_acl_and_of_a_project(cloud: Cloud) -> None:
    account = cloud.account({**DEFAULTS, "networkacls": 2})
    ec2 = account.ec2
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    with refused("NetworkAclLimitExceeded"):
        ec2.create_network_acl(VpcId=vpc)
    for number in range(1, 21):
        ec2.create_network_acl_entry(**entry(acl, number))
    with refused("NetworkAclEntryLimitExceeded"):
        ec2.create_network_acl_entry(**entry(acl, 21))
    ec2.create_network_acl_entry(**entry(acl, 21, Egress=True))
