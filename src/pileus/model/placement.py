"""Placement: which host an instance goes to, as a pure function over one snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.host import alive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pileus.model.host import Host

RESOURCES = ("vcpus", "memory", "disk")


class Need(msgspec.Struct, frozen=True):
    """What one instance takes: vcpus, memory MiB, disk GiB, a kind, and a zone unless any will do."""

    vcpus: int
    memory: int
    disk: int
    kind: str = "machine"
    zone: str = ""


def refusals(host: Host, used: Mapping[str, int], need: Need, now: float) -> list[str]:
    """Why `host` cannot take it; empty when it can. `used` by resource."""
    found = []
    if not alive(host, now):
        found.append("not heard of lately")
    if host.wanted.state != "active" or host.wanted.gone:
        found.append(host.wanted.state)
    if need.zone and host.wanted.zone != need.zone:
        found.append(f"in zone {host.wanted.zone}")
    if need.kind not in host.seen.limits.kinds:
        found.append(f"does not run {need.kind}s")
    for resource in RESOURCES:
        room = getattr(host.seen.capacity, resource)
        wanted = getattr(need, resource)
        if room is not None and used.get(resource, 0) + wanted > room:
            found.append(f"{resource}: {room - used.get(resource, 0)} left, {wanted} needed")
    return found


def choose(
    hosts: Iterable[Host], used: Mapping[str, Mapping[str, int]], need: Need, now: float
) -> tuple[Host | None, dict[str, list[str]]]:
    """The host with the least memory given away among those that can; and why each of the others cannot."""
    refused: dict[str, list[str]] = {}
    fit: list[Host] = []
    for host in hosts:
        why = refusals(host, used.get(host.name, {}), need, now)
        if why:
            refused[host.name] = why
        else:
            fit.append(host)
    best = min(fit, key=lambda h: (used.get(h.name, {}).get("memory", 0), h.name), default=None)
    return best, refused
