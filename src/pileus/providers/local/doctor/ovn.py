"""OVN's northbound rows against the store's: routers, networks, ports, groups, addresses, and what belongs to them."""

from __future__ import annotations

import uuid as uuids
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pileus.model.finding import Finding
from pileus.model.noun import NEVER, Revision
from pileus.model.views import EngineRow, StoreView
from pileus.providers.local.network import acl, floatingip, peering, port, router, securitygroup
from pileus.providers.local.network.northbound import TABLES, Northbound
from pileus.providers.local.network.provider import MAIN
from pileus.providers.local.network.rows import KIND, UUID, AclRule, derived, meaning, meaning_of, revision_of

OURS = frozenset({"outside", "drop", "removed", "tag"})
"""Marks of rows that belong to no noun, or outlive it on purpose."""

_OWNED = {
    "dhcp": "network",
    "localport": "network",
    "gateway": "network",
    "router-port": "network",
    "peering": "router or transitgateway",
    "policy": "router",
    "route": "router or transitgateway",
    "snat": "router",
    "outside": "router",
    "bandwidth": "port",
    "acl": "",
}
"""Marks of rows that belong to a noun, and its kind: a rule's owner is a network or a group."""


@dataclass(frozen=True)
class Row:
    """One row: its table and uuid, what its marks say, for a port its groups, for a group its rules in order.

    `peer` is the name of the other end of a router's port that is one end of a link.
    """

    table: str
    row: str
    name: str = ""
    kind: str = ""
    uuid: str = ""
    revision: Revision = NEVER
    groups: tuple[str, ...] = ()
    rules: tuple[AclRule, ...] = ()
    peer: str = ""


def rows(remote: str, timeout: float = 5.0) -> list[Row]:
    """Every row that a noun, or a stranger, may have made, of the database at `remote`. Raises Fault."""
    northbound = Northbound(remote, timeout)
    try:
        with northbound.read() as tables:
            references = northbound.references
            return [
                _row(table, row, port.memberships(tables, references, row.uuid) if table == port.TABLE else ())
                for table in TABLES
                for row in tables[table].rows.values()
            ]
    finally:
        northbound.close()


def compare(store: StoreView, rows: Iterable[Row]) -> Iterator[Finding]:
    """Where OVN and the store disagree, both ways."""
    nouns = {row.uuid: row for row in store.engine}
    there = {(row.table, row.row): row for row in rows}
    mains = {row.uuid for row in there.values() if row.kind in MAIN}
    for row in there.values():
        # What belongs to an unknown noun is told with the noun's own row.
        if row.kind in MAIN or row.uuid not in mains or row.uuid in nouns:
            yield from _unexpected(nouns, row)
    for noun in nouns.values():
        if noun.settled and not noun.gone:
            yield from _compare(noun, there)
    if all(noun.settled for noun in nouns.values() if noun.kind == "router" and not noun.gone):
        yield from _half_linked(there.values())


def _half_linked(rows: Iterable[Row]) -> Iterator[Finding]:
    """Ends of links whose other end is not there."""
    ends = {row.name: row for row in rows if row.kind == peering.MARK}
    for name, row in ends.items():
        if row.peer not in ends:
            detail = f"{name}, of router {row.uuid}"
            yield Finding(code="OvnHalfLinked", kind="router", ident=row.uuid, detail=detail)


def _unexpected(nouns: Mapping[str, EngineRow], row: Row) -> Iterator[Finding]:
    """Whether nobody, or nobody who lives, has made `row`."""
    where = f"{row.table} {row.name or row.row}"
    if not row.kind:
        yield Finding(code="OvnForeign", kind=row.table, ident=row.row, detail=row.name)
    if row.kind in OURS or not row.uuid:
        return
    owner = nouns.get(row.uuid)
    kind = row.kind if row.kind in MAIN else _OWNED.get(row.kind, "")
    if owner is None:
        yield Finding(code="OvnUnknown", kind=row.kind, ident=row.row, detail=f"{where}, of {kind} {row.uuid}")
    elif owner.gone:
        detail = f"{where}, of {owner.kind} {owner.ec2_id}"
        yield Finding(code="OvnLeaked", kind=owner.kind, ident=owner.uuid, detail=detail)


def _compare(noun: EngineRow, there: Mapping[tuple[str, str], Row]) -> Iterator[Finding]:
    """Whether a noun on whose rows nothing is on its way has all of them."""
    row = there.get((MAIN[noun.kind], noun.uuid))
    if row is None:
        yield Finding(code="OvnMissing", kind=noun.kind, ident=noun.uuid, detail=noun.ec2_id)
        return
    if row.revision != noun.revision:
        detail = f"{noun.ec2_id}: row {noun.revision}, OVN {row.revision}"
        yield Finding(code="OvnBehind", kind=noun.kind, ident=noun.uuid, detail=detail)
    if noun.kind == "port" and set(row.groups) != {*noun.groups, "drop"}:
        detail = f"{noun.ec2_id} is in {', '.join(row.groups) or 'none'}"
        yield Finding(code="OvnGroupsWrong", kind=noun.kind, ident=noun.uuid, detail=detail)
    if noun.kind == "securitygroup" and row.rules != _rules(noun):
        is_so, should = Counter(row.rules), Counter(_rules(noun))
        wrong = [*(is_so - should), *(should - is_so)]
        detail = f"{noun.ec2_id}: {len(wrong)} too many or too few, as {wrong[0][2]}"
        yield Finding(code="OvnRulesWrong", kind=noun.kind, ident=noun.uuid, detail=detail)
    for table, own in _needed(noun):
        if (table, str(own)) not in there:
            yield Finding(code="OvnMissing", kind=table, ident=str(own), detail=f"of {noun.kind} {noun.ec2_id}")


def _needed(noun: EngineRow) -> Iterator[tuple[str, uuids.UUID]]:
    """The table and uuid of every row that belongs to a noun beside its main one."""
    for subnet in noun.subnets:
        yield "DHCP_Options", uuids.UUID(subnet)
    if noun.subnets:
        yield port.TABLE, derived(noun.uuid, "localport")
    if noun.kind == "floatingip" and noun.used:
        yield floatingip.TRANSLATION, floatingip.translation(noun.uuid)
    if noun.kind == "router" and noun.used:
        for table, what in router.WAY_OUT:
            yield table, derived(noun.uuid, what)


def _rules(noun: EngineRow) -> tuple[AclRule, ...]:
    return tuple(sorted({meaning(acl.rule(noun.uuid, rule, noun.router)) for rule in noun.rules}))


def _row(table: str, row: Any, groups: Iterable[str]) -> Row:
    marks = row.external_ids
    acls = row.acls if table == securitygroup.TABLE else ()
    return Row(
        table=table,
        row=str(row.uuid),
        name=str(getattr(row, "name", "") or getattr(row, "external_ip", "") or ""),
        kind=marks.get(KIND, ""),
        uuid=marks.get(UUID, ""),
        peer=next(iter(getattr(row, "peer", ())), ""),
        revision=revision_of(row),
        groups=tuple(sorted(groups)),
        rules=tuple(sorted(map(meaning_of, acls))),
    )
