"""Reads that the event loop answers itself: a hop to a thread and back costs more than many of them.

The loop answers a read under these conditions; threads answer all else, within the shares of projects:

- the store is in this process, so that a snapshot waits for no server and for no writer;
- the same client's last read of this kind was answered within PROMPT seconds;
- no other client asked for anything within SHARED seconds: those that ask at the same time have shares of the threads;
- no request is in a thread or waits for one, and the loop has done all else since it answered a read itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import NamedTuple

from pileus.faces.wire.http import Request
from pileus.model import bounds

PROMPT = 0.003
"""Seconds for which a read may keep the event loop."""

SHARED = 2.0
"""Seconds after the last request of any other client from which on a client has the event loop to itself."""

_HEAD = 64
"""Bytes of a query, or of a form, that tell requests of one client apart: the action's name is among them."""


class ReadKind(NamedTuple):
    """The requests of one client that are expected to take as long as each other."""

    client: str
    method: str
    path: str
    query: str
    body: bytes


def kind_of(client: str, request: Request) -> ReadKind:
    """The kind of a request of the client that takes turns under the key `client`."""
    return ReadKind(client, request.method, request.path, request.query[:_HEAD], request.body[:_HEAD])


class PromptReads:
    """How long reads took last, by kind; `embedded` says whether the store is in this process."""

    def __init__(self, *, embedded: bool) -> None:
        self._embedded = embedded
        self._seconds: OrderedDict[ReadKind, float] = OrderedDict()
        self._resting = False
        # The client of the last request, that of the last one of any other client, and when these came.
        self._latest, self._other = ("", -SHARED), ("", -SHARED)

    def came(self, client: str) -> None:
        """Note that a request of `client` is there."""
        if self._latest[0] != client:
            self._other = self._latest
        self._latest = client, time.monotonic()

    def admits(self, kind: ReadKind) -> bool:
        """Whether the event loop may answer a request of this kind itself now; it may not be one that changes."""
        if not self._embedded or self._resting or self._seconds.get(kind, PROMPT) >= PROMPT:
            return False
        other = self._other if self._latest[0] == kind.client else self._latest
        return time.monotonic() - other[1] >= SHARED

    def measured(self, kind: ReadKind, seconds: float) -> None:
        """Note that a read of this kind took `seconds`. Called in the event loop."""
        if not self._embedded:
            return
        self._seconds[kind] = seconds
        self._seconds.move_to_end(kind)
        if len(self._seconds) > bounds.RATE_KEYS.most:
            self._seconds.popitem(last=False)

    def rest(self) -> None:
        """Admit none until the event loop has looked at all connections: those that came together take turns."""
        self._resting = True
        loop = asyncio.get_running_loop()
        # The first step is behind all that is due now, the second behind all that comes from the connections then.
        loop.call_soon(loop.call_soon, self._go_on)

    def _go_on(self) -> None:
        self._resting = False
