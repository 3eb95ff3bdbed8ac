"""Instance types."""

from pileus.model.flavor import MACHINES
from tests.faces.ec2.cloud import Account, filtered, refused


def test_sizes(account: Account) -> None:
    found = {t["InstanceType"]: t for t in account.ec2.describe_instance_types()["InstanceTypes"]}
    assert found.keys() >= MACHINES.keys()
    for name, (vcpus, memory, _) in MACHINES.items():
        assert found[name]["VCpuInfo"]["DefaultVCpus"] == vcpus  # type: ignore[index]
        assert found[name]["MemoryInfo"]["SizeInMiB"] == memory  # type: ignore[index]


def test_a_types_bandwidth_grows_with_its_processors(account: Account) -> None:
    found = account.ec2.describe_instance_types(InstanceTypes=["m1.small", "m1.xlarge"])["InstanceTypes"]
    bandwidth = {t["InstanceType"]: t["NetworkInfo"]["NetworkPerformance"] for t in found}
    assert bandwidth == {"m1.small": "Up to 1 Gigabit", "m1.xlarge": "Up to 4 Gigabit"}


def test_a_type_says_how_many_interfaces_an_instance_may_have(account: Account) -> None:
    (size,) = account.ec2.describe_instance_types(InstanceTypes=["m1.small"])["InstanceTypes"]
    network = size["NetworkInfo"]
    assert (network["MaximumNetworkInterfaces"], network["Ipv4AddressesPerInterface"]) == (4, 16)


def test_names_and_filters(account: Account) -> None:
    found = account.ec2.describe_instance_types(InstanceTypes=["t2.micro"])["InstanceTypes"]
    assert [t["InstanceType"] for t in found] == ["t2.micro"]
    found = account.ec2.describe_instance_types(Filters=filtered("instance-type", "t2.*"))["InstanceTypes"]
    assert [t["InstanceType"] for t in found] == ["t2.micro", "t2.small", "t2.nano"]
    found = account.ec2.describe_instance_types(Filters=filtered("memory-info.size-in-mib", "4096"))["InstanceTypes"]
    assert [t["InstanceType"] for t in found] == ["m1.xlarge", "t3.medium"]
    with refused("InvalidInstanceType"):
        account.ec2.describe_instance_types(InstanceTypes=["m5.24xlarge"])


def test_offerings(account: Account) -> None:
    found = account.ec2.describe_instance_type_offerings()["InstanceTypeOfferings"]
    assert {offer["Location"] for offer in found} == {"us-east-1"}
    found = account.ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=filtered("instance-type", "m1.small")
    )["InstanceTypeOfferings"]
    assert found == [{"InstanceType": "m1.small", "LocationType": "availability-zone", "Location": "us-east-1a"}]
    assert account.ec2.describe_instance_type_offerings(LocationType="outpost")["InstanceTypeOfferings"] == []
