"""DescribeInstanceTopology."""

from __future__ import annotations

import hashlib
from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuids_of
from pileus.faces.ec2.instance.part import InstanceParts
from pileus.faces.ec2.names import zone_id
from pileus.model.instance import Instance, State
from pileus.rules.instance.view import InstanceView
from pileus.verbs import placementgroup
from pileus.verbs.instance import view as verbs


@action("DescribeInstanceTopology")
def describe(call: Call) -> dict[str, Any]:
    """List the running instances with what they share of region, zone and host, each as a node of a name of ours."""
    args = call.args
    paging.alone(args, "InstanceIds", "instancesSet")
    group_names = set(args.get("GroupNames", ()))
    if group_names:
        placementgroup.listing(call.caller, call.core, sorted(group_names))
    views, _ = verbs.listing(call.caller, call.core, uuids_of(call, Instance, args.get("InstanceIds", ())))
    parts = InstanceParts(call.core.place)
    items = [
        _item(call, view, parts.zone(view))
        for view in views
        if view.state is State.RUNNING and (not group_names or (view.together and view.together.name in group_names))
    ]
    return paging.listed(args, "Instances", items, _FILTERS)


def _item(call: Call, view: InstanceView, zone: str) -> dict[str, Any]:
    places = (call.core.place.region, zone, view.instance.assigned.host or "")
    return {
        "InstanceId": view.instance.ec2_id,
        "InstanceType": view.flavor.name,
        "GroupName": view.together.name if view.together else None,
        # A node's name means nothing to other projects, which learn no neighbours by it.
        "NetworkNodes": [_node(view.instance.project, *places[: depth + 1]) for depth in range(len(places))],
        "AvailabilityZone": zone,
        "ZoneId": zone_id(zone),
    }


def _node(*words: str) -> str:
    return f"nn-{hashlib.sha256('/'.join(words).encode()).hexdigest()[:17]}"


_FILTERS = filters.of_members("AvailabilityZone", "InstanceType", "ZoneId")
