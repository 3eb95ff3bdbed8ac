"""The store's notes of its comparison with each host: numbers in `meta`, and the rows that wait for a host."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from pileus.model.instance import Instance, Unheard
from pileus.model.noun import NEVER
from pileus.model.port import Port
from pileus.rules.host import known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.bus.messages import Report
    from pileus.model.noun import Revision
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

COUNTER = 44
"""Bits of a revision's counter, where a revision is one number."""

INCARNATIONS = 1 << (62 - COUNTER)
"""The last incarnation that a host may have seen: a revision of a later one is no number of 63 bits."""

_LEFT = "left "

LEAP = 1 << 12
"""Incarnations that a host may have seen above those of the store and the engine: a recovery adds one.

Without it a single host could use up all of them in one report.
"""


OPENING_LEAP = 1 << 42
"""Milliseconds by which a host may have seen a later opening than the store and its clock know of: 139 years."""

OPENINGS = 1 << 62
"""The last opening that a host may have seen: the store stores later ones in 63 bits."""


def credible(report: Report, incarnation: int, opening: int) -> bool:
    """Whether a store may have given what a host has seen. `incarnation` and `opening` are the latest ones known.

    A recovered store goes above all that hosts have seen: a number that nothing can follow would close it for ever.
    """
    incarnations = (report.incarnation, report.highest[0], report.forgotten[0])
    counters = (report.highest[1], report.forgotten[1])
    return (
        all(0 <= number <= min(incarnation + LEAP, INCARNATIONS) for number in incarnations)
        and all(0 <= number < 1 << COUNTER for number in counters)
        and 0 <= report.opening <= min(opening + OPENING_LEAP, OPENINGS)
    )


def missed(tx: Reader, report: Report) -> bool:
    """Whether the store was recovered without a host that holds something, or of which it has something.

    The host may have been asked in the store's incarnation, and its answer was lost.
    """
    incarnation = tx.incarnation
    if report.highest[0] >= incarnation or tx.meta(_heard(report.host)) >= incarnation:
        return False
    return report.highest != NEVER or _awaited(tx, report.host)


def without(tx: Writer, host: str) -> None:
    """Note that the store, which nobody knows to be behind, is opened without this host: rows placed there wait."""
    left_name = _left(host)
    if not tx.meta(left_name):
        tx.keep_meta(left_name, tx.meta("counter") + 1)
    for row in tx.many(Instance, tx.taken(f"host:{host}")).values():
        wait(tx, row)


def ahead(tx: Reader, report: Report) -> bool:
    """Whether a host holds an order that the store had not given when it was opened without that host.

    The store gave nothing to a host that it has never known: where such a host holds orders of the store's incarnation,
    this store is an old copy of the one that gave them, however far it has counted since.
    """
    left_at, incarnation = tx.meta(_left(report.host)), tx.incarnation
    if left_at > 0:
        return report.highest >= (incarnation, left_at)
    return report.highest != NEVER and report.highest[0] == incarnation and not known(tx, report.host)


def late(tx: Reader, host: str) -> bool:
    """Whether the store was opened without this host, and it was not compared since."""
    return tx.meta(_left(host)) > 0


def late_among(tx: Reader, hosts: Iterable[str]) -> set[str]:
    """Return the hosts that are late, of these hosts."""
    names = tx.meta_names(_LEFT)
    return {host for host in hosts if _left(host) in names} if names else set()


def caught_up(tx: Writer, host: str) -> None:
    """Note that a host, without which the store was opened, holds nothing newer: the rows that waited go on."""
    tx.keep_meta(_left(host), 0)
    tx.keep_meta(_heard(host), tx.incarnation)
    for row in tx.many(Instance, tx.taken(f"host:{host}")).values():
        tx.assign(row, msgspec.structs.replace(row.assigned, unheard=None))
        tx.wake(row)


def was_heard(tx: Reader, hosts: Iterable[str]) -> bool:
    """Whether each of these hosts was merged when the store's incarnation began."""
    return all(tx.meta(_heard(host)) >= tx.incarnation for host in hosts)


def wait(tx: Writer, row: Instance) -> Instance:
    """Have nothing decided about a row until its host is heard; return the row."""
    if row.assigned.unheard is not None:
        return row
    before = Unheard(wanted=row.wanted, name=row.name, tags=row.tags)
    return tx.assign(row, msgspec.structs.replace(row.assigned, unheard=before))


def merged(tx: Writer, report: Report) -> None:
    """Note that a recovery has merged what this host holds."""
    tx.keep_meta(_heard(report.host), tx.incarnation)
    tx.keep_meta(_left(report.host), 0)
    tx.keep_meta(_vouched(report.host), _number(report.forgotten))


def forgotten(tx: Reader, report: Report) -> bool:
    """Whether the store vouched for all removals that this host has forgotten: it is no copy from before that."""
    return _number(report.forgotten) <= tx.meta(_vouched(report.host))


def vouch(tx: Writer, host: str, revision: Revision) -> None:
    """A host may forget its removals through `revision`: it holds all that the store has placed there."""
    tx.keep_meta(_vouched(host), _number(revision))


def _number(revision: Revision) -> int:
    """A revision as one number of the store's `meta`, in the order of revisions."""
    return (revision[0] << COUNTER) + revision[1]


def _vouched(host: str) -> str:
    """The number in the store's `meta` that is the revision through which this host may have forgotten removals."""
    return f"vouched {hashlib.sha256(host.encode()).hexdigest()[:24]}"


def _left(host: str) -> str:
    """The number in the store's `meta` above all that was given when this host was missing at its opening."""
    return f"{_LEFT}{hashlib.sha256(host.encode()).hexdigest()[:24]}"


def _heard(host: str) -> str:
    """The number in the store's `meta` that is the incarnation that was made with this host's answer."""
    return f"heard {hashlib.sha256(host.encode()).hexdigest()[:24]}"


def _awaited(tx: Reader, host: str) -> bool:
    instances = tx.many(Instance, tx.taken(f"host:{host}"))
    return any(row.assigned.unheard is not None for row in instances.values()) or any(
        port.assigned.host == host and tx.get(Instance, port.wanted.instance or "") is None for port in tx.list(Port)
    )
