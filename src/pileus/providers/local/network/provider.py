"""The provider of all that the network engine keeps, over OVN's northbound database."""

from __future__ import annotations

import queue
import threading
import time
import uuid as uuids
from collections.abc import Callable, Iterator
from typing import Any

from pileus.model.errors import Fault
from pileus.model.host import ProviderLimits
from pileus.model.provider import Access, BodyRef, Channel, Recalled, SeenBody
from pileus.model.spec import (
    FloatingIpSpec,
    NetworkSpec,
    PortSpec,
    RouterSpec,
    SecurityGroupSpec,
    Spec,
    TransitGatewaySpec,
)
from pileus.model.threads import Thread
from pileus.providers.local.network import floatingip, network, port, removals, router, securitygroup, transitgateway
from pileus.providers.local.network.northbound import Northbound
from pileus.providers.local.network.rows import KIND, RECORD, REVISION, UUID, NorthboundRows, Superseded, revision_of

_ENSURE: dict[str, Callable[[NorthboundRows, Any], None]] = {
    RouterSpec.KIND: router.ensure,
    NetworkSpec.KIND: network.ensure,
    PortSpec.KIND: port.ensure,
    SecurityGroupSpec.KIND: securitygroup.ensure,
    FloatingIpSpec.KIND: floatingip.ensure,
    TransitGatewaySpec.KIND: transitgateway.ensure,
}
_REMOVE = {
    RouterSpec.KIND: router.remove,
    NetworkSpec.KIND: network.remove,
    PortSpec.KIND: port.remove,
    SecurityGroupSpec.KIND: securitygroup.remove,
    FloatingIpSpec.KIND: floatingip.remove,
    TransitGatewaySpec.KIND: router.remove,
}
MAIN = {
    RouterSpec.KIND: router.TABLE,
    NetworkSpec.KIND: network.TABLE,
    PortSpec.KIND: port.TABLE,
    SecurityGroupSpec.KIND: securitygroup.TABLE,
    FloatingIpSpec.KIND: floatingip.TABLE,
    TransitGatewaySpec.KIND: router.TABLE,
}
"""The table in which each kind of noun has its row."""

_UNMARKED = frozenset(MAIN) - {FloatingIpSpec.KIND, TransitGatewaySpec.KIND}
_STRANGERS = {MAIN[kind]: kind for kind in _UNMARKED}
"""The kind of a row that no mark of ours is on, by table."""
_OWNERS = frozenset({RouterSpec.KIND, NetworkSpec.KIND, FloatingIpSpec.KIND, TransitGatewaySpec.KIND})
"""Kinds with rows beside their main one, which may be left where that was removed by other hands."""

_FORGET = 3600.0
"""Seconds between looks for removals that are too old to keep."""
_WATCHED = frozenset({*((table, kind) for kind, table in MAIN.items()), (floatingip.TRANSLATION, FloatingIpSpec.KIND)})
"""Tables, and the kinds of nouns with rows there whose changes are reported."""


class NetworkProvider:
    """`northbound` is a connection string; connects at the first call, and again whenever the connection is lost.

    `gateway` names the chassis that carries what goes outside. Every call ends within about `timeout` seconds, by
    Fault `NetworkEngineUnavailable` when the database does not answer. One `ensure` or `remove` is one transaction,
    refused without a word when a later order wrote the row.
    """

    def __init__(self, northbound: str, timeout: float = 5.0, gateway: str = "") -> None:
        self.handles = frozenset(_ENSURE)
        self.limits = ProviderLimits(kinds=())
        self._northbound = Northbound(northbound, timeout)
        self._gateway = gateway
        self._forget_at = 0.0

    def observe(self, ref: BodyRef) -> SeenBody | None:
        """The row as it is now, a port's memberships read back from the groups, or None. Raises Fault."""
        with self._northbound.read() as tables:
            row = _find(tables, ref)
            if row is None or (ref.kind == FloatingIpSpec.KIND and not floatingip.whole(tables, row)):
                return None
            groups = self._groups(tables, ref.kind, row)
            return SeenBody(kind=ref.kind, uuid=ref.uuid, revision=revision_of(row), groups=groups)

    def scan(self) -> Iterator[SeenBody]:
        """All that it keeps, floating addresses too; a stranger's has its name for uuid. Raises Fault."""
        with self._northbound.read() as tables:
            bodies = [
                SeenBody(
                    kind=kind,
                    uuid=row.external_ids.get(UUID) or getattr(row, "name", str(row.uuid)),
                    revision=revision_of(row),
                    groups=self._groups(tables, kind, row),
                )
                for kind, table in MAIN.items()
                for row in tables[table].rows.values()
                if row.external_ids.get(KIND, _STRANGERS.get(table)) == kind
            ]
        yield from bodies

    def recall(self) -> Iterator[Recalled]:
        """Yield the orders that the rows' marks name, and the removals. Raises Fault."""
        with self._northbound.read() as tables:
            records = [
                Recalled(
                    kind=kind,
                    uuid=row.external_ids[UUID],
                    revision=revision_of(row),
                    record=row.external_ids.get(RECORD, ""),
                )
                for kind, table in MAIN.items()
                for row in tables[table].rows.values()
                if row.external_ids.get(KIND) == kind and UUID in row.external_ids
            ]
            records += removals.recall(tables)
        yield from records

    def ensure(self, spec: Spec) -> None:
        """Make the rows what `spec` says, in one transaction. Raises Fault.

        Does nothing when a later order wrote them, or this or a later one removed them.
        """

        def work(rows: NorthboundRows) -> None:
            if rows.get(MAIN[spec.KIND], uuids.UUID(spec.uuid)) is None:
                removals.heed(rows, spec.uuid, spec.revision)
            _ENSURE[spec.KIND](rows, spec)

        self._commit(work)

    def remove(self, ref: BodyRef) -> None:
        """Remove the rows, in one transaction; nothing when a later order than `ref` wrote them. Raises Fault."""

        def work(rows: NorthboundRows) -> None:
            row = _find(rows.tables, ref)
            removals.record(rows, ref.uuid, ref.revision)
            if row is not None:
                _REMOVE[ref.kind](rows, row.uuid, ref.revision)
            elif ref.kind in _OWNERS:
                rows.delete_of(ref.uuid)
            if time.monotonic() >= self._forget_at:
                removals.forget(rows)

        self._commit(work)
        if time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + _FORGET

    def watch(self, report: Callable[[BodyRef], None]) -> None:
        """Call `report` when a row goes, or changes although its order did not: what other hands do."""
        hints: queue.SimpleQueue[BodyRef] = queue.SimpleQueue()

        def changed(event: str, table: str, row: Any, old: Any) -> None:
            kind = row.external_ids.get(KIND, "")
            if (table, kind) in _WATCHED and _foreign(event, row, old):
                uuid = row.external_ids.get(UUID)
                if uuid:
                    hints.put(BodyRef(kind=kind, uuid=uuid, revision=revision_of(row)))

        # Reporting may take a transaction of the store; the replica must not wait for it.
        Thread("northbound-watch", lambda: report(hints.get()), threading.Event()).start()
        self._northbound.notify(changed)

    def open(self, ref: BodyRef, channel: Channel, port: int = 0) -> Access:
        """Raises Fault: networks have no channels."""
        raise Fault("Unsupported", f"a {ref.kind} has no {channel}", permanent=True)

    def close(self) -> None:
        """Disconnect; a later call connects again."""
        self._northbound.close()

    def _groups(self, tables: Any, kind: str, row: Any) -> tuple[str, ...]:
        return port.memberships(tables, self._northbound.references, row.uuid) if kind == PortSpec.KIND else ()

    def _commit(self, work: Callable[[NorthboundRows], None]) -> None:
        try:
            self._northbound.transact(
                lambda database, transaction: work(NorthboundRows(database, transaction, self._gateway))
            )
        except Superseded:
            return


def _find(tables: Any, ref: BodyRef) -> Any:
    """The row of `ref`, or None; one whose uuid is no uuid is a stranger's, known by its name."""
    rows = tables[MAIN[ref.kind]].rows
    try:
        return rows.get(uuids.UUID(ref.uuid))
    except ValueError:
        return next(
            (row for row in rows.values() if getattr(row, "name", "") == ref.uuid and UUID not in row.external_ids),
            None,
        )


def _foreign(event: str, row: Any, old: Any) -> bool:
    """Whether a change is none that an order of ours makes: a row gone, or its columns changed without its revision."""
    if event == "delete":
        return True
    if event != "update" or old is None:
        return False
    # Asking the row for a column would make a list of rows of each set, however large.
    changed = set(old._data)  # noqa: SLF001  (ovs offers no other way)
    if "external_ids" in changed and old.external_ids.get(REVISION) != row.external_ids.get(REVISION):
        return False
    # Members and readiness change by other rows' orders.
    return bool(changed - {"ports", "qos_rules", "up", "tag"})
