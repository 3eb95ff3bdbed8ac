"""Network ACLs as policies of the router, which sees each packet that enters or leaves a subnet, by itself.

ACLs of the switch would let the answers of admitted connections pass before they look at any rule. Policies are looked
at in chains: the main one sends a packet to the chain of the subnet that it leaves, which denies it or sends it on to
the chain `enter`; that one sends it to the chain of the subnet that it enters. A packet that no chain is for passes.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterator
from typing import Any

from pileus.model.networkacl import EVERYTHING, ICMP, ICMPV6, TCP, UDP, AclEntry
from pileus.model.spec import NetworkAclSpec, RouterSpec
from pileus.providers.local.network.network import gateway_port
from pileus.providers.local.network.rows import KIND, UUID, NorthboundRows, derived

TABLE = "Logical_Router_Policy"
MARK = "policy"
_ENTER = "enter"
_UNREACHED, _LEAVES, _ENTERS, _LAST = 32768, 200, 100, 1
"""Priorities beside those of entries; what no policy fits has priority 0 in OVN itself."""
_FIRST_ENTRY = 32768
"""The priority of an entry is this less its number, 1 to 32766."""

_PROTOCOLS = {TCP: "tcp", UDP: "udp"}

Policy = dict[str, Any]
"""The columns of a policy that say what it does."""


def ensure(rows: NorthboundRows, spec: RouterSpec, outside_port: str) -> list[uuids.UUID]:
    """Write the policies of the router, its ACLs and what keeps the outside out; their row uuids."""
    wanted: list[uuids.UUID] = []
    for policy in [*_policies(spec.acls), *_unreached(spec, outside_port)]:
        chain, match = "".join(policy["chain"]), policy["match"]
        wanted.append(derived(spec.uuid, f"{MARK}-{chain}-{policy['priority']}-{match}"))
        rows.put(TABLE, wanted[-1], **policy, external_ids={KIND: MARK, UUID: spec.uuid})
    return wanted


def _policies(acls: tuple[NetworkAclSpec, ...]) -> Iterator[Policy]:
    subnets = [(acl, gateway_port(subnet)) for acl in acls for subnet in acl.subnets]
    for acl, port in subnets:
        yield _policy(_LEAVES, f'inport == "{port}"', jump=_chain(acl, egress=True))
        for chain in ("", _ENTER):
            yield _policy(_ENTERS, f'outport == "{port}"', chain, jump=_chain(acl, egress=False))
    if subnets:
        yield _policy(_LAST, "1", _ENTER)
    for acl in acls:
        for egress in (True, False):
            chain = _chain(acl, egress=egress)
            yield _policy(_LAST, "1", chain, action="drop")
            for entry in acl.entries:
                if entry.egress == egress:
                    yield _entry(entry, chain)


def _unreached(spec: RouterSpec, outside_port: str) -> Iterator[Policy]:
    """Keep packets from outside from the subnets that do not lead there: IPv6 has no translation that would."""
    if spec.address and spec.ipv6 is not None:
        reached = " && ".join(f"ip6.dst != {cidr}" for cidr in spec.ipv6.admitted)
        match = f'inport == "{outside_port}" && ip6'
        yield _policy(_UNREACHED, f"{match} && {reached}" if reached else match, action="drop")


def _chain(acl: NetworkAclSpec, *, egress: bool) -> str:
    return f"{'egress' if egress else 'ingress'}-{acl.uuid}"


def _entry(entry: AclEntry, chain: str) -> Policy:
    priority, match = _FIRST_ENTRY - entry.number, " && ".join(_terms(entry))
    if entry.action == "deny":
        return _policy(priority, match, chain, action="drop")
    return _policy(priority, match, chain, jump=_ENTER if entry.egress else "")


def _terms(entry: AclEntry) -> Iterator[str]:
    version = "6" if ":" in entry.cidr else "4"
    yield f"ip{version}"
    if not entry.cidr.endswith("/0"):
        yield f"ip{version}.{'dst' if entry.egress else 'src'} == {entry.cidr}"
    if entry.protocol in _PROTOCOLS:
        name = _PROTOCOLS[entry.protocol]
        yield name
        yield f"{name}.dst >= {entry.port_min or 0}"
        yield f"{name}.dst <= {65535 if entry.port_max is None else entry.port_max}"
    elif entry.protocol in (ICMP, ICMPV6):
        name = "icmp4" if entry.protocol == ICMP else "icmp6"
        yield name
        for field, value in (("type", entry.icmp_type), ("code", entry.icmp_code)):
            if value is not None and value >= 0:
                yield f"{name}.{field} == {value}"
    elif entry.protocol != EVERYTHING:
        yield f"ip.proto == {entry.protocol}"


def _policy(priority: int, match: str, chain: str = "", *, action: str = "allow", jump: str = "") -> Policy:
    return {
        "priority": priority,
        "match": match,
        "chain": [chain] if chain else [],
        "action": "jump" if jump else action,
        "jump_chain": [jump] if jump else [],
    }
