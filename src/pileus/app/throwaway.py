"""Clouds that a program starts for itself: `pileus.cloud()`, and `pileus run` for a command."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from pileus.app import kits, processes, reaper
from pileus.app.state import StateDirectory
from pileus.cli import shells
from pileus.cli.account import CloudAccount
from pileus.cli.client import documents, trusted
from pileus.cli.problem import Problem

NOT_FOUND = 127
"""The exit status of a shell for a command that does not exist."""

START = 600.0
"""Seconds that a cloud may take until it runs and has its images."""

END = 120.0
"""Seconds that a cloud may take until it is removed."""


class ThrowawayCloud:
    """A cloud in a directory of its own, which ends with this process at the latest.

    Another process, the reaper, starts and removes the cloud, so that the cloud is removed when this process is killed.
    Raises Problem where the cloud does not start.
    """

    def __init__(self, provider: str = "") -> None:
        kit = kits.load(provider or kits.THROWAWAY)
        self.provider = kit.name
        self.real = kit.real
        self.state = Path(tempfile.mkdtemp(prefix="pileus-run-"))
        # The cloud's system user has to find its own folder there.
        self.state.chmod(0o755)
        self._program = os.getpid()
        self._numbers = itertools.count(1)
        self._reaper, self._orders, answers = _reaper(self.state, self.provider)
        try:
            with answers:
                _await_start(answers)
            endpoints, admin = documents(self.state)
            self._endpoints = endpoints
            self.account = self._account(admin)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the cloud, which is removed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the cloud."""
        self.close()

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which AWS clients, the mcc tools and `pileus` find the cloud."""
        return shells.environment(self.state)

    def client(self, service: str) -> Any:
        """A boto3 client of the cloud's administrator, for a service such as `ec2`. Raises Problem without boto3."""
        return self.account.client(service)

    def project(self, name: str = "") -> CloudAccount:
        """Make a project and its user. By default the name is `project-NUMBER`. Raises Problem.

        The project sees no instances, networks and keys of other projects. Images and flavors are the cloud's.
        """
        body = {"name": name or f"project-{next(self._numbers)}"}
        return self._account(self.account.rest.post("users", body=body))

    def close(self) -> None:
        """End the cloud with its instances, and remove its directory. Safe to repeat. Raises Problem."""
        if os.getpid() != self._program:
            return  # a fork of the program; the cloud is not its own
        with contextlib.suppress(BrokenPipeError, ValueError), self._orders:
            # Not by closing alone: forks of the program have this end of the pipe, too.
            self._orders.write(b"end\n")
        try:
            self._reaper.wait(END)
        except subprocess.TimeoutExpired:
            self._reaper.kill()
            self._reaper.wait()
        if self.state.exists():
            # The reaper was killed.
            reaper.remove(StateDirectory(self.state))

    def _account(self, keys: dict[str, Any]) -> CloudAccount:
        names = ("project", "access_key", "secret_key", "token")
        return CloudAccount(**{name: keys[name] for name in names}, endpoints=self._endpoints, ca=trusted(self.state))


def _reaper(state: Path, provider: str) -> tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]:
    """Start a reaper; return the process with the ends of its standard input and output."""
    words = ("--state", str(state), "--provider", provider, "--program", str(os.getpid()))
    process = subprocess.Popen(
        processes.module(reaper.__name__, *words),
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # ^C in a terminal is for the program alone.
        start_new_session=True,
    )
    if process.stdin is None or process.stdout is None:
        raise AssertionError("these are pipes")
    return process, process.stdin, process.stdout


def _await_start(answers: IO[bytes]) -> None:
    """Wait until the cloud runs. Raises Problem where it does not."""
    poll = select.poll()
    poll.register(answers, select.POLLIN)
    if not poll.poll(START * 1000):
        raise Problem(f"The cloud did not start within {START:.0f} s.")
    line = answers.readline()
    if not line:
        raise Problem("The process that starts the cloud ended; its last words are on standard error.")
    if problem := json.loads(line)["problem"]:
        raise Problem(problem)


def run(provider: str, command: Sequence[str], say: Callable[[str], None]) -> int:
    """Run `command` with the environment of a new cloud; its exit status, 128 and more for one that a signal ended."""
    if not (shutil.which(command[0]) or Path(command[0]).exists()):
        raise _not_found(command[0])
    # What ends this process must not leave the cloud behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ThrowawayCloud(provider) as cloud:
        say(f"a cloud over '{cloud.provider}' is at {cloud.account.endpoint} for {command[0]}: {cloud.real}")
        return _wait(command, cloud.environment)


def _wait(command: Sequence[str], environment: dict[str, str]) -> int:
    variables = {name: value for name, value in os.environ.items() if name not in shells.REMOVED}
    try:
        child = subprocess.Popen(command, env={**variables, **environment})
    except FileNotFoundError as error:
        raise _not_found(command[0]) from error
    except PermissionError as error:
        raise Problem(f"{command[0]} may not be run.", NOT_FOUND - 1) from error
    # The terminal tells the child of ^C as well; what it does then decides.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT,)}
    before[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        status = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def _not_found(name: str) -> Problem:
    return Problem(f"{name}: command not found.", NOT_FOUND)
