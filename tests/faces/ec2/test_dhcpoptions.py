"""Sets of DHCP options, as boto3 makes them and gives them to VPCs; and each refusal by Amazon's code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pileus.loops.network import ENGINE_KIND
from pileus.model.network import Network
from pileus.model.quota import DEFAULTS
from tests.faces.ec2.cloud import Account, Cloud, filtered, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.model.spec import SubnetSpec

ALL = {
    "domain-name": ["lab.example corp.example"],
    "domain-name-servers": ["10.1.0.53", "AmazonProvidedDNS"],
    "ntp-servers": ["10.1.0.123"],
    "netbios-name-servers": ["10.1.0.137"],
    "netbios-node-type": ["2"],
}


@pytest.fixture
def account(cloud: Cloud) -> Account:
    """An account of the test's own."""
    return cloud.account()


def made(account: Account, options: dict[str, list[str]], **more: Any) -> dict[str, Any]:
    """A set of these options, as its creation shows it."""
    configurations = [{"Key": key, "Values": values} for key, values in options.items()]
    return dict(account.ec2.create_dhcp_options(DhcpConfigurations=configurations, **more)["DhcpOptions"])  # type: ignore[arg-type]


def told(account: Account) -> SubnetSpec:
    """The order of the account's only subnet."""
    core = account.cloud.core
    with core.store.read() as tx:
        (network,) = tx.list(Network, project=account.caller.project)
        (subnet,) = ENGINE_KIND.spec(tx, network, core.place).subnets
    return subnet


def test_a_set_is_made_shown_used_and_deleted(account: Account) -> None:
    ec2 = account.ec2
    tags = [{"ResourceType": "dhcp-options", "Tags": [{"Key": "Name", "Value": "lab"}]}]
    options = made(account, ALL, TagSpecifications=tags)
    ident = options["DhcpOptionsId"]
    shown = {each["Key"]: [value["Value"] for value in each["Values"]] for each in options["DhcpConfigurations"]}
    assert shown == ALL
    assert ec2.describe_dhcp_options(Filters=filtered("tag:Name", "lab"))["DhcpOptions"] == [options]
    assert ec2.describe_dhcp_options(Filters=filtered("value", "10.1.0.53"))["DhcpOptions"] == [options]
    listed = ec2.describe_dhcp_options()["DhcpOptions"]
    assert [each["DhcpOptionsId"] for each in listed] == ["default", ident]
    assert ec2.describe_dhcp_options(DhcpOptionsIds=[ident, "default"])["DhcpOptions"] == listed
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    ec2.associate_dhcp_options(DhcpOptionsId=ident, VpcId=vpc)
    (found,) = ec2.describe_vpcs(Filters=filtered("dhcp-options-id", ident))["Vpcs"]
    assert found["VpcId"] == vpc
    with refused("DependencyViolation", match=ident):
        ec2.delete_dhcp_options(DhcpOptionsId=ident)
    ec2.associate_dhcp_options(DhcpOptionsId="default", VpcId=vpc)
    ec2.delete_dhcp_options(DhcpOptionsId=ident)
    asks: tuple[Callable[[], object], ...] = (
        lambda: ec2.delete_dhcp_options(DhcpOptionsId=ident),
        lambda: ec2.associate_dhcp_options(DhcpOptionsId=ident, VpcId=vpc),
        lambda: ec2.describe_dhcp_options(DhcpOptionsIds=[ident]),
    )
    for ask in asks:
        with refused("InvalidDhcpOptionID.NotFound"):
            ask()
    with refused("InvalidDhcpOptionsId.Malformed"):
        ec2.describe_dhcp_options(DhcpOptionsIds=["words"])


def test_guests_are_told_of_the_set_of_their_vpc(account: Account) -> None:
    vpc = account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    resolver = told(account).localport
    assert (told(account).dns, told(account).domain) == ((resolver,), "internal")
    ident = made(account, ALL)["DhcpOptionsId"]
    account.ec2.associate_dhcp_options(DhcpOptionsId=ident, VpcId=vpc)
    subnet = told(account)
    assert (subnet.dns, subnet.domain) == (("10.1.0.53", resolver), ALL["domain-name"][0])
    assert (subnet.ntp, subnet.netbios, subnet.node_type) == (("10.1.0.123",), ("10.1.0.137",), "2")
    account.ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsSupport={"Value": False})
    assert told(account).dns == ("10.1.0.53",)
    time_alone = made(account, {"ntp-servers": ["10.1.0.123"]})["DhcpOptionsId"]
    account.ec2.associate_dhcp_options(DhcpOptionsId=time_alone, VpcId=vpc)
    assert (told(account).dns, told(account).domain) == ((), "")


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("domain-name", ['lab" }']),
        ("domain-name", ["a,b"]),
        ("domain-name", ["x" * 64]),
        ("domain-name-servers", ["10.1.0.1,10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5"]),
        ("domain-name-servers", ["resolver.example"]),
        ("domain-name-servers", ["fd00::1"]),
        ("domain-name-servers", []),
        ("ntp-servers", ["AmazonProvidedDNS"]),
        ("netbios-node-type", ["3"]),
        ("time-offset", ["1"]),
    ],
)
def test_what_no_guest_can_be_told_is_refused(account: Account, key: str, values: list[str]) -> None:
    with refused("InvalidParameterValue"):
        made(account, {key: values})


def test_values_may_stand_in_one_text(account: Account) -> None:
    options = made(account, {"domain-name-servers": ["10.1.0.1, 10.1.0.2"]})["DhcpConfigurations"]
    assert [value["Value"] for value in options[0]["Values"]] == ["10.1.0.1", "10.1.0.2"]
    with refused("MissingParameter"):
        account.ec2.create_dhcp_options(DhcpConfigurations=[])


def test_limit_of_a_project(cloud: Cloud) -> None:
    account = cloud.account(DEFAULTS)
    for number in range(DEFAULTS["dhcpoptionsets"]):
        made(account, {"domain-name": [f"d{number}"]})
    with refused("DhcpOptionsLimitExceeded"):
        made(account, {"domain-name": ["one-more"]})
