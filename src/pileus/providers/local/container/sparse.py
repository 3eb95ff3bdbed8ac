"""Files of holes mostly."""

from __future__ import annotations

import errno
import math
import os
import time
from pathlib import Path

_STEP = 16 << 20


def copy(source: Path, target: Path, until: float = math.inf) -> None:
    """Copy a file over one that is there, holes as holes, before `until` (monotonic seconds).

    Raises OSError, TimeoutError.
    """
    with source.open("rb") as read, target.open("r+b") as write:
        size, at = os.fstat(read.fileno()).st_size, 0
        write.truncate(0)
        write.truncate(size)
        while at < size:
            try:
                at = os.lseek(read.fileno(), at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # no more data
                    return
                raise
            end = os.lseek(read.fileno(), at, os.SEEK_HOLE)
            while at < end:
                if time.monotonic() > until:
                    raise TimeoutError(f"{at >> 20} of {size >> 20} MiB are copied, and the time is up")
                at += os.copy_file_range(read.fileno(), write.fileno(), min(_STEP, end - at), at, at)
