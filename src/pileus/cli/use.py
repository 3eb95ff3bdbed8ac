"""The use of instances for a person: sizes in powers of 1,024, times in hours, minutes and seconds."""

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


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """A line an instance, under a heading; the network's figures are of all its ports together."""
    return lined([_HEADING, *(_row(one) for one in found)])


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    if one["trouble"]:
        return (one["id"], one["name"] or "-", one["state"], *("-" * 11), one["trouble"])
    return (
        one["id"],
        one["name"] or "-",
        one["state"],
        duration(one["uptime"]),
        str(one["vcpus"]),
        f"{one['cpu_seconds']:.1f}s",
        *(size(one[f"{what}_bytes"]) for what in ("memory", "memory_limit", "disk_allocated", "disk_size")),
        *(size(one[f"disk_{what}_bytes"]) for what in ("read", "written")),
        *(size(sum(nic[f"{what}_bytes"] for nic in one["nics"])) for what in ("received", "sent")),
        "-",
    )


def sheet(one: Mapping[str, Any]) -> str:
    """One instance: a figure a line, then a line a port."""
    lines = [
        f"{one['id']}" + (f" ({one['name']})" if one["name"] else "") + f", {one['state']}",
        f"uptime   {duration(one['uptime'])}",
        f"cpu      {one['cpu_seconds']:.1f} s of {one['vcpus']} vcpus",
        f"memory   {size(one['memory_bytes'])} of {size(one['memory_limit_bytes'])}",
        f"disk     {size(one['disk_allocated_bytes'])} of {size(one['disk_size_bytes'])} allocated",
        f"         {size(one['disk_read_bytes'])} read, {size(one['disk_written_bytes'])} written",
    ]
    lines += [
        f"network  {nic['id']}: {size(nic['received_bytes'])} in {nic['received_packets']} packets received, "
        f"{size(nic['sent_bytes'])} in {nic['sent_packets']} sent"
        for nic in one["nics"]
    ]
    return "\n".join(lines)


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
