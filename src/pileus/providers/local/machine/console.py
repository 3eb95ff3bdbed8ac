"""The log of a guest's serial line, kept small on disk while QEMU goes on appending to it."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

LIMIT = 4 << 20
"""Bytes on disk beyond which the log is trimmed: a guest can write as much as it likes."""

KEPT = 1 << 20
"""Bytes at the end that trimming leaves."""

_PUNCH_HOLE = 3
"""FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE (fallocate(2))."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def trim(path: Path) -> None:
    """Give back the disk space of all but the last `KEPT` bytes once the log takes more than `LIMIT`.

    Offsets stay as they are: what was given back reads as zero bytes. A file system without holes loses the end too.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        log_stat = os.fstat(descriptor)
        if log_stat.st_blocks * 512 <= LIMIT:
            return
        if _libc.fallocate(descriptor, _PUNCH_HOLE, 0, max(0, log_stat.st_size - KEPT)):
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
