"""Placement: which host an instance goes to, as pure functions over one snapshot.

A filter says why a host cannot have the instance, "" when it can; `explain` shows filters by the names of their
functions. Among those that can, a weight chooses; hosts that weigh the same are taken by name.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING, Literal

import msgspec

from pileus.model.host import ONCE, Overcommit, room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pileus.model.host import Capacity, ProviderLimits, Wanted

RESOURCES = ("vcpus", "memory", "disk")

Strategy = Literal["spread", "stack"]
Affinity = Literal["", "affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"]
"""Instances of a group: on one host, on different hosts; soft: as far as there is room."""

SHOWN = 5
"""How many hosts an explanation names: those that came nearest."""


class Need(msgspec.Struct, frozen=True):
    """The needs of an instance: vcpus, memory MiB, disk GiB; its kind, traits, its group's rule, a zone or any ("")."""

    vcpus: int
    memory: int
    disk: int
    kind: str = "machine"
    zone: str = ""
    traits: frozenset[str] = frozenset()
    affinity: Affinity = ""


def host_vcpus(vcpus: int, kind: str) -> int:
    """The processors that an instance takes of its host's.

    A container takes none: its processors are a share of the time, not a reservation.
    """
    return 0 if kind == "container" else vcpus


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's choices: the overcommit ratios, and whether hosts fill evenly or one after another."""

    overcommit: Overcommit = ONCE
    strategy: Strategy = "spread"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a host that seldom change. `room` can be given away, in the order of RESOURCES; None: no bound."""

    zone: str = ""
    state: str = "active"
    kinds: tuple[str, ...] = ("machine",)
    traits: frozenset[str] = frozenset()
    room: tuple[int | None, ...] = (None, None, None)


class Candidate(msgspec.Struct):
    """A host as placement sees it: `used` in the order of RESOURCES, `members` how many it has of the group.

    Both change as instances are placed.
    """

    name: str
    facts: Facts
    alive: bool
    used: list[int]
    members: int = 0


def facts(
    wanted: Wanted, capacity: Capacity, limits: ProviderLimits, traits: Iterable[str], default: Overcommit
) -> Facts:
    """Return the facts that placement needs of a host's parts; `default` are the ratios of hosts without their own.

    `traits` are those that it found out by itself; those that it was given are as good.
    """
    there = room(wanted, capacity, default)
    return Facts(
        zone=wanted.zone,
        state="removed" if wanted.gone else wanted.state,
        kinds=limits.kinds,
        traits=frozenset((*traits, *wanted.traits)),
        room=tuple(there[name] for name in RESOURCES),
    )


# -- filters -----------------------------------------------------------------------------------------------------------


def alive(host: Candidate, need: Need, grouped: bool) -> str:  # noqa: ARG001, FBT001  (all filters are called alike)
    """A host that is silent is given nothing."""
    return "" if host.alive else "not heard of lately"


def state(host: Candidate, need: Need, grouped: bool) -> str:  # noqa: ARG001, FBT001  (all filters are called alike)
    """Neither is one that is drained or in maintenance."""
    return "" if host.facts.state == "active" else host.facts.state


def zone(host: Candidate, need: Need, grouped: bool) -> str:  # noqa: ARG001, FBT001  (all filters are called alike)
    """A zone that was asked for is heeded."""
    return "" if need.zone in ("", host.facts.zone) else f"in zone {host.facts.zone}"


def kind(host: Candidate, need: Need, grouped: bool) -> str:  # noqa: ARG001, FBT001  (all filters are called alike)
    """A host runs machines, containers, or both."""
    return "" if need.kind in host.facts.kinds else f"does not run {need.kind}s"


def traits(host: Candidate, need: Need, grouped: bool) -> str:  # noqa: ARG001, FBT001  (all filters are called alike)
    """Flavors and images may need what not every host has."""
    missing = need.traits - host.facts.traits
    return f"without {', '.join(sorted(missing))}" if missing else ""


def affinity(host: Candidate, need: Need, grouped: bool) -> str:  # noqa: FBT001  (all filters are called alike)
    """The rule of the group; `grouped` says whether any host has an instance of it."""
    if need.affinity == "anti-affinity" and host.members:
        return "has an instance of the group"
    if need.affinity == "affinity" and grouped and not host.members:
        return "the group is elsewhere"
    return ""


def capacity(host: Candidate, need: Need, grouped: bool) -> str:  # noqa: ARG001, FBT001  (all filters are called alike)
    """There has to be room for all that it takes."""
    wanted = (need.vcpus, need.memory, need.disk)
    short = ""
    for name, most, used, amount in zip(RESOURCES, host.facts.room, host.used, wanted, strict=True):
        if most is not None and used + amount > most:
            short += f"{', ' if short else ''}{name}: {most - used} left, {amount} needed"
    return short


FILTERS: tuple[Callable[[Candidate, Need, bool], str], ...] = (*(alive, state, zone, kind, traits, affinity, capacity),)
"""In the order in which they are asked: the first that refuses a host is the reason that is told."""


def refusal(host: Candidate, need: Need, grouped: bool) -> tuple[str, str]:  # noqa: FBT001  (all filters are called alike)
    """The name of the filter that refuses `host`, and why; two empty texts when none does."""
    for refuses in FILTERS:
        why = refuses(host, need, grouped)
        if why:
            return refuses.__name__, why
    return "", ""


# -- weights -----------------------------------------------------------------------------------------------------------

_MEMORY = RESOURCES.index("memory")


def spread(host: Candidate) -> int:
    """The host with the least memory given away comes first."""
    return host.used[_MEMORY]


def stack(host: Candidate) -> int:
    """The host with the most memory given away comes first: others stay empty, and can be switched off."""
    return -host.used[_MEMORY]


WEIGHTS: dict[Strategy, Callable[[Candidate], int]] = {"spread": spread, "stack": stack}


def weight(host: Candidate, need: Need, policy: Policy) -> tuple[int, int, str]:
    """How hosts that can are ordered, the best one first: by the group's soft rule, by strategy, by name."""
    near = host.members if need.affinity in ("affinity", "soft-affinity") else 0
    far = host.members if need.affinity == "soft-anti-affinity" else 0
    return far - near, WEIGHTS[policy.strategy](host), host.name


# -- the choice --------------------------------------------------------------------------------------------------------


class Decision(msgspec.Struct, kw_only=True):
    """Where instances go, in order, and what was weighed: hosts that were known, how many each filter refused.

    `fit` is how many could have taken the first one; `near` are the best of them, or the last to be refused, with why.
    """

    hosts: list[str] = []
    known: int = 0
    fit: int = 0
    refused: dict[str, int] = {}
    near: list[tuple[str, str]] = []
    strategy: Strategy = "spread"


class Ranking:
    """The hosts that can take instances of one need, best first. `candidates` are changed: they count what they get.

    Another ranking of the same candidates may give hosts more: by `spread` they go down, which is seen when they are
    met. By other rules they go up, and such a ranking is to be made anew (`goes_down`).
    """

    def __init__(self, candidates: Iterable[Candidate], need: Need, policy: Policy) -> None:
        hosts = list(candidates)
        self._need, self._policy = need, policy
        self._known = len(hosts)
        self._grouped = any(host.members for host in hosts)
        self._refused: Counter[str] = Counter()
        self._far: list[tuple[int, str, str]] = []
        """Hosts that cannot take one: how many filters let them pass, negative, and why the next one did not."""
        self._fit: list[tuple[tuple[int, int, str], Candidate]] = []
        for host in hosts:
            by, why = refusal(host, need, self._grouped)
            if by:
                self._refused[by] += 1
                self._far.append((-_DEPTH[by], host.name, why))
            else:
                self._fit.append((weight(host, need, policy), host))
        self._count = len(self._fit)
        heapq.heapify(self._fit)

    @property
    def goes_down(self) -> bool:
        """Whether a host that was given something is never better than before."""
        return self._policy.strategy == "spread" and not self._need.affinity

    def choose(self, count: int) -> Decision:
        """Hosts for as many of `count` instances as fit; the instances of a group once only, for they change it."""
        decision = Decision(
            known=self._known, fit=self._count, refused=dict(self._refused), strategy=self._policy.strategy
        )
        best = self._best()
        if best:
            decision.near = [(host.name, f"{host.used[_MEMORY]} MiB given away") for host in best]
        else:
            decision.near = [(name, why) for _, name, why in heapq.nsmallest(SHOWN, self._far)]
        need = self._need
        while self._fit and len(decision.hosts) < count:
            rank, host = self._fit[0]
            if rank != (now := weight(host, need, self._policy)):
                heapq.heapreplace(self._fit, (now, host))
                continue
            by, why = refusal(host, need, self._grouped)
            if by:
                heapq.heappop(self._fit)
                self._count -= 1
                self._refused[by] += 1
                self._far.append((-_DEPTH[by], host.name, why))
                continue
            decision.hosts.append(host.name)
            give(host, need)
            if need.affinity == "affinity" and not self._grouped:
                self._grouped = True  # the first one decides where the others go
            heapq.heapreplace(self._fit, (weight(host, need, self._policy), host))
        return decision

    def _best(self) -> list[Candidate]:
        """The best hosts, in order; those that were given something since they were ranked are ranked anew."""
        taken: list[tuple[tuple[int, int, str], Candidate]] = []
        while self._fit and len(taken) < SHOWN:
            rank, host = self._fit[0]
            now = weight(host, self._need, self._policy)
            if rank == now:
                taken.append(heapq.heappop(self._fit))
            else:
                heapq.heapreplace(self._fit, (now, host))
        for entry in taken:
            heapq.heappush(self._fit, entry)
        return [host for _, host in taken]


def choose(candidates: Iterable[Candidate], need: Need, count: int, policy: Policy) -> Decision:
    """Hosts for as many of `count` instances as fit. `candidates` are changed: they count what they are given."""
    return Ranking(candidates, need, policy).choose(count)


_DEPTH = {each.__name__: place for place, each in enumerate(FILTERS)}


def give(host: Candidate, need: Need) -> None:
    """Count what an instance takes of a host."""
    for place, amount in enumerate((need.vcpus, need.memory, need.disk)):
        host.used[place] += amount
    host.members += bool(need.affinity)


def explanation(decision: Decision, host: str = "") -> str:
    """A decision in words, for the journal: why `host`, or why none. As long with 1,000 hosts as with 10."""
    refused = ", ".join(
        f"{count} by {name}" for name, count in sorted(decision.refused.items(), key=lambda x: (-x[1], x[0]))
    )
    near = "; ".join(f"{name}: {why}" for name, why in decision.near)
    host_count = f"{decision.known} host{'' if decision.known == 1 else 's'} known"
    if not decision.known:
        return "no host is known"
    if not host:
        return f"no host can take it: {host_count}, refused {refused}. Nearest: {near}"
    others = f", refused {refused}" if refused else ""
    return f"{host} by {decision.strategy}: {host_count}, {decision.fit} fit{others}. Best: {near}"
