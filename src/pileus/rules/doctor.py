"""The store's wanted state, and its contradictions with itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pileus.model.finding import Finding
from pileus.model.grant import Grant
from pileus.model.host import Host, condition
from pileus.model.image import Image, content
from pileus.model.instance import Instance, converged
from pileus.model.natgateway import NatGateway
from pileus.model.noun import Noun, only
from pileus.model.nouns import ENGINE, NOUNS
from pileus.model.peering import Peering
from pileus.model.prefixlist import PrefixList
from pileus.model.securitygroup import SecurityGroup
from pileus.model.subnet import Subnet
from pileus.model.user import User
from pileus.model.usergroup import UserGroup
from pileus.model.views import EngineRow, InstanceRow, StoreView
from pileus.rules import confirmation, recount
from pileus.rules.groupreference import rules_in_force
from pileus.rules.image import named
from pileus.rules.prefixlist import expanded_rules
from pileus.rules.routetable import gateway_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pileus.store.reader import Reader


PATIENCE = 600.0
"""Seconds after which a request that has not come about is a finding."""

LATE = 60.0
"""Seconds that a wake may be overdue: as long as a lease."""


def view(tx: Reader, now: float) -> StoreView:
    """Return the store's wanted state, and its contradictions with itself, in one snapshot; `now` in seconds."""
    subnets: dict[str, list[str]] = {}
    for subnet in tx.list(Subnet):
        subnets.setdefault(subnet.wanted.network, []).append(subnet.uuid)
    lists = {each.uuid: each for each in tx.list(PrefixList)}
    return StoreView(
        now=now,
        newest=_newest(tx),
        highest=tx.reached,
        instances=tuple(_instance(row) for row in tx.list(Instance, dead=True)),
        engine=tuple(
            _engine(tx, row, subnets.get(row.uuid, ()), lists) for cls in ENGINE for row in tx.list(cls, dead=True)
        ),
        images={what.digest: what.size for what in map(content, tx.list(Image)) if what.digest},
        objects=tuple(sorted(named(tx))),
        findings=tuple(sorted({finding.key: finding for finding in _findings(tx, now)}.values())),
    )


def _newest(tx: Reader) -> float:
    """The newest time that the store has: of a row, of a journal line, of a report."""
    lines = [max(line.at, line.ended or 0.0) for line in tx.journal(limit=100)]
    host_times = [max(host.created, host.seen.heard) for host in tx.list(Host)]
    return max([0.0, *lines, *host_times])


def _instance(row: Instance) -> InstanceRow:
    return InstanceRow(
        uuid=row.uuid,
        ec2_id=row.ec2_id,
        host=row.assigned.host,
        clear=tuple(row.assigned.clear),
        revision=row.revision,
        settled=row.gone is None and converged(row),
        gone=row.gone is not None,
    )


def _engine(tx: Reader, row: Noun, subnets: Iterable[str], lists: Mapping[str, PrefixList]) -> EngineRow:
    done = row.seen.present and row.seen.revision == row.revision and bool(row.assigned.content)
    return EngineRow(
        kind=row.KIND,
        uuid=row.uuid,
        ec2_id=row.ec2_id,
        revision=row.revision,
        settled=done and row.gone is None and not row.wanted.gone,
        gone=row.gone is not None,
        groups=getattr(row.wanted, "groups", ()),
        subnets=tuple(subnets),
        router=row.wanted.router or "" if isinstance(row, SecurityGroup) else "",
        rules=tuple(expanded_rules(rules_in_force(tx, row), lists)) if isinstance(row, SecurityGroup) else (),
        used=bool(getattr(row.assigned, "address", "") and getattr(row.wanted, "port", True)),
    )


def _findings(tx: Reader, now: float) -> Iterator[Finding]:
    rows = living_rows(tx)
    yield from count_findings(tx)
    yield from _references(tx, rows)
    yield from wake_findings(tx, rows, now)
    yield from _hosts(tx, now)
    yield from _without(rows)
    yield from _networks(tx, rows)
    yield from _people(rows)
    yield from _unconfirmed(tx)
    for bad in tx.unreadable.values():
        yield Finding(code="RowUnreadable", kind=bad.kind, ident=bad.uuid, detail=bad.ec2_id)
    for row in rows.values():
        fault = getattr(row.seen, "fault", None)
        if fault is not None:
            detail = f"{row.ec2_id}: {fault.code}: {fault.message}"
            yield Finding(code="RowFaulty", kind=row.KIND, ident=row.uuid, detail=detail)
    for line in tx.journal(open_only=True, limit=None):
        if line.uuid in rows and now - line.at > PATIENCE:
            detail = f"{rows[line.uuid].ec2_id}: {line.verb}, asked {now - line.at:.0f} s ago"
            yield Finding(code="RowWaits", kind=line.kind, ident=line.uuid, detail=detail)
    for ident, of in tx.unreadable_lines.items():
        yield Finding(code="RowUnreadable", kind="journal", ident=str(ident), detail=of)


def living_rows(tx: Reader) -> dict[str, Noun]:
    """Return every living row, by uuid."""
    return {noun.uuid: noun for cls in NOUNS.values() for noun in tx.list(cls)}


def count_findings(tx: Reader) -> Iterator[Finding]:
    """Claims and usage against what the rows add up to."""
    should, counted = recount.claims(tx), recount.usage(tx)
    held_claims = recount.held(tx)
    used = tx.usage() if not tx.unreadable else counted
    for pool, value, uuid in held_claims ^ should:
        leaked = (pool, value, uuid) in held_claims
        ident = f"{pool} {value}"
        yield Finding(code="ClaimLeaked" if leaked else "ClaimMissing", kind="claim", ident=ident, detail=f"of {uuid}")
    for scope, resource in used.keys() | counted.keys():
        now, right = used.get((scope, resource), 0), counted.get((scope, resource), 0)
        if now != right:
            detail = f"{now} in use, {right} by the rows"
            yield Finding(code="UsageWrong", kind="usage", ident=f"{scope} {resource}", detail=detail)


def _references(tx: Reader, rows: dict[str, Noun]) -> Iterator[Finding]:
    for source, kind, target in tx.references():
        if source in rows and target not in rows and target not in tx.unreadable and not rows[source].unheard():
            detail = f"{rows[source].ec2_id} refers to {kind} {target}"
            yield Finding(code="ReferenceBroken", kind=rows[source].KIND, ident=source, detail=detail)


def _without(rows: dict[str, Noun]) -> Iterator[Finding]:
    """Hosts that the store was recovered without."""
    waits: dict[str, list[str]] = {}
    for row in rows.values():
        host = row.unheard()
        if host:
            waits.setdefault(host, []).append(row.ec2_id)
    for host, idents in waits.items():
        detail = f"{len(idents)} kept until it is heard: {', '.join(sorted(idents)[:8])}"
        yield Finding(code="HostUnheard", kind="host", ident=host, detail=detail)


def wake_findings(tx: Reader, rows: dict[str, Noun], now: float) -> Iterator[Finding]:
    """Yield the wakes of rows that do not exist, and the wakes that are overdue at `now`."""
    for kind, uuid, due in tx.wakes():
        if uuid in tx.unreadable:
            continue
        if uuid not in rows and tx.get(NOUNS[kind], uuid) is None:
            yield Finding(code="WakeLeaked", kind=kind, ident=uuid)
        elif due is not None and now - due > LATE:
            yield Finding(code="WakeLate", kind=kind, ident=uuid, detail=f"due {now - due:.0f} s ago")


def _networks(tx: Reader, rows: Mapping[str, Noun]) -> Iterator[Finding]:
    """NAT gateways that lead nowhere, peerings that link nothing; none where an unreadable row may be the reason."""
    if tx.unreadable:
        return
    for nat in only(NatGateway, rows.values()):
        floating = rows.get(nat.wanted.floatingip)
        addressed = floating is not None and bool(floating.assigned.address)
        if not addressed or gateway_of(tx, nat.wanted.router) is None:
            lacking = "no internet gateway" if addressed else "no floating address"
            yield Finding(code="NatGatewayCutOff", kind=nat.KIND, ident=nat.uuid, detail=f"{nat.ec2_id}: {lacking}")
    for peering in only(Peering, rows.values()):
        ends = [rows.get(uuid) for uuid in (peering.wanted.router, peering.wanted.peer)]
        whole = all(end is not None and not end.wanted.gone for end in ends)
        if peering.is_active and not (whole and peering.assigned.link):
            detail = f"{peering.ec2_id}: {'no link' if whole else 'a router is gone or to go'}"
            yield Finding(code="PeeringUnlinked", kind=peering.KIND, ident=peering.uuid, detail=detail)


def _people(rows: Mapping[str, Noun]) -> Iterator[Finding]:
    """Users with a password and without any role."""
    grants = only(Grant, rows.values())
    groups = {grant.wanted.usergroup for grant in grants}
    able = {grant.wanted.user for grant in grants}
    able |= {user for group in only(UserGroup, rows.values()) if group.uuid in groups for user in group.wanted.members}
    for user in only(User, rows.values()):
        # Users of IAM begin without a role and without a password.
        if user.wanted.password and not user.wanted.admin and user.uuid not in able:
            yield Finding(code="UserWithoutRole", kind=User.KIND, ident=user.uuid, detail=user.name)


def _unconfirmed(tx: Reader) -> Iterator[Finding]:
    """Rights as in a copy of the database."""
    since = confirmation.unconfirmed(tx)
    if since:
        when = datetime.fromtimestamp(since, UTC).isoformat()
        yield Finding(code="RightsUnconfirmed", kind="store", ident="rights", detail=f"as they were at {when}")


def _hosts(tx: Reader, now: float) -> Iterator[Finding]:
    for host in tx.list(Host):
        if condition(host, now) == "lost":
            detail = f"heard {now - host.seen.heard:.0f} s ago"
            yield Finding(code="HostSilent", kind="host", ident=host.name, detail=detail)
