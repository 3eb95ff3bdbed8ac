"""`pileus run`: a command against a cloud that is made for it and removed after it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pileus.app import kits
from pileus.app.rollback import undisturbed
from pileus.app.state import StateDirectory
from pileus.app.up import down, silent, up
from pileus.cli import shells
from pileus.cli.problem import Problem

NOT_FOUND = 127
"""The exit status of a shell for a command that does not exist."""


def run(provider: str, command: Sequence[str], say: Callable[[str], None]) -> int:
    """Run `command` with the environment of a new cloud; its exit status, 128 and more for one that a signal ended."""
    if not (shutil.which(command[0]) or Path(command[0]).exists()):
        raise _not_found(command[0])
    # What ends this process must not leave the cloud behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    root = Path(tempfile.mkdtemp(prefix="pileus-run-"))
    state = StateDirectory(root)
    root.chmod(0o755)
    kit = kits.load(provider or kits.THROWAWAY)
    # What takes no time needs no words.
    quiet = say if kit.needs_root else silent
    try:
        up(state, kit.name, None, quiet)
        if kits.builds_images(state):
            from pileus.app.build import add_all  # noqa: PLC0415  (few clouds are given images)

            add_all(root, quiet)
        return _wait(command, state)
    finally:
        with undisturbed():
            _remove(state, quiet)


def _wait(command: Sequence[str], state: StateDirectory) -> int:
    variables = {name: value for name, value in os.environ.items() if name not in shells.REMOVED}
    try:
        child = subprocess.Popen(command, env={**variables, **shells.environment(state.root)})
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


def _remove(state: StateDirectory, say: Callable[[str], None]) -> None:
    if state.started.exists():
        down(state, instances=True, say=say)
    shutil.rmtree(state.root, ignore_errors=True)
