"""`pileus rule`: the rules of security groups, by ports and the other side as people say them."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from typing import Annotated, Any, Optional

import typer

from pileus.cli.client import Client, connect
from pileus.cli.completion import names_of
from pileus.cli.options import Json, StateOption, state_of
from pileus.cli.problem import Problem

rules = typer.Typer(help="Rules of security groups, which admit packets to instances.", no_args_is_help=True)

GroupArgument = Annotated[
    str,
    typer.Argument(metavar="GROUP", help="A security group, by id or name.", autocompletion=names_of("securitygroups")),
]

_ICMP = frozenset({"icmp", "icmpv6"})
_PROTOCOLS = frozenset({"tcp", "udp", *_ICMP})
_COLUMNS = ("id", "direction", "action", "priority", "ports", "side", "targets", "description")


@rules.command()
def add(
    group: GroupArgument,
    ports: Annotated[str, typer.Argument(help="80, 8000-8100, 53/udp, tcp, icmp, or all.")],
    side: Annotated[
        str,
        typer.Option(
            "--from",
            "--to",
            help="The other side: a range, an address, a group or a prefix list by id or name, or tag:TAG.",
        ),
    ] = "0.0.0.0/0",
    *,
    egress: Annotated[bool, typer.Option("--egress", help="Of packets that leave instances.")] = False,
    deny: Annotated[bool, typer.Option("--deny", help="Refuse them; needs --priority.")] = False,
    priority: Annotated[Optional[int], typer.Option(help="0 to 65535: the lowest that fits decides.")] = None,  # noqa: UP045  (typer reads it)
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Add a rule to a group: by default packets from everywhere to these ports are admitted."""
    client = connect(state_of(state))
    body: dict[str, Any] = {**traffic(ports), **_side(client, side)}
    body |= {"direction": "egress"} if egress else {}
    body |= {"action": "deny"} if deny else {}
    body |= {"priority": priority} if priority is not None else {}
    rule = client.post("securitygroups", group, "rules", body=body)["wanted"]["rules"][-1]
    print(json.dumps(rule, indent=2) if as_json else f"{rule['id']}  {shown_ports(rule)}")


@rules.command("list")
def list_(group: GroupArgument, *, as_json: Json = False, state: StateOption = None) -> None:
    """List the rules of a group, with the other side of each."""
    from pileus.cli import tables  # noqa: PLC0415  (commands start quickly)

    client = connect(state_of(state))
    group_rules = client.get("securitygroups", group)["wanted"]["rules"]
    if as_json:
        print(json.dumps(group_rules, indent=2))
        return
    names = _names(client, group_rules)
    rows = [[column.upper() for column in _COLUMNS]]
    for rule in group_rules:
        cells = {
            **rule,
            "ports": shown_ports(rule),
            "side": shown_side(rule, names),
            "targets": ",".join(rule["targets"]),
        }
        rows.append([str(cells[column]) if cells[column] not in (None, "") else "-" for column in _COLUMNS])
    print(tables.lined(rows))


@rules.command()
def delete(
    group: GroupArgument,
    which: Annotated[list[str], typer.Argument(metavar="RULE...", help="Ids, or ports as `add` takes them.")],
    *,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Take rules of a group away: new connections are refused at once."""
    client = connect(state_of(state))
    present_rules = client.get("securitygroups", group)["wanted"]["rules"]
    ids = [_rule_id(word, group, present_rules) for word in which]
    client.post("securitygroups", group, "rules", "remove", body={"rules": ids})
    print(json.dumps(ids, indent=2) if as_json else "\n".join(f"{ident}  deleted" for ident in ids))


def traffic(ports: str) -> dict[str, Any]:
    """The protocol and the ports of a rule by words like 80, 8000-8100/udp, tcp, icmp or all. Raises Problem.

    >>> traffic("53/udp")
    {'protocol': 'udp', 'port_min': 53, 'port_max': 53}
    """
    text, slash, protocol = ports.lower().partition("/")
    if not slash and (text == "all" or text in _PROTOCOLS):
        every = {"port_min": 0, "port_max": 65535} if text in ("tcp", "udp") else {}
        return {"protocol": text, **({"port_min": -1, "port_max": -1} if text in _ICMP else every)}
    protocol = protocol if slash else "tcp"
    low, dash, high = text.partition("-")
    numbers = [number for number in (low, high if dash else low) if number.isascii() and number.isdecimal()]
    if len(numbers) == 2 and protocol in ("tcp", "udp"):
        port_min, port_max = (int(number[:6]) for number in numbers)
        if port_min <= port_max <= 65535:
            return {"protocol": protocol, "port_min": port_min, "port_max": port_max}
    raise Problem(f"'{ports}' says no ports: 80, 8000-8100, 53/udp, tcp, udp, icmp, icmpv6 or all.")


def _side(client: Client, text: str) -> dict[str, str]:
    """The field of a rule for its other side. Raises Problem."""
    if text.startswith("tag:"):
        return {"tag": text.removeprefix("tag:")}
    try:
        return {"cidr": str(ipaddress.ip_network(text, strict=False))}
    except ValueError:
        pass
    if "/" in text and text.partition("/")[2].isdecimal():
        raise Problem(f"'{text}' is no range of addresses: 10.1.0.0/16 or 2001:db8::/32, say.")
    is_list = text.startswith("pl-") or any(each["name"] == text for each in client.all("prefixlists"))
    return {"prefixlist" if is_list else "group": text}


def shown_ports(rule: Mapping[str, Any]) -> str:
    """The ports of a rule in words.

    >>> shown_ports({"protocol": "tcp", "port_min": 80, "port_max": 80, "number": None})
    '80/tcp'
    """
    protocol, low, high = rule["protocol"], rule["port_min"], rule["port_max"]
    if rule.get("number") is not None:
        return f"protocol {rule['number']}"
    if protocol in _ICMP:
        parts = [f"type {low}"] if low not in (None, -1) else []
        return " ".join([protocol, *parts, *([f"code {high}"] if high not in (None, -1) else [])])
    if protocol == "all" or low is None or (low, high) == (0, 65535):
        return str(protocol)
    return f"{low}/{protocol}" if low == high else f"{low}-{high}/{protocol}"


def shown_side(rule: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """The other side of a rule: a range, a tag, or the name of a group or prefix list by its uuid in `names`."""
    if rule["cidr"]:
        return str(rule["cidr"])
    if rule["tag"]:
        return f"tag:{rule['tag']}"
    uuid = rule["group"] or rule["prefixlist"]
    return names.get(uuid, uuid)


def _names(client: Client, group_rules: list[dict[str, Any]]) -> dict[str, str]:
    """The names, or else ids, of the groups and prefix lists that the rules name."""
    nouns: list[dict[str, Any]] = []
    if any(rule["group"] for rule in group_rules):
        nouns += client.all("securitygroups")
    if any(rule["prefixlist"] for rule in group_rules):
        nouns += client.all("prefixlists")
    return {noun["uuid"]: noun["name"] or noun["id"] for noun in nouns}


def _rule_id(word: str, group: str, group_rules: list[dict[str, Any]]) -> str:
    """The id of the rule that a word means, an id or the ports of an ingress rule. Raises Problem."""
    if any(rule["id"] == word for rule in group_rules):
        return word
    ports = word if word.startswith("sgr-") else shown_ports({"port_min": None, "port_max": None, **traffic(word)})
    matching = [rule["id"] for rule in group_rules if rule["direction"] == "ingress" and shown_ports(rule) == ports]
    if len(matching) == 1:
        return str(matching[0])
    if matching:
        raise Problem(f"{len(matching)} rules of {group} are for {word}: {', '.join(matching[:5])}. Use an id.")
    raise Problem(f"No rule of {group} is for {word}: 'pileus rule list {group}' shows its rules.")
