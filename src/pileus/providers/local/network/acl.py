"""Security rules as OVN's access control lists. Pure functions.

Priorities: what no guest may do stands above all (32767); then what every guest needs (address, metadata, names) and
the listener's way in (32766), and the drop of all else to the localport (32765). Rules with a priority have two places
for each rank, from 32764 down to 2031: one that denies stands above one that allows. Rules without one are at 1002, the
drop of all else is at 1001. The match language is that of ovn-sb(5).
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterable, Iterator
from typing import Any

from pileus.model.addresses import METADATA, METADATA6
from pileus.model.securitygroup import Rule
from pileus.model.spec import OneWayRange, SubnetSpec

DROP_GROUP = "pg_drop"
"""The port group of every port: what no rule admits is dropped, both ways."""

_NEVER, _ALWAYS, _CLOSED, _FIRST, _DENY, _ALLOW, _DROP = 32767, 32766, 32765, 32764, 1003, 1002, 1001
_ONE_WAY = _CLOSED
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
        terms.append(_of_members([group_name(rule.group)], other, _versions(rule, version)))
    elif rule.tag:
        terms.append(_of_members([tag_name(router, rule.tag)], other, _versions(rule, version)))
    elif rule.cidr and not rule.cidr.endswith("/0"):
        terms.append(f"ip{version}.{other} == {rule.cidr}")
    if rule.targets:
        names = [tag_name(router, target) for target in rule.targets]
        terms.append(_of_members(names, own, _versions(rule, version)))
    action = "allow-related" if rule.action == "allow" else "drop"
    return acl(_INWARD if inward else _OUTWARD, _place(rule), " && ".join(terms), action, group)


def _versions(rule: Rule, version: str) -> str:
    """The versions of IP that a rule is about: both where members are selected, whose addresses may be of both."""
    return "46" if (rule.group or rule.tag) and rule.protocol not in _ICMP else version


def _of_members(names: Iterable[str], side: str, versions: str) -> str:
    """Packets whose address at `side` is one of the members of these port groups."""
    names = list(names)
    terms = []
    for version in versions:
        sets = [f"${name}_ip{version}" for name in names]
        terms.append(f"ip{version}.{side} == {sets[0] if len(sets) == 1 else _among(sets)}")
    return terms[0] if len(terms) == 1 else f"({' || '.join(terms)})"


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
    """Return the ACLs that no group overrides: guests that answer DHCP would be the others' router and resolver.

    Those that advertise themselves as routers are no matter of ACLs: OVN admits neighbour discovery above all of these.
    """
    sends = f"inport == @{DROP_GROUP}"
    return [
        acl(_OUTWARD, _NEVER, f"{sends} && ip4 && udp.src == 67 && udp.dst == 68", "drop"),
        acl(_OUTWARD, _NEVER, f"{sends} && ip6 && udp.src == 547 && udp.dst == 546", "drop"),
    ]


def dhcpv6() -> list[dict[str, Any]]:
    """Return the ACL that lets guests ask for an address by IPv6, whatever their groups say."""
    asks = "ip6.dst == {ff02::1:2, ff05::1:3} && udp.src == 546 && udp.dst == 547"
    return [acl(_OUTWARD, _ALWAYS, f"inport == @{DROP_GROUP} && {asks}", "allow")]


def one_way(network: str, subnets: Iterable[SubnetSpec]) -> list[dict[str, Any]]:
    """Return the ACLs that keep out connections from ranges to which guests alone may open some.

    They are above those of the groups. OVN admits the answers of known connections above all of these.
    """
    return [
        acl(_INWARD, _ONE_WAY, " && ".join(_from(subnet.ipv6.cidr, each)), "drop", network)
        for subnet in subnets
        if subnet.ipv6 is not None
        for each in subnet.ipv6.one_way
    ]


def _from(cidr: str, one_way: OneWayRange) -> Iterator[str]:
    yield f"ip6.dst == {cidr}"
    if not one_way.cidr.endswith("/0"):
        yield f"ip6.src == {one_way.cidr}"
    if one_way.others:
        yield f"ip6.src != {_among(one_way.others)}"


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


def metadata6(network: str, localports: Iterable[str]) -> list[dict[str, Any]]:
    """Return the ACLs that admit requests for metadata by IPv6, and close the rest of what is at `localports`."""
    localports = list(localports)
    if not localports:
        return []
    asks = f"inport == @{DROP_GROUP} && ip6.dst =="
    return [
        acl(_OUTWARD, _ALWAYS, f"{asks} {METADATA6} && tcp.dst == 80", "allow-related", network),
        acl(_OUTWARD, _CLOSED, f"{asks} {_among([*localports, METADATA6])}", "drop", network),
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
    # Which version of IP the members of a group are in is said where they are named.
    versions = [] if rule.group or rule.tag else [f"ip{version}"]
    if rule.protocol in ("tcp", "udp"):
        return [*versions, rule.protocol]
    if rule.number is not None:
        return [*versions, f"ip.proto == {rule.number}"]
    return versions


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
