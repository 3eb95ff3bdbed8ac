"""Count anew the claims and usage that the living rows need, and set the stored ones right."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pileus.model.instance import Instance
from pileus.model.nouns import NOUNS
from pileus.rules.host import JOINED, REMOVED

if TYPE_CHECKING:
    from pileus.model.noun import Noun, Usage
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

POOLS_OF_VERBS = (REMOVED, JOINED)
"""The pools of claims that a verb takes by itself, and that rows do not tell of."""

WITHHELD = "usage withheld"
"""The number in the store's `meta` that is 1 while usage may be too high: unreadable rows may use the difference."""

Claims = set[tuple[str, str, str]]


def claims(tx: Reader) -> Claims:
    """Every claim that a living row has a right to, as (pool, value, uuid); none of a row that was met unreadable."""
    rights = {(*claim, noun.uuid) for cls in NOUNS.values() for noun in tx.list(cls) for claim in noun.claims()}
    # Cached kinds may have been read before one of their rows was damaged, and again since.
    return {claim for claim in rights if claim[2] not in tx.unreadable} if tx.unreadable else rights


def held(tx: Reader) -> Claims:
    """Every claim that the store has for rows, as (pool, value, uuid), without those of unreadable rows."""
    return {claim for claim in tx.claims() if claim[0] not in POOLS_OF_VERBS and claim[2] not in tx.unreadable}


def usage(tx: Reader) -> Usage:
    """Return the usage of the living rows by (scope, resource), zeros left out."""
    totals: Counter[tuple[str, str]] = Counter()
    for cls in NOUNS.values():
        for noun in tx.list(cls):
            totals.update(noun.uses())
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
        if uuid in tx.unreadable or pool in POOLS_OF_VERBS:
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
    missing_usage = {key: counted.get(key, 0) - used.get(key, 0) for key in used.keys() | counted.keys()}
    tx.count({key: amount for key, amount in missing_usage.items() if amount > 0 or not tx.unreadable})
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
    with core.store.write() as tx:
        set_right(tx)


def _holders(tx: Reader) -> dict[str, tuple[tuple[bool, bool, float, int], Noun]]:
    """Every row that may hold claims, by uuid, with its place in the order in which they get them."""
    instances = tx.list(Instance)
    running = {row.uuid for row in instances if row.seen.running}
    instance_uuids = {row.uuid for row in instances}
    holders: dict[str, tuple[tuple[bool, bool, float, int], Noun]] = {}
    for cls in NOUNS.values():
        for row in tx.list(cls):
            instance = row.owner(Instance.KIND) or row.uuid
            # A noun of an instance that nobody knows yet counts as one that runs: its host was not heard.
            runs = instance in running or (instance != row.uuid and instance not in instance_uuids)
            holders[row.uuid] = (row.yields(), not runs, row.created, row.id), row
    return holders
