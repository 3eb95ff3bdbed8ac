"""The copy of the hosts that a large cloud's launches choose from: half a second old at most, and proved afterwards."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pileus.model.host import Host
from pileus.model.placement import RESOURCES, Candidate, Decision, Need, Policy, Ranking, give, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pileus.store.reader import Reader

LARGE = 64
"""Hosts from which on a copy is used: of fewer all are read, which takes as long as a copy's choice is proved."""

FRESH = 0.5
"""Seconds for which a copy is used."""

RANKINGS = 16
"""Needs for which a copy is kept in order at most."""

_KEY = "recent-hosts"
"""The copy's name among what a process remembers of its store."""


class RecentHosts:
    """Hosts as they were at `since` (monotonic), and what this process gave them after that."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        uuids: Mapping[str, str],
        policy: Policy,
        since: float,
        rankings: Mapping[Need, Ranking],
    ) -> None:
        self._candidates = candidates
        self._uuids = uuids
        self._policy = policy
        self._since = since
        self._rankings = {**rankings}

    def holds(self, policy: Policy, now: float) -> bool:
        """Whether it can be used now, under this policy."""
        return self._policy == policy and 0 <= now - self._since < FRESH

    def choose(self, need: Need, count: int) -> Decision:
        """Hosts for as many of `count` instances as fit."""
        ranking = self._rankings.get(need)
        if ranking is None:
            if len(self._rankings) >= RANKINGS:
                self._rankings.clear()
            ranking = self._rankings[need] = Ranking(self._candidates, need, self._policy)
        if not ranking.goes_down:
            self._rankings = {need: ranking}
        return ranking.choose(count)

    def proved(self, tx: Reader, decision: Decision, need: Need, current: Callable[[Host], Candidate]) -> bool:
        """Whether the chosen hosts can take the instances, by their rows and usage in this transaction."""
        counts = Counter(decision.hosts)
        hosts = {host.name: host for host in tx.many(Host, [self._uuids[name] for name in counts]).values()}
        used = tx.usage_of([f"host:{name}" for name in counts])
        for name, count in counts.items():
            host = hosts.get(name)
            if host is None or host.gone is not None:
                return False
            candidate = current(host)
            candidate.used = [used.get((f"host:{name}", resource), 0) for resource in RESOURCES]
            for _ in range(count):
                if refusal(candidate, need, False)[0]:
                    return False
                give(candidate, need)
        return True


def recent(tx: Reader, policy: Policy, now: float) -> RecentHosts | None:
    """The copy that this process has; None where it has none, or an old one."""
    copy = tx.remembered.get(_KEY)
    return copy if isinstance(copy, RecentHosts) and copy.holds(policy, now) else None


def keep(tx: Reader, hosts: RecentHosts) -> None:
    """Have this copy."""
    tx.remembered[_KEY] = hosts


def drop(tx: Reader) -> None:
    """Have no copy: what was chosen from it could not be had."""
    tx.remembered.pop(_KEY, None)
