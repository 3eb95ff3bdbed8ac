"""Ports for listeners that were asked for none in particular, and that are to have the same one after a restart."""

from __future__ import annotations

import secrets
from pathlib import Path

TRIES = 16

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CHOICE = 8000


def choices() -> list[int]:
    """Ports to try one after the other; the last is 0, any.

    The others are below those that the kernel hands to clients: of these one could be some client's by the time that
    the cloud is started again.
    """
    try:
        end = int(_RANGE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return [0]
    room = min(_CHOICE, end - 1024)
    return [*(end - 1 - secrets.randbelow(room) for _ in range(TRIES if room > 0 else 0)), 0]
