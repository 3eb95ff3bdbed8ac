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


def table(uses: Sequence[Mapping[str, Any]]) -> str:
    """A line an instance, under a heading; the network's figures are of all its ports together."""
    return lined([_HEADING, *(_row(use) for use in uses)])


def _row(use: Mapping[str, Any]) -> tuple[str, ...]:
    if use["trouble"]:
        return (use["id"], use["name"] or "-", use["state"], *("-" * 11), use["trouble"])
    return (
        use["id"],
        use["name"] or "-",
        use["state"],
        duration(use["uptime"]),
        str(use["vcpus"]),
        f"{use['cpu_seconds']:.1f}s",
        *(size(use[f"{what}_bytes"]) for what in ("memory", "memory_limit", "disk_allocated", "disk_size")),
        *(size(use[f"disk_{what}_bytes"]) for what in ("read", "written")),
        *(size(sum(nic[f"{what}_bytes"] for nic in use["nics"])) for what in ("received", "sent")),
        "-",
    )


def sheet(use: Mapping[str, Any]) -> str:
    """One instance: a figure a line, then a line a port."""
    lines = [
        f"{use['id']}" + (f" ({use['name']})" if use["name"] else "") + f", {use['state']}",
        f"uptime   {duration(use['uptime'])}",
        f"cpu      {use['cpu_seconds']:.1f} s of {use['vcpus']} vcpus",
        f"memory   {size(use['memory_bytes'])} of {size(use['memory_limit_bytes'])}",
        f"disk     {size(use['disk_allocated_bytes'])} of {size(use['disk_size_bytes'])} allocated",
        f"         {size(use['disk_read_bytes'])} read, {size(use['disk_written_bytes'])} written",
    ]
    lines += [
        f"network  {nic['id']}: {size(nic['received_bytes'])} in {nic['received_packets']} packets received, "
        f"{size(nic['sent_bytes'])} in {nic['sent_packets']} sent"
        for nic in use["nics"]
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
