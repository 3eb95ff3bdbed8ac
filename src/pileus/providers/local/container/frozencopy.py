"""Copies a container's disk while its file system holds still: a program of its own, which ends what it began.

`python -m pileus.providers.local.container.frozencopy MARKER SOURCE TARGET [MOUNTED]`. MARKER is made before the file
system is frozen, locked by this process, and removed once the file system goes on. SOURCE and TARGET are files. MOUNTED
is the descriptor of a folder of the file system in SOURCE, of a container that runs. The caller may die meanwhile.
Writes to the file system wait until it is copied.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
import time
from pathlib import Path

from pileus.posix import locks
from pileus.providers.local.container import sparse

FREEZE, THAW = 0xC0045877, 0xC0045878
"""FIFREEZE and FITHAW of <linux/fs.h>: written data is in the file, and no more is written; it goes on."""

LONGEST = 120.0
"""Seconds that a container may wait."""

SLOW, FULL = 3, 4
"""Exit statuses: not copied in time, and no room."""


def main() -> int:
    """Copy as the command line says; an exit status."""
    marker, source, target = (Path(word) for word in sys.argv[1:4])
    mounted = int(sys.argv[4]) if len(sys.argv) > 4 else None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    lock = locks.take(marker)
    try:
        if mounted is not None:
            freeze(mounted)
        try:
            sparse.copy(source, target, time.monotonic() + LONGEST)
        finally:
            if mounted is not None:
                thaw(mounted)
    except TimeoutError as error:
        return _end(SLOW, error)
    except OSError as error:
        return _end(FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else 1, error)
    finally:
        marker.unlink(missing_ok=True)
        os.close(lock)
    return 0


def freeze(mounted: int) -> None:
    """Have the file system hold still; one that does already was left so, and is made to again. Raises OSError."""
    try:
        fcntl.ioctl(mounted, FREEZE, 0)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        thaw(mounted)
        fcntl.ioctl(mounted, FREEZE, 0)


def thaw(mounted: int) -> None:
    """Have the file system go on; nothing where it does. Raises OSError."""
    try:
        fcntl.ioctl(mounted, THAW, 0)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def _end(status: int, error: Exception) -> int:
    sys.stderr.write(f"{error}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
