"""DescribeInstances."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuids_of
from pileus.faces.ec2.instance import filter as filters
from pileus.faces.ec2.instance import shape
from pileus.model.instance import Instance
from pileus.verbs.instance import view


@action("DescribeInstances")
def describe(call: Call) -> dict[str, Any]:
    """List instances, those that ended lately too, grouped by launch: by id, by filters, or all."""
    args = call.args
    paging.alone(args, "InstanceIds", "instancesSet")
    views, token = view.listing(
        call.caller,
        call.core,
        uuids_of(call, Instance, args.get("InstanceIds", ())),
        keep=filters.keep(args.get("Filters"), call.core.place),
        after=args.get("NextToken"),
        limit=paging.limit(args),
    )
    return {"Reservations": shape.reservations(views, call.core.place), "NextToken": token}
