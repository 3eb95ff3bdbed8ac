"""Tags: as members of requests and answers, and their own actions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuid_of
from pileus.faces.ec2.names import ec2_id
from pileus.model.errors import InvalidValue, NotFound
from pileus.model.image import Image, snapshot_id
from pileus.model.nouns import NOUNS
from pileus.verbs import tag as verbs

_TYPES = {
    "dhcpoptionset": "dhcp-options",
    "egressgateway": "egress-only-internet-gateway",
    "flowlog": "vpc-flow-log",
    "internetgateway": "internet-gateway",
    "keypair": "key-pair",
    "launchtemplate": "launch-template",
    "prefixlist": "prefix-list",
    "networkacl": "network-acl",
    "peering": "vpc-peering-connection",
    "routetable": "route-table",
    "router": "vpc",
    "routerattachment": "transit-gateway-attachment",
    "securitygroup": "security-group",
    "securitygrouprule": "security-group-rule",
    "port": "network-interface",
    "floatingip": "elastic-ip",
    "placementgroup": "placement-group",
    "transitgateway": "transit-gateway",
    "transittable": "transit-gateway-route-table",
}
"""Amazon's names of resource types, where they are not the noun's."""


_TAGGED = {cls.PREFIX: cls for cls in NOUNS.values() if cls.TAGGED}
"""The nouns that users tag, by the prefix of their ids."""

_RULE_PREFIX = "sgr"


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
    verbs.put(call.caller, call.core, _targets(call), _pairs(call.args["Tags"]))
    return {}


@action("DeleteTags")
def delete(call: Call) -> dict[str, Any]:
    """Take tags away: by key, by key and value, or all."""
    request_tags = call.args.get("Tags")
    tags = {each.get("Key", ""): each.get("Value") for each in request_tags} if request_tags else None
    verbs.remove(call.caller, call.core, _targets(call), tags)
    return {}


def _targets(call: Call) -> list[verbs.Target]:
    """The nouns and rules that a request names. Raises Malformed, NotFound."""
    targets: list[verbs.Target] = []
    for ident in call.args["Resources"]:
        prefix = ident.rpartition("-")[0]
        if prefix == _RULE_PREFIX:
            targets.append((verbs.RULE, ident))
            continue
        if prefix not in _TAGGED:
            raise NotFound(f"The ID '{ident}' is not valid", noun="tagged", ident=ident)
        targets.append((_TAGGED[prefix].KIND, uuid_of(call, _TAGGED[prefix], ident)))
    return targets


@action("DescribeTags")
def describe(call: Call) -> dict[str, Any]:
    """List tags: those that users set, and those of the cloud that tell how to log in to instances."""
    tag_items = [
        {"ResourceId": _id(kind, ident), "ResourceType": _TYPES.get(kind, kind), "Key": key, "Value": value}
        for kind, ident, key, value in verbs.listing(call.caller, call.core)
    ]
    return paging.listed(call.args, "Tags", tag_items, _FILTERS, lambda item: {item["Key"]: item["Value"]})


def _id(kind: str, ident: str) -> str:
    if kind == verbs.SNAPSHOT:
        return snapshot_id(ec2_id(Image, ident))
    return ident if kind == verbs.RULE else ec2_id(NOUNS[kind], ident)


_FILTERS = filters.of_members("Key", "ResourceId", "ResourceType", "Value")
