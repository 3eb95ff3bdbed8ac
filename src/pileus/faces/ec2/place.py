"""Regions and availability zones: this cloud is one of each."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import filters
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
    keep = filters.compiled(call.args.get("Filters"), _REGION_FILTERS, filters.tags_of)
    return {"Regions": [item for item in region_items if keep is None or keep(item)]}


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
    keep = filters.compiled(call.args.get("Filters"), _ZONE_FILTERS, filters.tags_of)
    return {"AvailabilityZones": [item for item in zone_items if keep is None or keep(item)]}


_REGION_FILTERS = filters.of_members(endpoint="Endpoint", opt_in_status="OptInStatus", region_name="RegionName")
_ZONE_FILTERS = filters.of_members(
    group_long_name="GroupLongName",
    group_name="GroupName",
    message="Messages.Message",
    opt_in_status="OptInStatus",
    parent_zone_id="ParentZoneId",
    parent_zone_name="ParentZoneName",
    region_name="RegionName",
    state="State",
    zone_id="ZoneId",
    zone_name="ZoneName",
    zone_type="ZoneType",
)
