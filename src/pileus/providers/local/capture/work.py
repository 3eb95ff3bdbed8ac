"""The making of one capture beside everything else: in a thread, by programs that yield to the guests."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import structlog

from pileus.model.errors import Fault
from pileus.model.threads import once
from pileus.providers.local.machine.images import disk_fault

LEAST = 64 << 20
"""Bytes that stay free while something is captured: guests write to the same disk."""

LONGEST = 6 * 3600.0
"""Seconds for one capture."""

GENTLY = ("setpriv", "--pdeathsig", "KILL", "nice", "-n", "19", "ionice", "-c", "3")
"""The prefix of a command that yields to guests, and ends with the thread that waits for it."""

_POLL = 0.05
_END = 10.0

log = structlog.get_logger()


class CancelledError(Exception):
    """The capture is not wanted any more, or is to begin anew."""


class ProgramFault(Fault):
    """A program ended with the exit status `status`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__("HostDiskFull" if os.strerror(errno.ENOSPC) in message else "CaptureFailed", message)
        self.status = status


def need_room(folder: Path, size: int = 0) -> None:
    """Raises Fault HostDiskFull unless `size` bytes can be written in `folder`, and more; OSError."""
    free = shutil.disk_usage(folder).free
    if free < LEAST + size:
        raise Fault(
            "HostDiskFull", f"{free >> 20} MiB are free at {folder}; to capture a disk takes {LEAST + size >> 20} MiB"
        )


class View(Protocol):
    """An instance's disk as it is at one moment. Both methods raise what `cancellation` raises, Fault and OSError."""

    def take(self, part: Path, cancellation: CancellationToken) -> None:
        """Have the moment be now, beside `part`, where it is not already; does not take long."""

    def write(self, part: Path, cancellation: CancellationToken) -> int:
        """Write it as an image to `part`; returns the bytes of the disk, or of its files unpacked.

        Takes long.
        """


class CancellationToken:
    """Looks, again and again, whether a capture in `folder` may go on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._until = time.monotonic() + LONGEST
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """It may not."""
        self._cancelled.set()

    def look(self) -> None:
        """Raises CancelledError; Fault for a disk that is full, and for a capture that takes too long."""
        if self._cancelled.is_set():
            raise CancelledError
        need_room(self._folder)
        if time.monotonic() > self._until:
            raise Fault("CaptureFailed", f"the capture takes longer than {LONGEST / 3600:.0f} hours", permanent=True)

    def run(self, arguments: Iterable[object], *, stays: bool = False, **options: Any) -> bytes:
        """Run a program to its end; what it wrote to standard output. `options` are subprocess.Popen's.

        One that `stays` is not ended before its time. Raises ProgramFault, and what `look` raises.
        """
        words = [str(word) for word in arguments]
        options = {"stdout": subprocess.PIPE, **options}
        with subprocess.Popen(
            words, stdin=options.pop("stdin", subprocess.DEVNULL), stderr=subprocess.PIPE, **options
        ) as process:
            stdout, wrong = self._await(process, stays=stays)
        if process.returncode:
            text = wrong.decode(errors="replace").strip()[-300:]
            raise ProgramFault(process.returncode, text or f"status {process.returncode}")
        return stdout

    def _await(self, process: subprocess.Popen[bytes], *, stays: bool) -> tuple[bytes, bytes]:
        try:
            while True:
                self.look()
                try:
                    stdout, wrong = process.communicate(timeout=_POLL)
                except subprocess.TimeoutExpired:
                    continue
                return stdout or b"", wrong or b""
        except BaseException:
            if not stays:
                process.kill()
            raise


class Work:
    """A view that is being written, from a thread of its own.

    `instance` is whose disk it reads. `finish` is called with the bytes of the disk once all is written; `slots` bounds
    how many write at once. Once it has ended, `fault` says what was wrong; None after it was given up, too.
    """

    def __init__(
        self, instance: str, view: View, part: Path, slots: threading.Semaphore, finish: Callable[[int], None]
    ) -> None:
        self.instance = instance
        self.fault: Fault | None = None
        self._view = view
        self._part = part
        self._slots = slots
        self._finish = finish
        self._cancellation = CancellationToken(part.parent)
        self._thread = once("capture", self._run)

    @property
    def ended(self) -> bool:
        """Whether it is over, whatever came of it."""
        return not self._thread.is_alive()

    def cancel(self, patience: float = _END) -> bool:
        """Give it up; whether it has ended, within `patience` seconds."""
        self._cancellation.cancel()
        self._thread.join(timeout=patience)
        return self.ended

    def _run(self) -> None:
        try:
            self._view.take(self._part, self._cancellation)
            while not self._slots.acquire(timeout=_POLL):
                self._cancellation.look()
            try:
                self._finish(self._view.write(self._part, self._cancellation))
            finally:
                self._slots.release()
        except CancelledError:
            pass
        except Fault as fault:
            self.fault = fault
        except OSError as error:
            self.fault = disk_fault(error, "CaptureFailed", "the capture is not written")
        except Exception as error:
            log.exception("capture failed")
            self.fault = Fault("CaptureFailed", f"{type(error).__name__}: {error}")
        if self.fault is not None:
            # The next step may be of another process, or never come.
            log.warning("capture ended", instance=self.instance, code=self.fault.code, reason=self.fault.message)
