"""`pileus map`: routers, networks, subnets and instances as a tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pileus.cli import colours
from pileus.cli.client import Client
from pileus.cli.mcc.plain import plain

LISTS = (
    *("routers", "networks", "subnets", "ports", "instances", "floatingips"),
    *("internetgateways", "natgateways"),
)
"""The lists of nouns of which a map is drawn."""

Lists = Mapping[str, Sequence[Mapping[str, Any]]]


class MapEntry(NamedTuple):
    """A noun in the tree: its kind, id and name, a few words on it, its state where it has one, and those below it."""

    kind: str
    id: str
    name: str
    words: str
    state: str
    below: list[MapEntry]


def lists(client: Client, query: Mapping[str, str]) -> Lists:
    """The lists of a map. Raises Problem."""
    return {plural: client.all(plural, **query) for plural in LISTS}


def tree(nouns: Lists) -> list[MapEntry]:
    """The routers, each with its gateways and networks; then the networks and the instances that have no way out."""
    instances = {instance["uuid"]: instance for instance in nouns["instances"]}
    floating = {each["port"]: each["address"] for each in nouns["floatingips"] if each["port"]}
    below: dict[str, list[MapEntry]] = defaultdict(list)
    for port in nouns["ports"]:
        below[port["wanted"]["subnet"]].append(_port(port, instances, floating))
    for gateway in nouns["natgateways"]:
        below[gateway["wanted"]["subnet"]].append(_entry(gateway, (gateway["assigned"] or {}).get("address")))
    for subnet in nouns["subnets"]:
        below[subnet["wanted"]["network"]].append(_entry(subnet, subnet["wanted"]["cidr"], below=below[subnet["uuid"]]))
    for gateway in nouns["internetgateways"]:
        if gateway["wanted"]["router"]:
            below[gateway["wanted"]["router"]].append(_entry(gateway, "to the outside"))
    loose: list[MapEntry] = []
    for network in nouns["networks"]:
        entry = _entry(network, below=below[network["uuid"]])
        (below[network["wanted"]["router"]] if network["wanted"]["router"] else loose).append(entry)
    routers = [_entry(router, router["wanted"]["cidr"], below=below[router["uuid"]]) for router in nouns["routers"]]
    wired = {port["wanted"]["instance"] for port in nouns["ports"]}
    alone = [_instance(each, "", "") for uuid, each in instances.items() if uuid not in wired]
    return [*routers, *loose, *alone]


def _entry(noun: Mapping[str, Any], *words: Any, below: list[MapEntry] | None = None) -> MapEntry:
    return MapEntry(noun["kind"], noun["id"], noun["name"], " ".join(filter(None, words)), "", below or [])


def _port(port: Mapping[str, Any], instances: Mapping[str, Mapping[str, Any]], floating: Mapping[str, str]) -> MapEntry:
    address = (port["assigned"] or {}).get("address") or ""
    instance = instances.get(port["wanted"]["instance"])
    if instance is None:
        return _entry(port, address)
    return _instance(instance, address, floating.get(port["id"], ""))


def _instance(instance: Mapping[str, Any], address: str, outside: str) -> MapEntry:
    words = " ".join(filter(None, [address, f"({outside})" if outside else ""]))
    return MapEntry("instance", instance["id"], instance["name"], words, instance["state"], [])


def drawn(entries: Sequence[MapEntry], before: str = "") -> list[str]:
    """The tree as lines, with box-drawing characters."""
    lines = []
    for number, entry in enumerate(entries):
        last = number == len(entries) - 1
        lines.append(f"{before}{'└─' if last else '├─'} {_words(entry)}")
        lines += drawn(entry.below, f"{before}{'   ' if last else '│  '}")
    return lines


def _words(entry: MapEntry) -> str:
    name, state = plain(entry.name or entry.id), entry.state
    if colours.enabled():
        name = colours.painted(name, colours.HEADING)
        state = colours.painted(state, colours.style_of("STATE", state))
    ident = entry.id if entry.name else ""
    return "  ".join(filter(None, [entry.kind, name, ident, plain(entry.words), state]))


def document(entry: MapEntry) -> dict[str, Any]:
    """An entry as JSON."""
    own = {field: value for field, value in entry._asdict().items() if value}
    return {**own, "below": [document(each) for each in entry.below]}
