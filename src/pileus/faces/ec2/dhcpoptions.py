"""DHCP options: the core's option sets, and the cloud's own under the id `default`."""

from __future__ import annotations

from typing import Any, get_args

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuid_of
from pileus.faces.ec2.tag import shown, specified
from pileus.model.dhcpoptionset import RESOLVER, DhcpOptionSet, NodeType, Wanted
from pileus.model.errors import InvalidValue
from pileus.model.router import Router
from pileus.rules import find
from pileus.verbs import dhcpoptionset as verbs

DEFAULT = "default"
"""The id of the options of a VPC that has no set of its own."""

AMAZON = "AmazonProvidedDNS"
"""Amazon's word for the cloud's own resolver."""

_KEYS = {
    "domain-name": "domain",
    "domain-name-servers": "servers",
    "ntp-servers": "ntp",
    "netbios-name-servers": "netbios",
    "netbios-node-type": "node_type",
}
"""Amazon's names of options, and the fields of a set."""


@action("CreateDhcpOptions")
def create(call: Call) -> dict[str, Any]:
    """Make a set of options: domain name, resolvers, time servers, NetBIOS name servers and node type."""
    tags = specified(call.args, "dhcp-options")["dhcp-options"]
    option_set = verbs.create(call.caller, call.core, _options(call), tags)
    return {"DhcpOptions": _set(call, option_set)}


def _options(call: Call) -> Wanted:
    """The options that the request has; one value may list several, with commas between."""
    fields: dict[str, Any] = {}
    for configuration in call.args["DhcpConfigurations"]:
        key = configuration.get("Key", "")
        if key not in _KEYS or _KEYS[key] in fields:
            raise InvalidValue(f"Value ({key[:40]}) for parameter DhcpConfiguration.Key is invalid.", reason="option")
        texts = [part.strip() for value in configuration.get("Values", ()) for part in value.split(",")]
        values = tuple(RESOLVER if text == AMAZON else text for text in texts if text)
        if not values or (key in ("domain-name", "netbios-node-type") and len(values) > 1):
            raise InvalidValue(f"The option {key} has {len(values)} values.", ident=key, reason="option")
        if key == "netbios-node-type" and values[0] not in get_args(NodeType):
            raise InvalidValue(f"'{values[0][:40]}' is no NetBIOS node type: 1, 2, 4 or 8.", reason="option")
        fields[_KEYS[key]] = values[0] if _KEYS[key] in ("domain", "node_type") else values
    return Wanted(**fields)


@action("DeleteDhcpOptions")
def delete(call: Call) -> dict[str, Any]:
    """Delete a set of options that no VPC uses."""
    verbs.delete(call.caller, call.core, uuid_of(call, DhcpOptionSet, call.args["DhcpOptionsId"]))
    return {}


@action("AssociateDhcpOptions")
def associate(call: Call) -> dict[str, Any]:
    """Configure a VPC's guests by a set of options, or by the cloud's own (`default`), as they renew their leases."""
    ident = call.args["DhcpOptionsId"]
    uuid = None if ident == DEFAULT else uuid_of(call, DhcpOptionSet, ident)
    verbs.associate(call.caller, call.core, uuid, uuid_of(call, Router, call.args["VpcId"]))
    return {}


@action("DescribeDhcpOptions")
def describe(call: Call) -> dict[str, Any]:
    """List sets of options, by id or all, with the cloud's own (`default`)."""
    requested_ids = call.args.get("DhcpOptionsIds", ())
    own = Wanted(domain=call.core.place.domain, servers=(RESOLVER,))
    items = [_item(call, DEFAULT, own)] if DEFAULT in requested_ids or not requested_ids else []
    chosen = [ident for ident in requested_ids if ident != DEFAULT]
    if chosen or not requested_ids:
        option_sets = {each.ec2_id: each for each in verbs.listing(call.caller, call.core)}
        items += [_set(call, each) for each in find.named_items(DhcpOptionSet, option_sets, chosen)]
    return paging.listed(call.args, "DhcpOptions", items, _FILTERS)


def _set(call: Call, option_set: DhcpOptionSet) -> dict[str, Any]:
    return _item(call, option_set.ec2_id, option_set.wanted) | {"Tags": shown(option_set.tags)}


def _item(call: Call, ident: str, options: Wanted) -> dict[str, Any]:
    configurations = []
    for key, field in _KEYS.items():
        value = getattr(options, field)
        texts = [value] if isinstance(value, str) else value
        values = [{"Value": AMAZON if text == RESOLVER else text} for text in texts if text]
        if values:
            configurations.append({"Key": key, "Values": values})
    return {
        "DhcpOptionsId": ident,
        "OwnerId": call.caller.account_id,
        "DhcpConfigurations": configurations,
        "Tags": [],
    }


_FILTERS = filters.of_members(
    *("DhcpOptionsId", "OwnerId"),
    others={"key": "DhcpConfigurations.Key", "value": "DhcpConfigurations.Values.Value"},
)
