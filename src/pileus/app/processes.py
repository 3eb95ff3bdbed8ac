"""Processes of one cloud: at most one of each, found by a lock that cannot outlive them, ended by pid."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pileus.cli.problem import Problem
from pileus.posix.processes import hold, owner, send, stop, until

__all__ = ["hold", "owner", "send", "stop", "until"]  # for those who use this module too

_PIDFD_GETFD = 438
"""The system call of pidfd_getfd(2), the same number on every architecture."""


STORE, LDAP_PASSWORD = "PILEUS_STORE", "PILEUS_LDAP_PASSWORD"
"""The setting that may hold a password."""

_SECRETS = ("_TOKEN", "_PASSWORD", "_SECRET")
"""The ends of the names of settings that hold secrets."""

_DATABASE = frozenset({"cloud", "pileus.app.supervise"})
"""Words of the commands of those who use the database, and of who starts them again."""


def module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours, with nothing taken from the environment's Python settings."""
    return [sys.executable, "-I", "-m", name, *arguments]


def pileus(*arguments: str) -> list[str]:
    """The command `pileus ARGUMENTS`."""
    return module("pileus.app.main", *arguments)


def execute(argv: Sequence[str], log: Path, *, keep: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start `argv` detached from this terminal, saying what it says into `log`; `keep` are descriptors."""
    with log.open("ab") as log_file:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=keep,
            cwd="/",
            env=environment(database=not _DATABASE.isdisjoint(argv)),
        )


def inherited(pid: int, option: str) -> int | None:
    """A copy of the descriptor that `pid` was given as `option` on its command line; None where it cannot be had.

    Needs the right to trace it (ptrace(2)), which root has.
    """
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        number = int(words[words.index(option) + 1])
        handle = os.pidfd_open(pid)
    except (OSError, ValueError, IndexError):
        return None
    try:
        copy: int = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, handle, number, 0)
    finally:
        os.close(handle)
    return copy if copy >= 0 else None


def await_held(pidfile: Path, child: subprocess.Popen[bytes], log: Path, seconds: float = 60.0) -> None:
    """Until the child holds its pid file, by which it is found from then on. Problem when it ends instead."""
    try:
        in_time = until(lambda: child.poll() is not None or owner(pidfile) is not None, seconds, 0.002)
    except BaseException:
        # Nobody could find it before it holds its pid file.
        child.kill()
        raise
    if child.returncode is not None or not in_time:
        raise Problem(f"The {pidfile.stem} did not start; {log} ends:\n{tail(log)}")
    child.returncode = 0  # it is meant to outlive this process


def holds_secret(variable: str) -> bool:
    """Whether the name of a variable says that it holds a secret."""
    return variable.endswith(_SECRETS)


def environment(*, database: bool = False) -> dict[str, str]:
    """The environment of a daemon: its settings and the search path, nothing else of whoever starts it.

    The database's URL, which has a password, and secrets of faces are for those alone who use the `database`.
    """
    variables = {name: value for name, value in os.environ.items() if name.startswith("PILEUS_")}
    if not database:
        secrets = {STORE, *filter(holds_secret, variables)}
        if len(secrets) > 1:
            from pileus.app import faces  # noqa: PLC0415  (dear, and few settings are secret)

            secrets &= {STORE, LDAP_PASSWORD, *faces.variables()}
        variables = {name: value for name, value in variables.items() if name not in secrets}
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **variables}


def tail(log: Path, lines: int = 5) -> str:
    """The last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            last_lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join(last_lines[-lines:])
