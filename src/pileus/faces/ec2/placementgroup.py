"""Placement groups."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuids_of
from pileus.faces.ec2.tag import shown, specified
from pileus.model.errors import InvalidValue, Unsupported
from pileus.model.placementgroup import PlacementGroup, Wanted
from pileus.rules import placementgroup as placementgroup_rules
from pileus.verbs import placementgroup as verbs

POLICIES = {
    "cluster": Wanted(policy="soft-affinity"),
    "spread": Wanted(policy="anti-affinity"),
}
"""Amazon's strategies. Its clusters are near each other, not on one machine: that is preferred, and not required."""

STRATEGIES = {
    "affinity": "cluster",
    "soft-affinity": "cluster",
    "anti-affinity": "spread",
    "soft-anti-affinity": "spread",
}


def rendered(group: PlacementGroup, call: Call) -> dict[str, Any]:
    """A group as a member of an answer."""
    strategy = STRATEGIES[group.wanted.policy]
    group_item = {
        "GroupName": group.name,
        "GroupId": group.ec2_id,
        "State": "available",
        "Strategy": strategy,
        "Tags": shown(group.tags),
        "GroupArn": f"arn:aws:ec2:{call.core.place.region}:{call.caller.account_id}:placement-group/{group.name}",
    }
    return {**group_item, "SpreadLevel": "host"} if strategy == "spread" else group_item


@action("CreatePlacementGroup")
def create(call: Call) -> dict[str, Any]:
    """Make a group of the strategy `cluster` (by default) or `spread`."""
    args = call.args
    if not args.get("GroupName"):
        raise missing("GroupName")
    strategy = args.get("Strategy", "cluster")
    if strategy == "partition" or args.get("PartitionCount") or args.get("LinkedGroupId"):
        raise Unsupported("This cloud has placement groups of the strategies cluster and spread.", noun="instance")
    if strategy not in POLICIES:
        text = f"Invalid value '{strategy}' for Strategy: cluster or spread."
        raise InvalidValue(text, ident=strategy, reason="strategy")
    tags = specified(args, "placement-group")["placement-group"]
    group = verbs.create(call.caller, call.core, args["GroupName"], POLICIES[strategy], tags)
    return {"PlacementGroup": rendered(group, call)}


@action("DescribePlacementGroups")
def describe(call: Call) -> dict[str, Any]:
    """List groups, by name, by id, or all."""
    args = call.args
    uuids = uuids_of(call, PlacementGroup, args.get("GroupIds", ()))
    groups = verbs.listing(call.caller, call.core, args.get("GroupNames", ()), uuids)
    return paging.listed(args, "PlacementGroups", [rendered(group, call) for group in groups], _FILTERS)


@action("DeletePlacementGroup")
def delete(call: Call) -> dict[str, Any]:
    """Delete a group that no instance is in, by name or id."""
    with call.core.store.read() as tx:
        group = placementgroup_rules.named(call.caller, tx, call.args["GroupName"])
    verbs.delete(call.caller, call.core, group.uuid)
    return {}


_FILTERS = filters.of_members("GroupArn", "GroupName", "SpreadLevel", "State", "Strategy")
