"""The daemons' control sockets: JSON-RPC as ovs-appctl(8) speaks it."""

from __future__ import annotations

import json

from pileus.providers.local.engine import unixsocket
from pileus.providers.local.layout import Layout

VERSION = json.dumps({"id": 0, "method": "version", "params": []})
"""A question that every daemon's main loop answers."""


def answers(layout: Layout, name: str, patience: float = 2.0) -> bool:
    """Whether the daemon called `name` says something within `patience` seconds; one that hangs only accepts."""
    try:
        with unixsocket.connect(layout.engine / "run" / f"{name}.ctl", patience) as stream:
            stream.sendall(VERSION.encode())
            return len(stream.recv(1)) > 0
    except OSError:
        return False
