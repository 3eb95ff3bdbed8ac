"""Regions and availability zones: this cloud is one of each."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.names import zone_id
from pileus.model.errors import InvalidValue


@action("DescribeRegions")
def describe_regions(call: Call) -> dict[str, Any]:
    """The one region; its endpoint is the address that the client used."""
    region = call.core.place.region
    unknown = [name for name in call.args.get("RegionNames", ()) if name != region]
    if unknown:
        raise InvalidValue(f"Invalid region names: [{', '.join(unknown)}]", reason="region")
    region_items = [{"RegionName": region, "Endpoint": call.host, "OptInStatus": "opt-in-not-required"}]
    return paging.listed(call.args, "Regions", region_items, _REGION_FILTERS)


@action("DescribeAvailabilityZones")
def describe_availability_zones(call: Call) -> dict[str, Any]:
    """The one zone."""
    place = call.core.place
    names = (("ZoneNames", place.zone), ("ZoneIds", zone_id(place.zone)))
    for member, name in names:
        unknown = [requested_name for requested_name in call.args.get(member, ()) if requested_name != name]
        if unknown:
            raise InvalidValue(f"Invalid availability zone: [{', '.join(unknown)}]", reason="zone")
    zone_items = [
        {
            "State": "available",
            "OptInStatus": "opt-in-not-required",
            "Messages": [],
            "RegionName": place.region,
            "ZoneName": place.zone,
            "ZoneId": zone_id(place.zone),
            "GroupName": f"{place.region}-zg-1",
            "NetworkBorderGroup": place.region,
            "ZoneType": "availability-zone",
        }
    ]
    return paging.listed(call.args, "AvailabilityZones", zone_items, _ZONE_FILTERS)


_REGION_FILTERS = filters.of_members("Endpoint", "OptInStatus", "RegionName")
_ZONE_FILTERS = filters.of_members(
    *("GroupLongName", "GroupName", "OptInStatus", "ParentZoneId", "ParentZoneName", "RegionName", "State", "ZoneId"),
    *("ZoneName", "ZoneType"),
    others={"message": "Messages.Message"},
)
