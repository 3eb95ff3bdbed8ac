"""The housekeeping of containers that run: that they see their own figures, and are spread over the processors.

Woken when one starts, ends or gets another size, when lxcfs ends, and by each `scan` of the provider.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import signal
import threading
import time
from collections.abc import Callable

import structlog

from pileus.model.threads import Thread, once
from pileus.providers.local.container import guests, lxcfs, order, processors, views
from pileus.providers.local.layout import Layout

_SOON = 0.05
"""Seconds between looks for an lxcfs that is to be started again."""

_AGAIN = 60.0
"""Seconds for which it is looked for like that; later with each scan."""

_HANGS = 15.0
"""Seconds after which an lxcfs that answers nothing is killed: whoever reads its files waits, and so do starts."""

log = structlog.get_logger()


class Housekeeping:
    """One thread for all containers of `layout`, which calls `tidy`, too, whenever it looks after them."""

    def __init__(self, layout: Layout, tidy: Callable[[], object] = lambda: None) -> None:
        self._layout = layout
        self._tidy = tidy
        self._news = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread: Thread | None = None
        self._stopped = threading.Event()
        self._mended: dict[str, tuple[int, str]] = {}
        self._tree: lxcfs.LxcfsMount | None = None
        self._handle = -1
        self._ended = -_AGAIN
        self._asking: threading.Thread | None = None
        self._asked = 0.0

    def start(self) -> None:
        """Begin."""
        if self._thread is None:
            self._thread = Thread("housekeeping", self._run, self._stopped)
            self._thread.start()
            self.wake()

    def wake(self) -> None:
        """Look now; never waits."""
        os.eventfd_write(self._news, 1)

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self.wake()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._news, select.POLLIN)
        while not self._stopped.is_set():
            soon = self._tree is None and time.monotonic() - self._ended < _AGAIN
            for descriptor, _ in poll.poll(_SOON * 1000 if soon else None):
                if descriptor == self._news:
                    with contextlib.suppress(BlockingIOError):
                        os.eventfd_read(self._news)
                else:
                    poll.unregister(descriptor)
                    self._lost()
            try:
                if self._tree is None and self._found():
                    poll.register(self._handle, select.POLLIN)
                elif soon:
                    continue
                self._ask()
                self._look()
                self._tidy()
            except Exception:
                log.exception("containers not looked after")

    def _lost(self) -> None:
        log.warning("lxcfs ended")
        os.close(self._handle)
        self._tree, self._handle, self._ended = None, -1, time.monotonic()

    def _found(self) -> bool:
        """Whether there is an lxcfs now; its end is heard of from then on."""
        mount = lxcfs.tree(self._layout)
        if mount is None:
            return False
        try:
            self._handle = os.pidfd_open(mount.process)
        except ProcessLookupError:
            return False
        self._tree = mount
        return True

    def _ask(self) -> None:
        """Ask lxcfs something now and then, in a thread that may hang with it; one that hangs is started again."""
        if self._tree is None:
            return
        if self._asking is None or not self._asking.is_alive():
            self._asked = time.monotonic()
            self._asking = once("lxcfs question", functools.partial(_question, self._tree))
        elif time.monotonic() - self._asked > _HANGS:
            log.warning("lxcfs hangs: killed", process=self._tree.process)
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def _look(self) -> None:
        sizes: dict[str, int] = {}
        seen: dict[str, tuple[int, str]] = {}
        for spec in (each.spec for each in order.orders(self._layout)):
            number = guests.monitor(self._layout, spec).init()
            if number is None:
                continue
            sizes[spec.ec2_id] = spec.vcpus
            if self._tree is not None:
                seen[spec.uuid] = (number, self._tree.device)
                # Once: a container's own root may take them off again.
                if self._mended.get(spec.uuid) != seen[spec.uuid]:
                    self._mend(spec.ec2_id, number)
        self._mended = seen
        processors.balance(self._layout, sizes)

    def _mend(self, ident: str, number: int) -> None:
        if self._tree is None:
            return
        try:
            if views.mend(self._tree, number):
                log.info("figures mended", instance=ident)
        except OSError as error:
            # It has ended, or lxcfs has: both are heard of.
            log.warning("figures not mended", instance=ident, reason=str(error))


def _question(mount: lxcfs.LxcfsMount) -> None:
    # Its end is heard of elsewhere.
    with contextlib.suppress(OSError):
        lxcfs.read(mount)
