"""Host: a machine that runs instances, as its reports describe it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pileus.model.noun import Noun, Part

LOST_AFTER = 30.0
"""Seconds of silence after which a host counts as lost."""


class ProviderLimits(Part, frozen=True, kw_only=True):
    """The limits of a provider, as data: verbs refuse early instead of surprising later. Sizes: 0 is no bound.

    `captures` are the kinds whose disks it makes images of.
    """

    kinds: tuple[str, ...] = ("machine",)
    pause: bool = False
    live_migrate: bool = False
    hot_plug: bool = False
    captures: tuple[str, ...] = ()


class Capacity(Part, frozen=True, kw_only=True):
    """The capacity of a host for instances: processors, memory MiB, disk GiB; None is unbounded."""

    vcpus: int | None = None
    memory: int | None = None
    disk: int | None = None


class Overcommit(Part, frozen=True, kw_only=True):
    """How many times over each resource of a host is given away; None: as the cloud's settings say."""

    vcpus: float | None = None
    memory: float | None = None
    disk: float | None = None


ONCE = Overcommit(vcpus=1.0, memory=1.0, disk=1.0)
"""Nothing is given away that is not there."""

Duty = Literal["active", "drained", "maintenance"]
Condition = Literal["active", "drained", "maintenance", "lost", "removed"]


class Wanted(Part, frozen=True, kw_only=True):
    """`active` takes new instances; `drained` keeps what it has, and so does `maintenance`, whose silence is no news.

    `gone` is said of a host that was removed: what it says is not listened to until it is readmitted. `certificates`
    are the serial numbers (hex) of those that it may show: the one that it has, and after it the one that it was given
    last, if it has not shown that yet. `traits` are those that operators gave it; what it can do by itself is seen.
    """

    zone: str = ""
    state: Duty = "active"
    overcommit: Overcommit = Overcommit()
    certificates: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    gone: bool = False


class Seen(Part, frozen=True, kw_only=True):
    """The last report's order (epoch, sequence), and when it was heard.

    Up to `known` of its reports in this epoch nothing that it said was missed. `traits` are what it can do, in words
    that flavors and images may ask for (`kvm`, `cpu:avx2`); `lost` says that its silence was noticed, and is in the
    journal. `chassis` is its switch, as the network engine names that.
    """

    epoch: int = 0
    sequence: int = 0
    known: int = 0
    heard: float = 0.0
    capacity: Capacity = Capacity()
    limits: ProviderLimits = ProviderLimits()
    traits: tuple[str, ...] = ()
    chassis: str = ""
    unknown: tuple[str, ...] = ()
    lost: bool = False


class Host(Noun, frozen=True, kw_only=True):
    """Named by the host itself; known from its first report on."""

    KIND: ClassVar[str] = "host"
    PREFIX: ClassVar[str] = "h"
    NAMES: ClassVar[Literal["", "project", "cloud"]] = "cloud"
    SEEN_BY: ClassVar[Literal["project", "everybody", "administrators"]] = "administrators"
    UNSHOWN: ClassVar[tuple[str, ...]] = ("epoch", "sequence", "known", "heard")
    TAGGED: ClassVar[bool] = False
    wanted: Wanted = Wanted()
    assigned: None = None
    seen: Seen = Seen()


def alive(host: Host, now: float) -> bool:
    """Whether the host was heard recently enough to be given work; one heard in the future is as silent.

    A clock that was set back leaves such a time, until the next report.
    """
    return host.gone is None and heard_lately(host.seen.heard, now)


def heard_lately(last_heard: float, now: float) -> bool:
    """The same of a time alone."""
    return abs(now - last_heard) < LOST_AFTER


def condition(host: Host, now: float) -> Condition:
    """The host's state as every face shows it. One in maintenance may be silent; any other is then `lost`."""
    if host.gone is not None or host.wanted.gone:
        return "removed"
    if host.wanted.state == "maintenance" or alive(host, now):
        return host.wanted.state
    return "lost"


def room(wanted: Wanted, capacity: Capacity, default: Overcommit) -> dict[str, int | None]:
    """Return the most that may be given away, by resource: the capacity times the host's own ratio or `default`'s."""
    limits: dict[str, int | None] = {}
    for name in ("vcpus", "memory", "disk"):
        there, own = getattr(capacity, name), getattr(wanted.overcommit, name)
        ratio = getattr(default, name) if own is None else own
        limits[name] = there if there is None or ratio is None else int(there * ratio)
    return limits
