"""When guests answer over ssh: one way to ask, for every side of a comparison."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING

import msgspec

from pileus.providers.local.guestnet.namespaces import open_socket

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERY = 0.02
"""Seconds between the end of an attempt to connect to a guest and the next, for each guest that is asked."""

LIFE = 0.05
"""Seconds to connect: what was sent before the guest was there is to be sent again at once."""

HEAR = 20.0
"""Seconds to hear a first word once connected; then it is called again, as whoever waits would."""

PATIENCE = 100.0
"""Seconds within which one has to answer."""

EACH_FURTHER = 5.0
"""Seconds more for each that is asked beside it: a boot's CPU time on one of two processors, twice over."""

_PORT = 22
_SSH = (
    *("ssh", "-F", "none", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"),
    *("-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=30", "-o", "IdentitiesOnly=yes"),
)


class SshEndpoint(msgspec.Struct, frozen=True):
    """How to reach one guest: its user by a key's file, at an address, out of a network namespace from `source`."""

    user: str
    key: str
    address: str
    namespace: str = ""
    source: str = ""

    def socket(self) -> socket.socket:
        """A TCP socket that does not block, in the namespace and bound to the source if there are any."""
        made = open_socket(self.namespace) if self.namespace else socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)
        if self.source:
            made.bind((self.source, 0))
        return made

    def command(self, words: str) -> list[str]:
        """The command that runs `words` in the guest."""
        enter = ["nsenter", f"--net=/run/netns/{self.namespace}"] if self.namespace else []
        bind = ["-b", self.source] if self.source else []
        return [*enter, *_SSH, *bind, "-i", self.key, f"{self.user}@{self.address}", words]


def answered(endpoints: Sequence[SshEndpoint]) -> list[float]:
    """As `arrivals`; raises TimeoutError with what ssh said last, when one of them does not answer in time."""
    said: dict[str, str] = {}
    found = [moment for moment in arrivals(endpoints, said) if moment is not None]
    if len(found) < len(endpoints):
        raise TimeoutError(f"not everybody answers; ssh: {said}")
    return found


def arrivals(endpoints: Sequence[SshEndpoint], said: dict[str, str]) -> list[float | None]:
    """When (monotonic seconds) each guest had run a command over ssh, begun as soon as its sshd said a first word.

    None for one that did not within `PATIENCE`, and `EACH_FURTHER` for every other; `said` gets what ssh said last.
    """
    return asyncio.run(_all(endpoints, said))


async def _all(endpoints: Sequence[SshEndpoint], said: dict[str, str]) -> list[float | None]:
    every = EVERY * len(endpoints)
    limit = PATIENCE + EACH_FURTHER * (len(endpoints) - 1)

    async def one(endpoint: SshEndpoint) -> float | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                return await _answered(endpoint, every, said)
        return None

    return await asyncio.gather(*map(one, endpoints))


async def _answered(endpoint: SshEndpoint, every: float, said: dict[str, str]) -> float:
    await _speaks(endpoint, every)
    # A guest that shares its processors with nine others may take longer than ssh waits.
    while (words := await _runs(endpoint)) is not None:
        said[endpoint.address] = words
    return time.monotonic()


async def _speaks(endpoint: SshEndpoint, every: float) -> None:
    """Until sshd says something: one connection at a time, for daemons turn away who comes with many."""
    while not await _attempt(endpoint):  # noqa: ASYNC110  (a guest tells nobody)
        await asyncio.sleep(every)


async def _attempt(endpoint: SshEndpoint) -> bool:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError), endpoint.socket() as link:
        async with asyncio.timeout(LIFE):
            await loop.sock_connect(link, (endpoint.address, _PORT))
        async with asyncio.timeout(HEAR):
            return bool(await loop.sock_recv(link, 4))
    return False


async def _runs(endpoint: SshEndpoint) -> str | None:
    """None once a command ran; else why not. Ends ssh when it is cancelled."""
    quiet, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *endpoint.command("echo ANSWERED"), stdin=quiet, stdout=pipe, stderr=pipe
    )
    try:
        said, wrong = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.communicate()
        raise
    return None if said == b"ANSWERED\n" else wrong.decode(errors="replace").strip()
