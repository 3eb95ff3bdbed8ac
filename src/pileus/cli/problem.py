"""What a person is told when a command cannot do its work: one line that says what to do, never a traceback."""

from __future__ import annotations


class Problem(Exception):
    """A command ends with `status` after saying this."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
