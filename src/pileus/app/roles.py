"""A cloud in several processes: `pileus api` answers requests, `pileus loops` does the work; any number of each.

They share a store (PILEUS_STORE) and a bus (PILEUS_BUS). Which of them may write when is the store's own to say: see
docs/protocol.md, line 13.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import sys
from collections.abc import Callable

import structlog
import uvloop

from pileus.app import faces, listeners, logs, ports, settings
from pileus.app.cloud import begin
from pileus.app.http import Edge
from pileus.app.listeners import Listeners
from pileus.app.state import ACCOUNT_KEYS, StateDirectory
from pileus.app.wiring import Cloud, Role, build
from pileus.cli.problem import Problem
from pileus.model import addresses
from pileus.model.errors import Unavailable
from pileus.model.kit import Kit
from pileus.posix.files import read_json, write_file, write_json

LOOK = 0.2
"""Seconds between looks at whether the store is open."""

log = structlog.get_logger()


def serve(state: StateDirectory, kit: Kit, role: Role, listen: str) -> None:
    """Run one process of the cloud until SIGTERM or SIGINT, answering at `listen` (ADDRESS:PORT; 0: a free port).

    Several of one user may listen at the same address; the kernel then shares out who connects.
    """
    sys.setswitchinterval(0.0001)
    chosen = settings.read(kit=kit)
    logs.configure(chosen.log_level)
    if not chosen.bus:
        raise Problem("A cloud of several processes needs PILEUS_BUS, a broker between them and the hosts.")
    state.prepare()
    listener = _listen(listen)
    cloud_listeners = listeners.prepare(state, chosen, listener) if role.faces else Listeners(listener, None, None, {})
    cloud = build(state, chosen, kit, role, join=cloud_listeners.join, fingerprint=cloud_listeners.fingerprint)
    try:
        cloud.start()
        with contextlib.closing(Edge(cloud)) as edge, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            ready = functools.partial(_ready, cloud, state, kit, role, cloud_listeners)
            runner.run(_serve(edge, cloud, cloud_listeners, ready))
    finally:
        cloud.stop()


async def _serve(edge: Edge, cloud: Cloud, cloud_listeners: Listeners, ready: Callable[[], bool]) -> None:
    async with cloud_listeners.serving(edge, cloud) as ended:
        while not ended.done() and not await asyncio.to_thread(ready):
            await asyncio.wait([ended], timeout=LOOK)
        await asyncio.wait([ended])


def _ready(cloud: Cloud, state: StateDirectory, kit: Kit, role: Role, cloud_listeners: Listeners) -> bool:
    """Whether the store is open; then what every cloud has is made, and told."""
    try:
        if cloud.recovery.missing():
            return False
        if role.faces:
            begin(cloud, state, kit)
            faces.open_all(cloud.faces, lambda face: face.declaration.listener is None)
    except Unavailable as error:
        log.warning("the store does not answer", reason=error.message)
        return False
    if role.loops:
        state.recover.unlink(missing_ok=True)
    urls = cloud_listeners.endpoints(cloud.settings, faces.declared())
    if role.faces:
        _tell(state, urls)
    log.info("ready", url=cloud_listeners.root(cloud.settings))
    return True


def _tell(state: StateDirectory, urls: dict[str, str]) -> None:
    """Leave in the state directory what commands look for there."""
    account = read_json(state.account) or {}
    write_json(state.admin, {key: str(account.get(key, "")) for key in ACCOUNT_KEYS}, 0o600)
    if state.anchor.exists():
        write_file(state.ca, state.anchor.read_bytes(), 0o644)
    else:
        state.ca.unlink(missing_ok=True)
    write_json(state.endpoints, urls, 0o644)


def _listen(where: str) -> socket.socket:
    try:
        address, port = addresses.split_socket_address(where)
        return ports.listen(address, [port], shared=True)
    except (OSError, ValueError, OverflowError) as error:
        raise Problem(f"'{where}' cannot be listened at: {error}. Give ADDRESS:PORT.") from error
