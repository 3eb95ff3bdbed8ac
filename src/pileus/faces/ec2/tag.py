"""Tags: as members of requests and answers, and their own actions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action, missing
from pileus.model.errors import InvalidValue
from pileus.verbs import tag as verbs

_TYPES = {
    "dhcpoptionset": "dhcp-options",
    "internetgateway": "internet-gateway",
    "keypair": "key-pair",
    "launchtemplate": "launch-template",
    "prefixlist": "prefix-list",
    "networkacl": "network-acl",
    "peering": "vpc-peering-connection",
    "routetable": "route-table",
    "router": "vpc",
    "securitygroup": "security-group",
    "securitygrouprule": "security-group-rule",
    "port": "network-interface",
    "floatingip": "elastic-ip",
    "placementgroup": "placement-group",
}
"""Amazon's names of resource types, where they are not the noun's."""


def shown(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as a member of an answer."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def specified(args: Mapping[str, Any], *types: str) -> dict[str, dict[str, str]]:
    """The tags of a request's TagSpecifications, by resource type; InvalidValue for a type not among `types`."""
    tags_by_type: dict[str, dict[str, str]] = {kind: {} for kind in types}
    for each in args.get("TagSpecifications", ()):
        kind = each.get("ResourceType", "")
        if kind not in tags_by_type:
            raise InvalidValue(
                f"'{kind}' is not a valid taggable resource type for this operation.", ident=kind, reason="tag"
            )
        for key, value in _pairs(each.get("Tags", ())).items():
            if key in tags_by_type[kind]:
                raise _twice(key)
            tags_by_type[kind][key] = value
    return tags_by_type


def _pairs(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    tag_values: dict[str, str] = {}
    for each in tags:
        key = each.get("Key")
        if key is None:
            raise missing("Tag.Key")
        if key in tag_values:
            raise _twice(key)
        tag_values[key] = each.get("Value", "")
    return tag_values


def _twice(key: str) -> InvalidValue:
    return InvalidValue(f"Duplicate tag key '{key}' specified.", ident=key, reason="tag")


@action("CreateTags")
def create(call: Call) -> dict[str, Any]:
    """Set tags on every one of the resources, or on none."""
    verbs.put(call.caller, call.core, call.args["Resources"], _pairs(call.args["Tags"]))
    return {}


@action("DeleteTags")
def delete(call: Call) -> dict[str, Any]:
    """Take tags away: by key, by key and value, or all."""
    request_tags = call.args.get("Tags")
    tags = {each.get("Key", ""): each.get("Value") for each in request_tags} if request_tags else None
    verbs.remove(call.caller, call.core, call.args["Resources"], tags)
    return {}


@action("DescribeTags")
def describe(call: Call) -> dict[str, Any]:
    """List tags: those that users set, and those of the cloud that tell how to log in to instances."""
    tag_items = [
        {"ResourceId": ident, "ResourceType": _TYPES.get(kind, kind), "Key": key, "Value": value}
        for ident, kind, key, value in verbs.listing(call.caller, call.core)
    ]
    return paging.listed(call.args, "Tags", tag_items, _FILTERS, lambda item: {item["Key"]: item["Value"]})


_FILTERS = filters.of_members("Key", "ResourceId", "ResourceType", "Value")
