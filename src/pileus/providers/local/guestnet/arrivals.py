"""Finding out when guests have come up, without their cooperation: their ssh port is called until it answers.

A call goes out from the localport, which every guest's groups admit, so that no rule of a user's hides the answer. A
guest counts as up when its port accepts; a guest without an ssh server, which refuses, some time after the first
refusal; a guest that answers nothing at all, some minutes after the first call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from pileus.model.spec import NicSpec

PORT = 22

Call = Callable[[NicSpec, int], Awaitable[object]]
"""Connects to a TCP port of a guest once, and hangs up. Raises OSError when the guest refuses or does not answer."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ArrivalTimeouts:
    """Seconds; tests have shorter ones."""

    pause: float = 0.5
    """Between two calls to one guest."""
    refusing: float = 30.0
    """From its first refusal until a guest counts as up: it has an address, and may have no ssh server."""
    silent: float = 180.0
    """From the first call until a guest that never answered counts as up: it may drop all packets."""


class Arrivals:
    """The guests that are awaited, and those that have come up. All methods belong to the event loop's thread."""

    def __init__(self, call: Call, arrived: Callable[[str], None], limits: ArrivalTimeouts | None = None) -> None:
        self._call = call
        self._arrived = arrived
        self._limits = limits or ArrivalTimeouts()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def expect(self, uuid: str, nic: NicSpec) -> None:
        """Call the guest `uuid` behind `nic` until it is up, then say so to `arrived`. Idempotent meanwhile."""
        if uuid not in self._tasks:
            task = self._tasks[uuid] = asyncio.get_running_loop().create_task(self._until_up(nic))
            task.add_done_callback(lambda task: self._ended(uuid, task))

    def forget(self, uuid: str) -> None:
        """Call a guest no more."""
        task = self._tasks.pop(uuid, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Call nobody any more."""
        tasks = list(self._tasks.values())
        for uuid in list(self._tasks):
            self.forget(uuid)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_up(self, nic: NicSpec) -> None:
        now = asyncio.get_running_loop().time
        last = now() + self._limits.silent
        refused = False
        while now() < last:
            try:
                await self._call(nic, PORT)
            except ConnectionRefusedError:
                if not refused:
                    refused, last = True, now() + self._limits.refusing
            except OSError:
                pass
            else:
                return
            await asyncio.sleep(self._limits.pause)

    def _ended(self, uuid: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(uuid) is task:
            del self._tasks[uuid]
        if task.cancelled():
            return
        if task.exception() is not None:
            _log.error("guest not awaited", uuid=uuid, exc_info=task.exception())
        self._arrived(uuid)
