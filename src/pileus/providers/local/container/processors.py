"""On which of the machine's processors each container runs: as many as it has, those that are least used.

Its CPU quota bounds what it may use; this is what `nproc`, and programs that start a thread for each processor, see.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import cgroups

_FILE = "cpuset.cpus"
_EFFECTIVE = ("cpuset.cpus.effective", "cpuset.effective_cpus", _FILE)


def balance(layout: Layout, wanted: Mapping[str, int]) -> None:
    """Have the containers (by LXC's names) on as many processors as they want, no processor much fuller than another.

    Containers that are well where they are stay. Without the cgroups for it all have all of them.
    """
    top = cgroups.processors(layout)
    if top is None:
        return
    there = next((available for name in _EFFECTIVE if (available := _read(top / name))), frozenset())
    assigned = {name: _read(top / name / _FILE) for name in wanted if (top / name / _FILE).exists()}
    for name, chosen in choose(there, {name: wanted[name] for name in assigned}, assigned).items():
        if chosen != assigned[name] or any(_read(path) != chosen for path in (top / name).glob(f"*/{_FILE}")):
            _write(top / name, chosen, nested=not cgroups.unified())


def choose(
    there: frozenset[int], wanted: Mapping[str, int], assigned: Mapping[str, frozenset[int]]
) -> dict[str, frozenset[int]]:
    """The processors, of those that are `there`, for each container: how many it wants, where it is if possible.

    >>> choose(frozenset({0, 1}), {"a": 1, "b": 1, "c": 2}, {})["c"]
    frozenset({0, 1})
    """
    small = {name: number for name, number in wanted.items() if number < len(there)}
    chosen = {name: there for name in wanted if name not in small}
    load = dict.fromkeys(sorted(there), 0)
    for name, number in sorted(small.items()):
        current = assigned.get(name, frozenset())
        if len(current) == number and current <= there:
            chosen[name] = current
            _count(load, current)
    for name, number in sorted(small.items()):
        if name not in chosen:
            chosen[name] = frozenset(sorted(load, key=lambda processor: load[processor])[:number])
            _count(load, chosen[name])
    while load and max(load.values()) - min(load.values()) > 1:
        full, free = max(load, key=lambda processor: load[processor]), min(load, key=lambda processor: load[processor])
        name = next(name for name in sorted(small) if full in chosen[name] and free not in chosen[name])
        chosen[name] = chosen[name] - {full} | {free}
        load[full] -= 1
        load[free] += 1
    return chosen


def _count(load: dict[int, int], chosen: Iterable[int]) -> None:
    for processor in chosen:
        load[processor] += 1


def _write(folder: Path, chosen: frozenset[int], *, nested: bool) -> None:
    """Set a group's processors. In version 1 those of a group below must be among its own all the time."""
    with contextlib.suppress(OSError):
        if not nested:
            (folder / _FILE).write_text(_text(chosen))
            return
        (folder / _FILE).write_text(_text(chosen | _read(folder / _FILE)))
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                _write(Path(entry.path), chosen, nested=nested)
        (folder / _FILE).write_text(_text(chosen))


def _read(path: Path) -> frozenset[int]:
    """The numbers in a list such as `0-2,7` (cpuset(7)); none where there is no such file."""
    numbers: set[int] = set()
    with contextlib.suppress(OSError, ValueError):
        for part in path.read_text().strip().split(","):
            first, _, last = part.partition("-")
            numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)


def _text(chosen: Iterable[int]) -> str:
    return ",".join(map(str, sorted(chosen)))
