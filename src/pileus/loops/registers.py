"""Keep the registers of hosts (the broker's accounts, the engine's chassis) in agreement with the rows of hosts."""

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

INTERVAL = 20.0
"""Seconds between two passes: a missed change, or one that a register lost, is repaired after that time at most."""

LEAST_INTERVAL = 1.0
"""Least seconds between two passes."""

_jitter = random.SystemRandom()

log = structlog.get_logger()


def reconcile(core: Core, registers: Sequence[HostRegister]) -> None:
    """Add hosts that joined to the registers, and remove hosts that were removed. Unknown hosts are left alone.

    Do nothing while the store is closed. Raises Unavailable when the store does not answer.
    """
    if core.store.closed:
        return
    with core.store.read() as tx:
        joined = {host.name for host in tx.list(Host) if host.wanted.certificates}
        removed = tx.taken(REMOVED)
    for register in registers:
        if removed or (register.admits and joined):
            _reconcile(core, register, joined, removed)


def _reconcile(core: Core, register: HostRegister, joined: set[str], removed: set[str]) -> None:
    try:
        registered_hosts = register.hosts()
    except (PileusError, Fault) as error:
        log.warning("register not compared", register=type(register).__name__, reason=error.message)
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
            log.warning("host not reconciled", host=host, register=type(register).__name__, reason=error.message)
        else:
            log.info("host removed" if gone else "host added", host=host, register=type(register).__name__)


class RegisterReconciler:
    """A thread that reconciles at intervals, and with `prompt` soon after each commit that touched a host."""

    def __init__(self, core: Core, registers: Sequence[HostRegister], *, prompt: bool) -> None:
        self._core = core
        self._registers = registers
        self._asked = threading.Event()
        self._ended = threading.Event()
        self._thread = Thread("registers", self._pass, self._ended)
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

    def _pass(self) -> None:
        reconcile(self._core, self._registers)
        if not self._ended.wait(LEAST_INTERVAL):
            self._asked.wait(INTERVAL * _jitter.uniform(0.8, 1.2))
            self._asked.clear()
