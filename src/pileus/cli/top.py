"""`pileus top`: the instances that use most now, as a table that is drawn anew every two seconds."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from pileus.cli.client import Client
from pileus.cli.statistics import duration, size
from pileus.cli.tables import lined

PAUSE = 2.0
"""Seconds between two frames."""

FIRST = 1.0
"""Seconds between the two measurements of the first frame."""

MOST = 1000
"""How many instances are measured, the oldest: as many as one page has."""

HEADING = (
    *("NAME", "ID", "STATE", "CPU", "MEMORY", "LIMIT", "DISK", "READ/S", "WRITTEN/S", "RECEIVED/S", "SENT/S"),
    *("UPTIME", "TROUBLE"),
)


class Measurement(NamedTuple):
    """The statistics of instances by id, at `at` of the monotonic clock; `complete`: of all instances."""

    at: float
    figures: Mapping[str, Mapping[str, Any]]
    complete: bool


class InstanceUse(NamedTuple):
    """The use of one instance: processors (1.0 is one of them), and bytes a second; None: not measured twice yet."""

    figures: Mapping[str, Any]
    cpu: float | None
    rates: tuple[float | None, ...]


def measure(client: Client, query: Mapping[str, str]) -> Measurement:
    """Ask the cloud for the statistics of its instances. Raises Problem."""
    page = client.get("stats", **query, limit=str(MOST))
    return Measurement(time.monotonic(), {each["id"]: each for each in page["stats"]}, page["next"] is None)


def usages(before: Measurement, now: Measurement) -> list[InstanceUse]:
    """The use of each instance between two measurements, the greatest use of processors first."""
    seconds = max(now.at - before.at, 1e-3)
    every_usage = [_usage(before.figures.get(ident), figures, seconds) for ident, figures in now.figures.items()]
    return sorted(every_usage, key=lambda usage: (-(usage.cpu or 0.0), -(usage.figures["memory_bytes"] or 0)))


def _usage(before: Mapping[str, Any] | None, now: Mapping[str, Any], seconds: float) -> InstanceUse:
    def rate(old: float | None, new: float | None) -> float | None:
        # A counter begins anew with its guest.
        return None if old is None or new is None else max(0.0, new - old) / seconds

    if before is None or now["trouble"] or before["trouble"]:
        return InstanceUse(now, None, (None,) * 4)
    rates = [rate(before[key], now[key]) for key in ("disk_read_bytes", "disk_written_bytes")]
    rates += [rate(_network(before, key), _network(now, key)) for key in ("received_bytes", "sent_bytes")]
    return InstanceUse(now, rate(before["cpu_seconds"], now["cpu_seconds"]), tuple(rates))


def _network(figures: Mapping[str, Any], key: str) -> float:
    return float(sum(nic[key] or 0 for nic in figures["nics"]))


def frame(instances: Sequence[InstanceUse], *, complete: bool = True, most: int | None = None) -> str:
    """The table, of at most `most` instances, under a line with the sums of all."""
    running = [usage for usage in instances if usage.figures["state"] == "running"]
    cpu = sum(usage.cpu or 0.0 for usage in running)
    vcpus = sum(usage.figures["vcpus"] or 0 for usage in running)
    memory = [sum(usage.figures[key] or 0 for usage in running) for key in ("memory_bytes", "memory_limit_bytes")]
    title = (
        f"{len(instances)} instance{'s' * (len(instances) != 1)}{'' if complete else ' (the oldest)'}, "
        f"{len(running)} running: "
        f"{cpu:.2f} of {vcpus} processors, {size(memory[0])} of {size(memory[1])} of memory"
    )
    shown = instances if most is None else instances[: max(most, 0)]
    return f"{title}\n\n{lined([HEADING, *map(_row, shown)])}"


def _row(usage: InstanceUse) -> tuple[str, ...]:
    figures = usage.figures
    who = (figures["name"] or "-", figures["id"], figures["state"])
    if figures["trouble"]:
        return (*who, *("-" * 9), figures["trouble"])
    return (
        *who,
        "-" if usage.cpu is None else f"{usage.cpu:.0%}",
        *(size(figures[key]) for key in ("memory_bytes", "memory_limit_bytes", "disk_allocated_bytes")),
        *map(size, usage.rates),
        duration(figures["uptime"]),
        "-",
    )


def show(client: Client, query: Mapping[str, str], *, once: bool) -> None:
    """Print one frame, or on a terminal draw frames until q or ^C. Raises Problem."""
    before = measure(client, query)
    time.sleep(FIRST)  # rates are differences of two measurements
    now = measure(client, query)
    if once or not (sys.stdout.isatty() and sys.stdin.isatty()):
        print(frame(usages(before, now), complete=now.complete))
        return
    from rich.console import Console  # noqa: PLC0415  (slow to load)

    console = Console(highlight=False)
    with console.screen(hide_cursor=True), _keys() as pressed:
        while True:
            # Two lines are the title's, one the heading's, and the last stays free.
            text = frame(usages(before, now), complete=now.complete, most=console.height - 4)
            lines = [f"{line}\x1b[K" for line in text.splitlines()]
            sys.stdout.write("\x1b[?7l\x1b[H" + "\r\n".join(lines) + "\x1b[J\x1b[?7h")
            sys.stdout.flush()
            if pressed(PAUSE) in ("q", "Q", "\x1b"):
                return
            before, now = now, measure(client, query)


@contextmanager
def _keys() -> Iterator[Any]:
    """Within it, the value waits so many seconds for a key and returns it, or an empty text."""
    import termios  # noqa: PLC0415  (for terminals alone)
    import tty  # noqa: PLC0415  (for terminals alone)

    descriptor = sys.stdin.fileno()
    earlier = termios.tcgetattr(descriptor)

    def pressed(seconds: float) -> str:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        return sys.stdin.read(1) if ready else ""

    tty.setcbreak(descriptor)
    try:
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, earlier)
