"""The statistics of instances for a person: sizes in powers of 1,024, times in hours, minutes and seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pileus.cli.tables import lined

_HEADING = (
    *("ID", "NAME", "STATE", "UPTIME", "VCPUS", "CPU", "MEMORY", "LIMIT", "DISK", "SIZE"),
    *("READ", "WRITTEN", "RECEIVED", "SENT", "TROUBLE"),
)
_UNITS = ("", "K", "M", "G", "T", "P")
_STEP = 1024


def table(all_figures: Sequence[Mapping[str, Any]]) -> str:
    """A line an instance, under a heading; the network's figures are of all its ports together."""
    return lined([_HEADING, *(_row(figures) for figures in all_figures)])


def _row(figures: Mapping[str, Any]) -> tuple[str, ...]:
    if figures["trouble"]:
        return (figures["id"], figures["name"] or "-", figures["state"], *("-" * 11), figures["trouble"])
    return (
        figures["id"],
        figures["name"] or "-",
        figures["state"],
        duration(figures["uptime"]),
        str(figures["vcpus"]),
        f"{figures['cpu_seconds']:.1f}s",
        *(size(figures[f"{what}_bytes"]) for what in ("memory", "memory_limit", "disk_allocated", "disk_size")),
        *(size(figures[f"disk_{what}_bytes"]) for what in ("read", "written")),
        *(size(sum(nic[f"{what}_bytes"] for nic in figures["nics"])) for what in ("received", "sent")),
        "-",
    )


def sheet(figures: Mapping[str, Any]) -> str:
    """One instance: a figure a line, then a line a port."""
    lines = [
        f"{figures['id']}" + (f" ({figures['name']})" if figures["name"] else "") + f", {figures['state']}",
        f"uptime   {duration(figures['uptime'])}",
        f"cpu      {figures['cpu_seconds']:.1f} s of {figures['vcpus']} vcpus",
        f"memory   {size(figures['memory_bytes'])} of {size(figures['memory_limit_bytes'])}{_overhead(figures)}",
        f"disk     {size(figures['disk_allocated_bytes'])} of {size(figures['disk_size_bytes'])} allocated",
        f"         {size(figures['disk_read_bytes'])} read, {size(figures['disk_written_bytes'])} written",
    ]
    lines += [
        f"network  {nic['id']}: {size(nic['received_bytes'])} in {nic['received_packets']} packets received, "
        f"{size(nic['sent_bytes'])} in {nic['sent_packets']} sent"
        for nic in figures["nics"]
    ]
    return "\n".join(lines)


def _overhead(figures: Mapping[str, Any]) -> str:
    # A host of an earlier version does not tell it.
    overhead = figures.get("overhead_bytes")
    return f", and {size(overhead)} for its QEMU" if overhead else ""


def size(count: float | None) -> str:
    """Bytes with three digits or four and a letter; - for what is not known.

    >>> size(1536)
    '1.5K'
    """
    if count is None:
        return "-"
    value, at = float(count), 0
    while value >= _STEP and at < len(_UNITS) - 1:
        value, at = value / _STEP, at + 1
    return f"{value:.0f}{_UNITS[at]}" if at == 0 or value >= 100 else f"{value:.1f}{_UNITS[at]}"


def duration(seconds: float) -> str:
    """Seconds as days, hours, minutes and seconds, the two greatest of them.

    >>> duration(3725)
    '1h02m'
    """
    whole = int(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s"
