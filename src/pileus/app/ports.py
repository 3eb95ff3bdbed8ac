"""Listening sockets, and ports for those that were asked for none in particular, to be the same after a restart."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Sequence
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


def listen(address: str, ports: Sequence[int], *, backlog: int = 2048, shared: bool = False) -> socket.socket:
    """A listening socket at the first of the `ports` that is free. Raises OSError where the last one is not either.

    Where it is `shared`, other processes of this user may listen there too; the kernel shares out who connects.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in ports[:-1]:
        with contextlib.suppress(OSError):
            return socket.create_server((address, port), family=family, backlog=backlog, reuse_port=shared)
    return socket.create_server((address, ports[-1]), family=family, backlog=backlog, reuse_port=shared)
