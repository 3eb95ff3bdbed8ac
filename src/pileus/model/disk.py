"""Classify an OSError of a disk: its text in words and a stable slug; pure."""

from __future__ import annotations

import errno

FULL = "disk-full"
READ_ONLY = "read-only"
FAILED = "disk-error"

WORDS = {
    FULL: "the disk is full",
    READ_ONLY: "the file system is read-only",
    FAILED: "the disk does not work",
}
"""Slug → what is wrong, as the end of a sentence."""

_OF = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EFBIG: FULL,  # the process's own limit on the size of files
    errno.EROFS: READ_ONLY,
    errno.EIO: FAILED,
    errno.EUCLEAN: FAILED,
}


def trouble(error: BaseException | None) -> str:
    """The slug of what is wrong with the disk; empty for an error that speaks of none."""
    return _OF.get(error.errno or 0, "") if isinstance(error, OSError) else ""
