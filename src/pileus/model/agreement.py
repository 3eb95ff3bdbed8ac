"""Whether the store's rows and one host's orders agree. Pure functions; what is on its way is no finding."""

from __future__ import annotations

from collections.abc import Iterator

from pileus.model.finding import Finding
from pileus.model.noun import NEVER
from pileus.model.views import BookView, Held, InstanceRow, StoreView

KIND = "instance"

SLACK = 5.0
"""Seconds by which a clock may be behind a time that was stored: clocks are slewed, and reports take a moment."""


def orders(store: StoreView, host: BookView, name: str) -> Iterator[Finding]:
    """Where the rows and the orders of the host called `name` disagree."""
    rows = {row.uuid: row for row in store.instances}
    for row in rows.values():
        if row.settled and not row.gone and row.host == name:
            yield from _order(row, host.orders.get(row.uuid))
    for uuid, order in host.orders.items():
        yield from _row(rows.get(uuid), order)
    if host.highest > store.highest:
        detail = f"the host was given revision {host.highest}, the store's last one is {store.highest}"
        yield Finding(code="StoreBehind", kind="host", ident=name, detail=detail)


def clocks(store: StoreView | None, host: BookView | None, now: float) -> Iterator[Finding]:
    """Whether the clock is behind what store and host have stored; `now` in seconds."""
    newest = {"the store": store.newest if store else 0.0, "the host's book": host.newest if host else 0.0}
    for what, when in newest.items():
        if when > now + SLACK:
            detail = f"{what} has times that are {when - now:.0f} s ahead of the clock"
            yield Finding(code="ClockBack", kind="clock", ident=what, detail=detail)


def _order(row: InstanceRow, order: Held | None) -> Iterator[Finding]:
    if order is None:
        detail = f"{row.ec2_id} is placed here at revision {row.revision}"
        yield Finding(code="OrderMissing", kind=KIND, ident=row.uuid, detail=detail)
    elif order.revision != row.revision or order.applied != order.revision:
        detail = f"{row.ec2_id}: row {row.revision}, order {order.revision}, applied {order.applied}"
        yield Finding(code="OrderBehind", kind=KIND, ident=row.uuid, detail=detail)


def _row(row: InstanceRow | None, order: Held) -> Iterator[Finding]:
    if row is None and order.spec is not None:
        detail = f"{order.spec.ec2_id} ({order.spec.name or 'no name'}) of project {order.spec.project}"
        yield Finding(code="OrderUnknown", kind=KIND, ident=order.uuid, detail=detail)
    if row is not None and row.gone and order.applied != NEVER:
        detail = f"{row.ec2_id} at revision {order.revision}"
        yield Finding(code="OrderLeaked", kind=KIND, ident=order.uuid, detail=detail)
