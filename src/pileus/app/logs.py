"""The logs of long-running processes: one JSON object a line, on standard output.

Keys: `time` (UTC, RFC 3339), `level`, `event`, and whatever belongs to it; `request` is the id of the request for whose
sake it was done, in the cloud and on its hosts alike.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections import Counter
from typing import Any

import msgspec
import structlog

from pileus.app.rates import Buckets, client_network
from pileus.model import bounds

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
"""The settings' words; requests that change nothing are told at debug alone."""

SUMMARY = 60.0
"""Seconds after which a line says how many lines were left out."""

NAMED = 20
"""Addresses, or other causes, that such a line names; all others are counted together."""

_ENCODER = msgspec.json.Encoder(enc_hook=str)


class Lines:
    """Writes each line whole, and without a buffer: nothing said is lost by `kill -9`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def msg(self, line: bytes) -> None:
        """Write `line`; a full disk keeps nobody from their work."""
        with contextlib.suppress(OSError):
            os.write(self._descriptor, line)

    debug = info = warning = error = critical = exception = msg


class Thrift:
    """Leaves out lines of refusals and of trouble beyond a rate, for each client and for all; a line counts them.

    Lines of a library count by its logger, and errors without a client by their text. Other lines are never left out.
    A processor of structlog's; it may be called from any thread.
    """

    def __init__(self, summary: float = SUMMARY) -> None:
        self._summary = summary
        self._each = Buckets(bounds.LOGGED_REFUSALS.most)
        self._all = Buckets(bounds.LOGGED_TROUBLE.most)
        self._lock = threading.Lock()
        self._left_out: Counter[str] = Counter()
        self._said = time.monotonic()

    def __call__(self, _logger: object, _method: str, event: Any) -> Any:
        """Return the line. Raises DropEvent where it is left out."""
        left_out = self._due()
        if left_out:
            log.warning("lines left out", count=left_out.total(), causes=dict(left_out))
        cause = _cause(event)
        if not cause or (self._each.take(cause) and self._all.take("")):
            return event
        with self._lock:
            self._left_out[cause if cause in self._left_out or len(self._left_out) < NAMED else "others"] += 1
        raise structlog.DropEvent

    def _due(self) -> Counter[str]:
        """Count the lines that were left out, once in a while."""
        with self._lock:
            now = time.monotonic()
            if not self._left_out or now - self._said < self._summary:
                return Counter()
            left_out, self._left_out, self._said = self._left_out, Counter(), now
            return left_out


def _cause(event: Any) -> str:
    """By what a line counts; empty: it is never left out."""
    trouble = event["level"] in ("warning", "error", "critical")
    if event.get("client"):
        return client_network(event["client"]) if trouble or event.get("status", 0) >= 400 else ""
    if event.get("logger"):
        return str(event["logger"])
    return str(event["event"]) if trouble and event["level"] != "warning" else ""


def configure(level: str) -> None:
    """Have all of this process's logging, libraries' included, come out so, from `level` on."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            Thrift(),
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            _line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: Lines(sys.stdout.fileno()),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Others()], level=logging.WARNING, force=True)


def _line(_logger: object, _method: str, event: Any) -> bytes:
    if event.get("request", "") is None:
        del event["request"]
    head = {key: event.pop(key) for key in ("time", "level", "event") if key in event}
    return _ENCODER.encode(head | event) + b"\n"


log = structlog.get_logger()


class _Others(logging.Handler):
    """Lines of libraries that log by the standard library, in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)
