"""Regions and zones."""

from tests.faces.ec2.cloud import Account, filtered, refused


def test_region_leads_back_to_us(account: Account) -> None:
    found = account.ec2.describe_regions()["Regions"]
    assert found == [{"RegionName": "us-east-1", "Endpoint": "cloud.test", "OptInStatus": "opt-in-not-required"}]
    assert account.ec2.describe_regions(RegionNames=["us-east-1"])["Regions"] == found
    assert account.ec2.describe_regions(Filters=filtered("region-name", "eu-*"))["Regions"] == []
    with refused("InvalidParameterValue", match="atlantis-1"):
        account.ec2.describe_regions(RegionNames=["atlantis-1"])


def test_zone(account: Account) -> None:
    zone = account.ec2.describe_availability_zones()["AvailabilityZones"][0]
    assert (zone["ZoneName"], zone["ZoneId"], zone["State"]) == ("us-east-1a", "use1-az1", "available")
    assert account.ec2.describe_availability_zones(ZoneNames=["us-east-1a"])["AvailabilityZones"] == [zone]
    assert account.ec2.describe_availability_zones(ZoneIds=["use1-az1"])["AvailabilityZones"] == [zone]
    none = account.ec2.describe_availability_zones(Filters=filtered("zone-name", "us-east-1b"))
    assert none["AvailabilityZones"] == []
    with refused("InvalidParameterValue"):
        account.ec2.describe_availability_zones(ZoneNames=["us-east-1z"])
