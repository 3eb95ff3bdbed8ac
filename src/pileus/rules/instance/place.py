"""Placing: the hosts that placement chooses from. A launch's transaction proves the choice: nobody else writes."""

from __future__ import annotations

import contextlib
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from pileus.model import placement
from pileus.model.errors import NoCapacity, Unavailable
from pileus.model.host import LOST_AFTER, Capacity, Host, Overcommit, ProviderLimits, Wanted, heard_lately
from pileus.model.placement import RESOURCES, Candidate, Decision, Facts, Need, Policy
from pileus.model.project import Project
from pileus.rules.instance import recenthosts
from pileus.rules.instance.recenthosts import RecentHosts

DEAF = 600.0
"""Seconds for which a cloud that hears none of its hosts goes by what it heard last.

Its broker or its database is away, or was just now: what is asked meanwhile is done when it hears them again.
"""

SCOPE = "host:"
"""How the scopes of what is used of hosts begin."""

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader


class Nowhere(NoCapacity):
    """No host can take it, and `why`; the message, which every user gets, names no host."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message, noun="instance", reason="host")
        self.why = why


class Silent(Unavailable):
    """No host was heard lately, so nobody knows where there is room, and `why` as above."""

    def __init__(self, why: str) -> None:
        text = "None of this cloud's hosts has reported lately. Nothing was changed; ask again later."
        super().__init__(text, noun="host", reason="silent")
        self.why = why


def choose(
    tx: Reader, core: Core, need: Need, least: int, most: int, flavor: str, members: Mapping[str, int]
) -> Decision:
    """Hosts for as many of `most` instances as fit. Raises Nowhere when they are fewer than `least`.

    Raises Silent when no host was heard for so long that nobody knows where there is room.
    `members` counts the instances of the group by host.
    """
    decision = None if need.affinity else _chosen_before(tx, core, need, most)
    if decision is not None:
        return decision
    now, since = core.store.now(), core.store.monotonic()
    rows = list(_readable(tx))
    candidates = _candidates(tx, rows, core.policy, now, members)
    ranking = placement.Ranking(candidates, need, core.policy)
    decision = ranking.choose(most)
    if not need.affinity and len(candidates) >= recenthosts.LARGE:
        uuids = {name: uuid for uuid, name, _, _ in rows}
        recenthosts.keep(tx, RecentHosts(candidates, uuids, core.policy, since, {need: ranking}))
    if len(decision.hosts) < least:
        # What refuses the one that does not fit any more.
        why = placement.explanation(placement.choose(candidates, need, 0, core.policy))
        if candidates and not any(candidate.alive for candidate in candidates):
            raise Silent(why)
        if decision.hosts:
            why = f"{len(decision.hosts)} of {least} fit; then {why}"
        raise Nowhere(f"We currently do not have sufficient {flavor} capacity in the zone you requested.", why)
    return decision


def _chosen_before(tx: Reader, core: Core, need: Need, count: int) -> Decision | None:
    """Hosts from the copy of all that this process has, if they can take all `count`; None: look at every host."""
    hosts = recenthosts.recent(tx, core.policy, core.store.monotonic())
    if hosts is None:
        return None
    decision = hosts.choose(need, count)
    now = core.store.now()
    if len(decision.hosts) == count and hosts.proved(tx, decision, need, lambda host: _current(host, core.policy, now)):
        return decision
    recenthosts.drop(tx)
    return None


def _current(host: Host, policy: Policy, now: float) -> Candidate:
    """A host by its row, with nothing used yet."""
    seen = host.seen
    facts = placement.facts(host.wanted, seen.capacity, seen.limits, seen.traits, policy.overcommit)
    return Candidate(host.name, facts, heard_lately(seen.heard, now), [0] * len(RESOURCES))


def remember(caller: Caller, core: Core, verb: str, why: str) -> None:
    """Write into the project's journal why nothing was launched; not again if that is its last line already."""
    with core.store.write() as tx:
        last = tx.journal(caller.project, limit=1)
        if not last or (last[0].verb, last[0].detail) != (verb, why):
            tx.add_journal_line(caller, tx.need(Project, caller.project), verb, outcome="failed", detail=why)


# -- the snapshot ------------------------------------------------------------------------------------------------------


def snapshot(tx: Reader, policy: Policy, now: float, members: Mapping[str, int] | None = None) -> list[Candidate]:
    """Every host as placement sees it: one query for hosts, one for what is used of them."""
    return _candidates(tx, list(_readable(tx)), policy, now, members)


def _candidates(
    tx: Reader,
    rows: Sequence[tuple[str, str, str, _Said]],
    policy: Policy,
    now: float,
    members: Mapping[str, int] | None,
) -> list[Candidate]:
    used = tx.usage_by_scope(SCOPE, RESOURCES)
    listened = _listened((seen.heard for _, _, _, seen in rows), now)
    candidates = []
    for _, name, wanted, seen in rows:
        try:
            facts = _facts(wanted, bytes(seen.capacity), bytes(seen.limits), bytes(seen.traits), policy.overcommit)
        except msgspec.MsgspecError:
            continue  # its row is damaged, which `doctor` says
        here = used.get(SCOPE + name) or [0] * len(RESOURCES)
        count = members.get(name, 0) if members else 0
        candidates.append(Candidate(name, facts, heard_lately(seen.heard, listened), here, count))
    return candidates


def _readable(tx: Reader) -> Iterator[tuple[str, str, str, _Said]]:
    """Each host's uuid and name, what is wanted of it, and what it said; none whose row is damaged."""
    for uuid, name, wanted, seen in tx.texts(Host):
        with contextlib.suppress(msgspec.MsgspecError):
            yield uuid, name, wanted, _SAID.decode(seen)


def _listened(heard_times: Iterable[float], now: float) -> float:
    """Until when the cloud heard its hosts: now, or, where all of them fell silent, the last that was heard of any."""
    last = max(heard_times, default=now)
    return last if LOST_AFTER <= now - last < DEAF else now


class _Said(msgspec.Struct):
    """Of what a host said only what placement looks at, and that as it is stored: it is the same again and again."""

    heard: float = 0.0
    capacity: msgspec.Raw = msgspec.Raw(b"{}")
    limits: msgspec.Raw = msgspec.Raw(b"{}")
    traits: msgspec.Raw = msgspec.Raw(b"[]")


_SAID = msgspec.json.Decoder(_Said)


@lru_cache(maxsize=8192)
def _facts(wanted: str, capacity: bytes, limits: bytes, traits: bytes, default: Overcommit) -> Facts:
    """The parts decoded: hosts of one kind share them, and they seldom change."""
    decode = msgspec.json.decode
    return placement.facts(
        decode(wanted, type=Wanted),
        decode(capacity, type=Capacity),
        decode(limits, type=ProviderLimits),
        decode(traits, type=tuple[str, ...]),
        default,
    )
