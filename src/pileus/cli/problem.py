"""The message for a command that cannot do its work: one line that says what to do, never a traceback."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

from pileus.cli.mcc.plain import plain
from pileus.model import disk

_NOT_OURS = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG)
"""The errno values for a path that a person named wrongly; they are no fault of ours."""


class Problem(Exception):
    """A command ends with `status` after saying this."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def spoken(command: Callable[[], object]) -> None:
    """Run `command`: what cannot be done is said in one line, and this process ends."""
    try:
        command()
    except Problem as problem:
        # A message may have names that other users chose.
        lines = map(plain, problem.message.split("\n"))
        sys.stderr.write("pileus: " + "\n".join(lines) + "\n")
        sys.exit(problem.status)
    except OSError as error:
        message = words(error)
        if not message:
            raise
        sys.stderr.write(f"pileus: {message}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def words(error: OSError) -> str:
    """Return the message for a disk that fails, or a path that is not the user's; empty for a fault of ours."""
    trouble = disk.trouble(error)
    if trouble:
        where = f"{error.filename} cannot be written: " if error.filename else ""
        return f"{where}{disk.WORDS[trouble]}. Mend that, and repeat the command."
    if error.errno not in _NOT_OURS or not isinstance(error.filename, str):
        return ""
    if isinstance(error, PermissionError):
        return f"{error.filename} is not yours to use: use sudo, or another --state."
    return f"{error.filename} cannot be used: {error.strerror}."
