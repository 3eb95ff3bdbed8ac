"""One connection to this cloud's libvirtd: made when needed, lost and made again, and never waited for without end."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import libvirt
import structlog

from pileus.model.errors import Fault
from pileus.model.threads import Thread, once
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import daemon

PATIENCE = 60.0
"""Seconds for one call; starting a guest on a busy machine takes several."""

GONE: Final = "DomainGone"
"""Code of the Fault for a domain that is not there."""

INVALID: Final = "DomainBusy"
"""Code of the Fault for a domain in a state that does not allow the call."""

_OPEN = 10.0
_KEEPALIVE = (4, 3)
"""Seconds between signs of life, and how many may be missing: a hung libvirtd fails every call after 16 s."""

_WATCH = 2.0
_CODES = {libvirt.VIR_ERR_NO_DOMAIN: GONE, libvirt.VIR_ERR_OPERATION_INVALID: INVALID}

_CHANGES = frozenset(
    {
        *("defineXML", "create", "createWithFlags", "resume", "shutdownFlags", "destroy", "undefine"),
        *("backupBegin", "abortJob", "fsFreeze", "fsThaw"),
    }
)
"""Calls that are logged, under the id of the request for whose sake they are made."""

log = structlog.get_logger()

_loop = threading.Lock()
_looping = False


@contextlib.contextmanager
def tolerating(code: str) -> Iterator[None]:
    """A Fault of this code is none."""
    try:
        yield
    except Fault as fault:
        if fault.code != code:
            raise


class Hypervisor:
    """The private libvirtd of `layout`. All methods may be called from any thread, and raise Fault.

    HypervisorUnavailable: it does not answer now. HypervisorFailed: it refused. DomainGone, DomainBusy, HostDiskFull.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._connection: Any = None
        self._registered: int | None = None
        self._connecting = threading.Lock()
        self._failed: tuple[float, str] | None = None
        self._events: queue.SimpleQueue[str] | None = None
        self._unwatched = threading.Event()

    def call(self, function: Callable[..., Any], *arguments: Any, seconds: float = PATIENCE) -> Any:
        """Return the result of `function(*arguments)`, a call of libvirt's; wait for at most `seconds`.

        A call that takes longer goes on alone (libvirt cannot take it back) and ends with its guest or libvirtd.
        """
        began = time.monotonic()
        try:
            value = _bounded(function, arguments, seconds)
        except libvirt.libvirtError as error:
            code = _CODES.get(error.get_error_code(), "")
            if not code:
                code = "HypervisorFailed" if self._alive() else "HypervisorUnavailable"
            if os.strerror(errno.ENOSPC) in str(error):
                code = "HostDiskFull"
            raise Fault(code, str(error)) from error
        _note(function, value, time.monotonic() - began)
        return value

    def domain(self, uuid: str) -> Any:
        """The domain with this uuid of its own, or None."""
        try:
            return self.call(self.connection().lookupByUUIDString, uuid)
        except Fault as fault:
            if fault.code == GONE:
                return None
            raise

    def connection(self) -> Any:
        """A living connection (virConnect). Raises Fault HypervisorUnavailable within about 12 s."""
        arrived = time.monotonic()
        with self._connecting:
            if self._alive():
                return self._connection
            if self._failed is not None and arrived <= self._failed[0]:
                # It failed for another caller while this one waited: they need not try in turns.
                raise Fault("HypervisorUnavailable", self._failed[1])
            self._drop()
            try:
                self._connection = self._connect()
            except Fault as fault:
                self._failed = (time.monotonic(), fault.message)
                raise
            self._failed = None
            return self._connection

    def watch(self, changed: Callable[[str], None]) -> None:
        """From now on call `changed(domain's uuid)`, from a thread of its own, when a domain starts, ends or goes.

        The connection is kept up for it; what happens while there is none is not told later.
        """
        self._unwatched.set()
        self._unwatched = threading.Event()
        self._events = queue.SimpleQueue()
        with self._connecting:
            self._drop()
        Thread("libvirt watch", functools.partial(self._tell, self._events, changed), self._unwatched).start()

    def close(self) -> None:
        """Let go of the connection; nothing is watched any more."""
        self._unwatched.set()
        self._events = None
        with self._connecting:
            self._drop()

    def _tell(self, events: queue.SimpleQueue[str], changed: Callable[[str], None]) -> None:
        try:
            self.connection()
            changed(events.get(timeout=_WATCH))
        except queue.Empty:
            return
        except Fault:
            self._unwatched.wait(_WATCH)

    def _connect(self) -> Any:
        # libvirt has no time limit for opening: only what answers just now is opened.
        if not daemon.answers(self._layout):
            raise Fault("HypervisorUnavailable", f"libvirtd of {self._layout.state} does not answer")
        _ensure_loop()
        try:
            return _bounded(self._open, (), _OPEN)
        except libvirt.libvirtError as error:
            raise Fault("HypervisorUnavailable", str(error)) from error

    def _open(self) -> Any:
        connection = libvirt.open(self._layout.libvirt_uri)
        connection.setKeepAlive(*_KEEPALIVE)
        if self._events is not None:
            self._registered = connection.domainEventRegisterAny(
                None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, _on_lifecycle, self._events
            )
        return connection

    def _alive(self) -> bool:
        return self._connection is not None and self._connection.isAlive() == 1

    def _drop(self) -> None:
        old = [self._connection]
        self._connection = None
        registered, self._registered = self._registered, None
        if old != [None]:
            # Closing says goodbye to the daemon, which may hang: only the thread holds on to what it closes.
            once("libvirt close", functools.partial(_close, old, registered))


def _on_lifecycle(_: Any, domain: Any, _event: int, _detail: int, events: queue.SimpleQueue[str]) -> None:
    events.put(domain.UUIDString())


def _close(holder: list[Any], registered: int | None) -> None:
    """Let go of a connection, which is closed with its last reference.

    Calls in other threads may still be on their way back from it, and each refers to it: closed under them, libvirt
    would free what they use (SIGSEGV in virNetClient).
    """
    connection = holder.pop()
    if registered is not None:
        # A registered callback keeps the connection open; on a dead one the call fails, having done its part here.
        with contextlib.suppress(libvirt.libvirtError):
            connection.domainEventDeregisterAny(registered)


def _bounded(function: Callable[..., Any], arguments: tuple[Any, ...], seconds: float) -> Any:
    """Call in a thread of its own, so that a call that hangs holds that thread alone."""
    results: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((function(*arguments), None))
        except BaseException as error:  # noqa: BLE001  (handed to the caller, who waits below)
            results.put((None, error))

    once("libvirt call", run)
    try:
        value, error = results.get(timeout=seconds)
    except queue.Empty:
        name = getattr(function, "__name__", "call")
        raise Fault("HypervisorUnavailable", f"libvirt's {name} takes longer than {seconds:.0f} s") from None
    if error is not None:
        raise error
    return value


def _note(function: Callable[..., Any], value: Any, seconds: float) -> None:
    """Log a call that changed something, with the domain that it changed."""
    name = getattr(function, "__name__", "")
    if name in _CHANGES:
        changed = value if name == "defineXML" else getattr(function, "__self__", None)
        domain = changed.name() if isinstance(changed, libvirt.virDomain) else ""
        log.info("libvirt called", call=name, domain=domain, ms=round(seconds * 1000, 1))


def _ensure_loop() -> None:
    """Run libvirt's event loop, one for the process; keep-alive and events need it before a connection opens."""
    global _looping  # noqa: PLW0603  (libvirt's loop is global itself)
    with _loop:
        if _looping:
            return
        libvirt.registerErrorHandler(lambda *_: None, None)
        libvirt.virEventRegisterDefaultImpl()
        Thread("libvirt events", libvirt.virEventRunDefaultImpl, threading.Event()).start()
        _looping = True
