"""What the long-running processes say: one JSON object a line, on standard output.

Keys: `time` (UTC, RFC 3339), `level`, `event`, and whatever belongs to it; `request` is the id of the request for whose
sake it was done, in the cloud and on its hosts alike.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import Any

import msgspec
import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
"""The settings' words; requests that change nothing are told at debug alone."""

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


def configure(level: str) -> None:
    """Have all of this process's logging, libraries' included, come out so, from `level` on."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
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


class _Others(logging.Handler):
    """Lines of libraries that log by the standard library, in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        log = structlog.get_logger()
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)
