"""The audit log: a line of JSON for each call that is refused and for each one that changes something.

A line is in the kernel's hands before its call is answered: it survives `kill -9`. Lines of refusals are bounded by
caller and address, those of accepted calls by project, so that nobody can push the others' lines out of the log. A
*summary line* counts the calls that were left out.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from pileus.app.rates import Buckets, client_network
from pileus.faces.wire.http import Response
from pileus.model import bounds
from pileus.model.caller import Caller
from pileus.posix import locks

SUMMARY = 10.0
"""Seconds after which summary lines say how many calls were left out."""

COUNTED = 100
"""Summary lines at once; all other calls are counted together in two, of refused and of accepted calls."""

CHANGES_BURST = 600.0
"""Seconds of the rate of accepted calls whose lines may come at once."""

REFUSED = "suppressed"
"""The code in summary lines of refused calls."""

_log = structlog.get_logger()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line. `-` stands for what is not known; `key` is an access key's id, as the request presents it.

    A summary line has the number of calls in `suppressed`, and `suppressed` as the code of refused ones. The time is
    set when the line is written.
    """

    time: str = ""
    client: str = "-"
    user: str = "-"
    project: str = "-"
    key: str = "-"
    face: str = "-"
    action: str = "-"
    status: int = 0
    code: str = "-"
    request: str = "-"
    suppressed: int = 0


class Journal:
    """Appends lines to the file `path`, and sets it aside as `path`.1 when it has `size` bytes; `files` are kept.

    Any number of processes may have the same file open.
    """

    def __init__(self, path: Path, size: int, files: int) -> None:
        self._path = path
        self._size = size
        self._files = files
        self._lock = threading.Lock()
        self._descriptor = -1
        self._begun = b""
        self.lost = 0

    def append(self, line: bytes) -> None:
        """Write `line`, which ends with a newline. A line that cannot be written is counted in `lost`."""
        with self._lock:
            try:
                self._ready(len(line))
                data = self._begun + line
                whole = os.write(self._descriptor, data) == len(data)
                # A line that a full disk cut short is not continued by the next one.
                self._begun = b"" if whole else b"\n"
                self.lost += not whole
            except OSError:
                self.lost += 1

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _ready(self, room: int) -> None:
        """Have the file open that is at the path now, with `room` bytes left in it if it can be set aside."""
        if not self._current():
            self._open()
        if os.fstat(self._descriptor).st_size + room > self._size:
            self._rotate()

    def _current(self) -> bool:
        if self._descriptor < 0:
            return False
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _open(self) -> None:
        self._close()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        size = os.fstat(self._descriptor).st_size
        self._begun = b"\n" if size and os.pread(self._descriptor, 1, size - 1) != b"\n" else b""

    def _rotate(self) -> None:
        """Set the file aside, unless another process does so now."""
        with locks.free(self._path.with_name(f"{self._path.name}.lock")) as mine:
            if not mine:
                return
            if self._current():
                # The oldest one is replaced.
                for number in range(self._files - 1, 0, -1):
                    with contextlib.suppress(FileNotFoundError):
                        self._aside(number - 1).replace(self._aside(number))
            self._open()

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


class Audit:
    """Records calls in a journal. Its methods may be called from any thread, and never fail."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._refusals_by_caller = Buckets(bounds.AUDITED_REFUSALS.most)
        self._refusals_of_strangers = Buckets(bounds.AUDITED_STRANGERS.most)
        self._changes_by_project = Buckets(bounds.AUDITED_CHANGES.most / 60, burst=CHANGES_BURST)
        self._lock = threading.Lock()
        self._suppressed: Counter[Line] = Counter()
        self._summary: threading.Timer | None = None

    def record(self, client: str, response: Response, caller: Caller | None = None, key: str = "") -> None:
        """Record the call of `caller`, None where nobody is proven, if it was refused or changed something."""
        refused = bool(response.code) or response.status >= 400
        if response.reads and not refused:
            return
        user = caller.user_name if caller is not None else "-"
        project = caller.project_name if caller is not None else "-"
        key = (caller.key if caller is not None else key) or "-"
        action = response.action or "-"
        if refused and not self._may_refuse(client, caller):
            self._suppress(Line(client=client, user=user, code=REFUSED))
            return
        rate_key = caller.project if caller is not None else f"face {response.face}"
        if not refused and not self._changes_by_project.take(rate_key):
            self._suppress(Line(client=client, user=user, project=project, key=key, action=action))
            return
        line = Line(
            client=client,
            user=user,
            project=project,
            key=key,
            face=response.face or "-",
            action=action,
            status=response.status,
            code=response.code or "-",
            request=response.request or "-",
        )
        self._write(line)

    def close(self) -> None:
        """Write what was left out so far, and close the journal."""
        if self._summary is not None:
            self._summary.cancel()
        self._summarize()
        self._journal.close()

    def _may_refuse(self, client: str, caller: Caller | None) -> bool:
        """Whether there is room for the line of one more refusal."""
        if caller is not None:
            return self._refusals_by_caller.take(f"{caller.user} {caller.project}")
        return self._refusals_by_caller.take(client_network(client)) and self._refusals_of_strangers.take("")

    def _suppress(self, summary: Line) -> None:
        with self._lock:
            if summary not in self._suppressed and len(self._suppressed) >= COUNTED:
                summary = Line(code=summary.code)
            self._suppressed[summary] += 1
            if self._summary is None:
                timer = threading.Timer(SUMMARY, self._summarize)
                timer.daemon = True
                # The machine may have no thread left: a later call begins it.
                with contextlib.suppress(RuntimeError):
                    timer.start()
                    self._summary = timer

    def _summarize(self) -> None:
        with self._lock:
            suppressed, self._suppressed, self._summary = self._suppressed, Counter(), None
        for summary, count in suppressed.items():
            self._write(msgspec.structs.replace(summary, suppressed=count))

    def _write(self, line: Line) -> None:
        before = self._journal.lost
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._journal.append(msgspec.json.encode(msgspec.structs.replace(line, time=now)) + b"\n")
        if before == 0 and self._journal.lost:
            _log.warning("the audit log cannot be written", lost=self._journal.lost)
