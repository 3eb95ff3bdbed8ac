"""The actions on the caller's account: its attributes and limits."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2.call import Call, action
from pileus.model import quota
from pileus.model.errors import InvalidValue
from pileus.verbs import network, project

_MANY = 1_000_000


@action("DescribeAccountAttributes")
def describe(call: Call) -> dict[str, Any]:
    """The account's platform, default VPC and limits; the names are Amazon's, an unlimited number is a large one."""
    default = [router.ec2_id for router in network.routers(call.caller, call.core) if router.wanted.default]
    mine = [each for each in project.listing(call.caller, call.core) if each.uuid == call.caller.project]
    limits = {name: quota.limit(mine[0], name) if mine else None for name in ("instances", "floatingips")}
    instances, floating = (str(_MANY if limit is None else limit) for limit in limits.values())
    values = {
        "supported-platforms": ["VPC"],
        "default-vpc": default or ["none"],
        "max-instances": [instances],
        "vpc-max-security-groups-per-interface": ["16"],
        "max-elastic-ips": [floating],
        "vpc-max-elastic-ips": [floating],
    }
    attribute_names = call.args.get("AttributeNames") or values
    for name in attribute_names:
        if name not in values:
            choices = ", ".join(sorted(values))
            raise InvalidValue(f"The attribute '{name}' is not one of {choices}", ident=name, reason="attribute")
    attributes = [
        {"AttributeName": name, "AttributeValues": [{"AttributeValue": value} for value in values[name]]}
        for name in attribute_names
    ]
    return {"AccountAttributes": attributes}
