"""Count anew the claims and usage that the living rows need, and set the stored ones right."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

from pileus.model.errors import NotFound
from pileus.model.flavor import Flavor
from pileus.model.image import kind_of
from pileus.model.instance import Instance
from pileus.model.nouns import NOUNS
from pileus.model.placement import host_vcpus
from pileus.model.port import Port
from pileus.model.router import Router
from pileus.model.volume import Volume
from pileus.store.writer import project_scope
from pileus.verbs.host import JOINED, REMOVED

if TYPE_CHECKING:
    from pileus.model.noun import Noun
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer
    from pileus.verbs.core import Core

MARKS = (REMOVED, JOINED)
"""The pools of claims that a verb takes by itself, and that rows do not tell of."""

WITHHELD = "usage withheld"
"""The number in the store's `meta` that is 1 while usage may be too high: unreadable rows may use the difference."""

Claims = set[tuple[str, str, str]]
Usage = dict[tuple[str, str], int]


def claims(tx: Reader) -> Claims:
    """Every claim that a living row has a right to, as (pool, value, uuid); none of a row that was met unreadable."""
    rights = {(*claim, noun.uuid) for cls in NOUNS.values() for noun in tx.list(cls) for claim in noun.claims()}
    # Kinds that are kept decoded may have been read before one of their rows was damaged, and again since.
    return {claim for claim in rights if claim[2] not in tx.unreadable} if tx.unreadable else rights


def held(tx: Reader) -> Claims:
    """Every claim that the store has for rows, as (pool, value, uuid), without those of unreadable rows."""
    return {claim for claim in tx.claims() if claim[0] not in MARKS and claim[2] not in tx.unreadable}


def usage(tx: Reader) -> Usage:
    """Return the usage of the living rows by (scope, resource), zeros left out."""
    totals: Counter[tuple[str, str]] = Counter()
    for cls in NOUNS.values():
        for noun in tx.list(cls):
            for resource, amount in noun.amounts().items():
                totals[project_scope(noun.project), resource] += amount
    disks: Counter[str] = Counter()
    kinds: dict[str, str] = {}
    for volume in tx.list(Volume):
        disks[volume.wanted.instance or ""] += volume.wanted.size
        kinds.setdefault(volume.wanted.instance or "", kind_of(volume.wanted.format))
    for row in tx.list(Instance):
        if row.wanted.flavor not in tx.many(Flavor, [row.wanted.flavor]) and row.wanted.flavor in tx.unreadable:
            continue
        flavor = tx.need(Flavor, row.wanted.flavor).wanted
        each = {"vcpus": flavor.vcpus, "memory": flavor.memory}
        for resource, amount in each.items():
            totals[project_scope(row.project), resource] += amount
        each["vcpus"] = host_vcpus(flavor.vcpus, kinds.get(row.uuid, flavor.kind))
        for host in {row.assigned.host, *row.assigned.clear} - {None}:
            for resource, amount in {**each, "disk": disks[row.uuid]}.items():
                totals[f"host:{host}", resource] += amount
    return {key: amount for key, amount in totals.items() if amount}


def differences(tx: Reader) -> list[str]:
    """Where the store's claims and usage are not what the rows say, in words; empty when all is well."""
    should, used, counted = claims(tx), tx.usage(), usage(tx)
    held_claims = held(tx)
    mismatches = [f"claim without a right: {claim}" for claim in sorted(held_claims - should)]
    mismatches += [f"claim missing: {claim}" for claim in sorted(should - held_claims)]
    if tx.unreadable:
        return mismatches  # what such rows use cannot be counted
    mismatches += [
        f"usage of {key}: {used.get(key, 0)}, counted {counted.get(key, 0)}"
        for key in sorted(used.keys() | counted.keys())
        if used.get(key, 0) != counted.get(key, 0)
    ]
    return mismatches


def set_right(tx: Writer) -> list[str]:
    """Make claims and usage what the rows say; the differences that are left.

    A difference that is left is a value to which two rows have a right. One of them gets it: a row that runs
    first, then the older row; a router, or a port that is to go, last. Safe to repeat. Unreadable rows keep
    their claims. While there are any, no usage is lowered: `catch_up` does that later.
    """
    should = claims(tx)
    rights = Counter((pool, value) for pool, value, _ in should)
    for pool, value, uuid in tx.claims():
        if uuid in tx.unreadable or pool in MARKS:
            continue
        if (pool, value, uuid) not in should or rights[pool, value] > 1:
            tx.unclaim(pool, value, uuid)
    claimed_values = {(pool, value) for pool, value, _ in tx.claims()}
    holders = _holders(tx)
    for pool, value, uuid in sorted(should, key=lambda claim: holders[claim[2]][0]):
        if (pool, value) not in claimed_values:
            claimed_values.add((pool, value))
            tx.claim(pool, value, holders[uuid][1])
    used, counted = tx.usage(), usage(tx)
    for scope, resource in used.keys() | counted.keys():
        amount = counted.get((scope, resource), 0) - used.get((scope, resource), 0)
        if amount > 0 or (amount and not tx.unreadable):
            tx.take(scope, resource, amount, None)
    if bool(tx.unreadable) != bool(tx.meta(WITHHELD)):
        tx.keep_meta(WITHHELD, int(bool(tx.unreadable)))
    return differences(tx)


def catch_up(core: Core) -> None:
    """Lower usage that was not lowered because of unreadable rows, if every row can be read now."""
    with core.store.read() as tx:
        if not tx.meta(WITHHELD):
            return
        for cls in NOUNS.values():
            tx.list(cls)
        if tx.unreadable:
            return
    # A row that refers to nothing is a finding of the doctor's.
    with contextlib.suppress(NotFound), core.store.write() as tx:
        set_right(tx)


def _holders(tx: Reader) -> dict[str, tuple[tuple[bool, bool, float, int], Noun]]:
    """Every row that may hold claims, by uuid, with its place in the order in which they get them."""
    instances = tx.list(Instance)
    running = {row.uuid for row in instances if row.seen.running}
    instance_uuids = {row.uuid for row in instances}
    holders: dict[str, tuple[tuple[bool, bool, float, int], Noun]] = {}
    for cls in NOUNS.values():
        for row in tx.list(cls):
            runs = row.uuid in running
            if isinstance(row, Port):
                # That of an instance that nobody knows yet counts as one that runs: its host was not heard.
                instance = row.wanted.instance or ""
                runs = instance in running or (instance != "" and instance not in instance_uuids)
            # A port that is to go needs its address no more; a router is given another one, and no user knows its own.
            yields = isinstance(row, Router) or (isinstance(row, Port) and row.wanted.gone)
            holders[row.uuid] = (yields, not runs, row.created, row.id), row
    return holders
