"""What a person is told when a command cannot do its work: one line that says what to do, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

from pileus.model import disk


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
        sys.stderr.write(f"pileus: {problem.message}\n")
        sys.exit(problem.status)
    except OSError as error:
        told = disk.trouble(error)
        if not told:
            raise
        where = f"{error.filename} cannot be written: " if error.filename else ""
        sys.stderr.write(f"pileus: {where}{disk.WORDS[told]}. Mend that, and repeat the command.\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
