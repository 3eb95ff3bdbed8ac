"""Has a cloud's process begin by a fork of the command that starts it, which has loaded all that the process needs.

It is the same code from the same words, with the same descriptors, folder and environment, in a session of its own:
what is saved is loading it. What looks for a process by its command line needs the other way.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING

import pileus.app.cloud  # noqa: F401
from pileus.app import entry, processes

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

ENTRY = processes.module(entry.__name__)
_execute = processes.execute


class Child:
    """A process that was forked, as far as those look at it who start one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status, once it has ended."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


def execute(argv: Sequence[str], log: Path, *, keep: Sequence[int] = ()) -> subprocess.Popen[bytes] | Child:
    """As `processes.execute`, for a cloud's process."""
    if list(argv[: len(ENTRY)]) != ENTRY:
        return _execute(argv, log, keep=keep)
    pid = os.fork()
    if pid:
        return Child(pid)
    status = 1
    try:
        _become(argv[len(ENTRY) :], log, keep)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  (as the interpreter does)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _become(words: Sequence[str], log: Path, keep: Sequence[int]) -> None:
    os.setsid()
    os.chdir("/")
    log_descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log_descriptor, 1), (log_descriptor, 2)):
        os.dup2(source, target)
    last = 2
    for number in sorted(keep):
        os.closerange(last + 1, number)
        last = number
    os.closerange(last + 1, os.sysconf("SC_OPEN_MAX"))
    variables = processes.environment(database=True)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = [entry.__name__, *words]
    entry.main()
