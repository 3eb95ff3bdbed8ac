"""Where else hosts are known than in the store (the broker's accounts, the engine's chassis): kept as the rows say."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import structlog

from pileus.model.errors import Fault, PileusError
from pileus.model.host import Host
from pileus.model.threads import Thread
from pileus.rules.host import REMOVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pileus.model.kit import HostRegister
    from pileus.rules.core import Core

LOOK = 20.0
"""Seconds between looks: what was missed, or lost by whoever keeps it, is mended so much later at most."""

APART = 1.0
"""Seconds between two looks that were asked for."""

_jitter = random.SystemRandom()

log = structlog.get_logger()


def settle(core: Core, registers: Sequence[HostRegister]) -> None:
    """Add hosts that joined, remove hosts that were removed. Unknown hosts are left alone.

    Nothing while the store is closed. Raises Unavailable when it does not answer.
    """
    if core.store.closed:
        return
    with core.store.read() as tx:
        joined = {host.name for host in tx.list(Host) if host.wanted.certificates}
        removed = tx.taken(REMOVED)
    for register in registers:
        if removed or (register.admits and joined):
            _settle(core, register, joined, removed)


def _settle(core: Core, register: HostRegister, joined: set[str], removed: set[str]) -> None:
    try:
        registered_hosts = register.hosts()
    except (PileusError, Fault) as error:
        log.warning("hosts not compared", register=type(register).__name__, reason=error.message)
        return
    for host in sorted((joined - registered_hosts if register.admits else set()) | (removed & registered_hosts)):
        with core.store.read() as tx:
            gone = tx.claimed(REMOVED, host) is not None  # it may have joined anew meanwhile
        try:
            if gone:
                register.remove(host)
            elif host not in registered_hosts:
                register.add(host)
        except (PileusError, Fault) as error:
            log.warning("host not settled", host=host, register=type(register).__name__, reason=error.message)
        else:
            log.info("host removed" if gone else "host added", host=host, register=type(register).__name__)


class Admission:
    """A thread that settles, now and then, and if `prompt` soon after each commit that touched a host."""

    def __init__(self, core: Core, registers: Sequence[HostRegister], *, prompt: bool) -> None:
        self._core = core
        self._registers = registers
        self._asked = threading.Event()
        self._ended = threading.Event()
        self._thread = Thread("admission", self._look, self._ended)
        if prompt:
            core.store.listen(self._committed)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ended.set()
        self._asked.set()
        self._thread.join(timeout=10)
        for register in self._registers:
            register.close()

    def _committed(self, _woken: bool, touched: set[str]) -> None:  # noqa: FBT001  (the store calls its listeners)
        if Host.KIND in touched:
            self._asked.set()

    def _look(self) -> None:
        settle(self._core, self._registers)
        if not self._ended.wait(APART):
            self._asked.wait(LOOK * _jitter.uniform(0.8, 1.2))
            self._asked.clear()
