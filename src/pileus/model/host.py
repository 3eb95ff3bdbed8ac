"""Host: a machine that runs instances, as its reports describe it."""

from __future__ import annotations

from typing import ClassVar

from pileus.model.noun import NEVER, Noun, Part, Revision

LOST_AFTER = 30.0
"""Seconds of silence after which a host counts as lost."""


class Limits(Part, frozen=True, kw_only=True):
    """What a provider cannot do, as data: verbs refuse early instead of surprising later. Sizes: 0 is no bound."""

    kinds: tuple[str, ...] = ("machine",)
    pause: bool = False
    live_migrate: bool = False
    hot_plug: bool = False


class Capacity(Part, frozen=True, kw_only=True):
    """What a host has to give: vcpus (after overcommit), memory MiB, disk GiB; None is unbounded."""

    vcpus: int | None = None
    memory: int | None = None
    disk: int | None = None


class Wanted(Part, frozen=True, kw_only=True):
    """`active` takes new instances; `drained` keeps what it has.

    `certificates` are the serial numbers (hex) of those that it may show: the one that it has, and after it the one
    that it was given last, if it has not shown that yet.
    """

    zone: str = ""
    state: str = "active"
    certificates: tuple[str, ...] = ()
    gone: bool = False


class Seen(Part, frozen=True, kw_only=True):
    """The last report's order (epoch, sequence), the highest revision the host ever held, and when it was heard.

    `chassis` is its switch, as the network engine names that.
    """

    epoch: int = 0
    sequence: int = 0
    incarnation: int = 0
    highest: Revision = NEVER
    heard: float = 0.0
    capacity: Capacity = Capacity()
    limits: Limits = Limits()
    chassis: str = ""
    unknown: tuple[str, ...] = ()


class Host(Noun, frozen=True, kw_only=True):
    """Named by the host itself; known from its first report on."""

    KIND: ClassVar[str] = "host"
    PREFIX: ClassVar[str] = "h"
    wanted: Wanted = Wanted()
    assigned: None = None
    seen: Seen = Seen()


def alive(host: Host, now: float) -> bool:
    """Whether the host was heard recently enough to be given work; one heard in the future is as silent.

    A clock that was set back leaves such a time, until the next report.
    """
    return host.gone is None and abs(now - host.seen.heard) < LOST_AFTER
