"""Security rules as OVN's access control lists. Pure functions.

Priorities: what no guest may do stands above all (32767); then what every guest needs (address, metadata, names) and
the listener's way in (32766), and the drop of all else to the localport (32765). Rules with a priority have two places
for each rank, from 32764 down to 2031: one that denies stands above one that allows. Rules without one are at 1002, the
drop of all else is at 1001. The match language is that of ovn-sb(5).
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterable
from typing import Any

from pileus.model.addresses import METADATA
from pileus.model.securitygroup import Rule

DROP_GROUP = "pg_drop"
"""The port group of every port: what no rule admits is dropped, both ways."""

_NEVER, _ALWAYS, _CLOSED, _FIRST, _DENY, _ALLOW, _DROP = 32767, 32766, 32765, 32764, 1003, 1002, 1001
_ICMP = ("icmp", "icmpv6")
_GOES_ON = "tcp && (tcp.flags[1] == 0 || tcp.flags[4] == 1)"
"""Every TCP segment but the one that opens a connection (SYN without ACK)."""

_INWARD, _OUTWARD = "to-lport", "from-lport"


def group_name(uuid: str) -> str:
    """The port group of a security group: an identifier of OVN's match language."""
    return f"sg_{uuid.replace('-', '_')}"


def tag_name(router: str, tag: str) -> str:
    """The port group of the ports on the networks of a router (by uuid) that have a network tag."""
    return f"tag_{tag_uuid(router, tag).hex}"


def tag_uuid(router: str, tag: str) -> uuids.UUID:
    """The row uuid of that port group."""
    return uuids.uuid5(uuids.NAMESPACE_OID, f"tag/{router}/{tag}")


def rule(group: str, rule: Rule, router: str = "") -> dict[str, Any]:
    """The columns of the ACL that is `rule` of the group with uuid `group`, which is of `router` (by uuid).

    Ports with a tag are told by their addresses: no chassis understands a port group without a port on the switch.
    """
    inward = rule.direction == "ingress"
    side = f"{'outport' if inward else 'inport'} == @{group_name(group)}"
    own, other = ("dst", "src") if inward else ("src", "dst")
    version = "6" if ":" in rule.cidr or rule.protocol == "icmpv6" else "4"
    terms = [side, *_protocol(rule, version), *_ports(rule, version)]
    if rule.group:
        terms.append(f"ip{version}.{other} == ${group_name(rule.group)}_ip{version}")
    elif rule.tag:
        terms.append(f"ip{version}.{other} == ${tag_name(router, rule.tag)}_ip{version}")
    elif rule.cidr and not rule.cidr.endswith("/0"):
        terms.append(f"ip{version}.{other} == {rule.cidr}")
    if rule.targets:
        targets = _among(f"${tag_name(router, target)}_ip{version}" for target in rule.targets)
        terms.append(f"ip{version}.{own} == {targets}")
    action = "allow-related" if rule.action == "allow" else "drop"
    return acl(_INWARD if inward else _OUTWARD, _place(rule), " && ".join(terms), action, group)


def _place(rule: Rule) -> int:
    """OVN's priority of a rule: the highest one that fits decides."""
    if rule.priority is None:
        return _ALLOW if rule.action == "allow" else _DENY
    return _FIRST - 2 * rule.rank - (rule.action == "allow")


def drop() -> list[dict[str, Any]]:
    """The rules of the drop group."""
    return [
        acl(_INWARD, _DROP, f"outport == @{DROP_GROUP} && ip", "drop"),
        acl(_OUTWARD, _DROP, f"inport == @{DROP_GROUP} && ip", "drop"),
    ]


def never() -> list[dict[str, Any]]:
    """Return the ACLs that no group overrides: guests that answer DHCP would be the others' router and resolver."""
    return [acl(_OUTWARD, _NEVER, f"inport == @{DROP_GROUP} && ip4 && udp.src == 67 && udp.dst == 68", "drop")]


def always(
    network: str, gateways: Iterable[str], localports: Iterable[str], macs: Iterable[str]
) -> list[dict[str, Any]]:
    """Return the ACLs that admit traffic of the network with uuid `network` whatever its guests' groups say.

    Guests may ask for an address, for metadata and for names, and be reached by TCP from the localport, whose listener
    applies the groups' rules to its own callers. It is known by its MAC (of `macs`) too, from which no guest can send:
    a guest whose port forwards may send from the localport's address.
    A guest may open nothing else to the localport, which stands in a namespace of the host's. Open connections are
    admitted, for a switch that was started again knows of none.
    """
    localports = sorted(localports)
    if not localports:
        return []
    servers, local = _among(gateways), _among(localports)
    closed = _among([*localports, METADATA])
    asks, enters = f"inport == @{DROP_GROUP} && ip4", f"outport == @{DROP_GROUP} && ip4"
    address = "udp.src == 68 && udp.dst == 67"
    return [
        acl(_OUTWARD, _ALWAYS, f"{asks} && ip4.dst == 255.255.255.255 && {address}", "allow", network),
        acl(_OUTWARD, _ALWAYS, f"{asks} && ip4.dst == {servers} && {address}", "allow", network),
        acl(_OUTWARD, _ALWAYS, f"{asks} && ip4.dst == {METADATA} && tcp.dst == 80", "allow-related", network),
        acl(_OUTWARD, _ALWAYS, f"{asks} && ip4.dst == {local} && udp.dst == 53", "allow-related", network),
        acl(_OUTWARD, _ALWAYS, f"{asks} && ip4.dst == {local} && tcp.dst == 53", "allow-related", network),
        acl(_OUTWARD, _ALWAYS, f"{asks} && ip4.dst == {local} && {_GOES_ON}", "allow-related", network),
        acl(_OUTWARD, _CLOSED, f"{asks} && ip4.dst == {closed}", "drop", network),
        acl(
            _INWARD,
            _ALWAYS,
            f"{enters}.src == {local} && eth.src == {_among(set(macs))} && tcp",
            "allow-related",
            network,
        ),
    ]


def acl(direction: str, priority: int, match: str, action: str, owner: str = "") -> dict[str, Any]:
    """The columns of one ACL of the noun with uuid `owner`."""
    return {
        "direction": direction,
        "priority": priority,
        "match": match,
        "action": action,
        "external_ids": {"pileus-kind": "acl", "pileus-uuid": owner},
    }


def _among(addresses: Iterable[str]) -> str:
    return "{" + ", ".join(sorted(addresses)) + "}"


def _protocol(rule: Rule, version: str) -> list[str]:
    if rule.protocol in _ICMP:
        return [f"icmp{version}"]
    if rule.protocol in ("tcp", "udp"):
        return [f"ip{version}", rule.protocol]
    if rule.number is not None:
        return [f"ip{version}", f"ip.proto == {rule.number}"]
    return [f"ip{version}"]


def _ports(rule: Rule, version: str) -> list[str]:
    """Ports, or type and code: a bound that is None (or, for icmp, -1) admits all."""
    low, high = rule.port_min, rule.port_max
    if rule.protocol in _ICMP:
        named = ((f"icmp{version}.type", low), (f"icmp{version}.code", high))
        return [f"{field} == {value}" for field, value in named if value is not None and value >= 0]
    if rule.protocol not in ("tcp", "udp"):
        return []
    field = f"{rule.protocol}.dst"
    if low is not None and low == high:
        return [f"{field} == {low}"]
    least = [f"{field} >= {low}"] if low is not None and low > 0 else []
    return least + ([f"{field} <= {high}"] if high is not None and high < 65535 else [])
