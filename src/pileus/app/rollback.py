"""The end of a start that fails or is interrupted: what it started ends, and of a first start only its logs stay."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Protocol

from pileus.app import kits, processes
from pileus.app.removal import clear
from pileus.app.state import StateDirectory
from pileus.cli.problem import Problem
from pileus.posix.locks import locked

Say = Callable[[str], None]

_ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a command, beside SIGINT, by which Python raises KeyboardInterrupt."""

_IGNORED = (signal.SIGINT, *_ENDING)


class End(Protocol):
    """Ends the processes of a cloud, as `up.down` does."""

    def __call__(self, state: StateDirectory, *, instances: bool, say: Say) -> None:
        """End them. Raises Problem."""


class StartAttempt:
    """A start of `state`, which is undone if it fails."""

    def __init__(self, state: StateDirectory) -> None:
        self.state = state
        self.began = False
        self.first = False

    def begin(self) -> None:
        """Note what this start finds. Its holder has the lock of starts, and has started nothing yet.

        Before that lock another start may be under way, whose processes and files are not this one's to remove.
        """
        self.began = not _runs(self.state)
        self.first = begins(self.state)


@contextlib.contextmanager
def on_failure(state: StateDirectory, end: End, say: Say) -> Iterator[StartAttempt]:
    """Undo the start of `state` inside the block if the block fails, whatever it fails by; signals count as failures.

    A cloud of which a process ran before, or that another start began, is left as it is. Otherwise everything ends but
    instances that ran before. Of a first start, marker and logs alone remain, so that `status`, `down` and `purge` know
    the directory.
    """
    start = StartAttempt(state)
    with ended_by_signals():
        try:
            yield start
        except BaseException as error:
            with undisturbed():
                if start.began:
                    if not isinstance(error, Exception):
                        say("interrupted: ending what this start has begun")
                    _undo(state, end, say, first=start.first)
            raise


def _runs(state: StateDirectory) -> bool:
    """Whether a process of the cloud runs."""
    return any(processes.owner(state.pidfile(name)) is not None for name in ("supervisor", "cloud", "host"))


def ended_by_signals() -> contextlib.AbstractContextManager[None]:
    """Context manager: SIGTERM and SIGHUP raise SystemExit, so that what the block has begun is put away."""
    return _signals(dict.fromkeys(_ENDING, _exit))


def undisturbed() -> contextlib.AbstractContextManager[None]:
    """Context manager: ignores the signals that end a command, for as long as something is put away."""
    return _signals(dict.fromkeys(_IGNORED, signal.SIG_IGN))


def begins(state: StateDirectory) -> bool:
    """Whether no cloud or host has ever run in `state`: neither has written anything."""
    return not any(folder.is_dir() and any(folder.iterdir()) for folder in (state.cloud, state.host))


def _undo(state: StateDirectory, end: End, say: Say, *, first: bool) -> None:
    try:
        state.prepare()
        end(state, instances=first, say=say)
        if first:
            _forget(state)
    except (Problem, OSError) as error:
        say(f"{getattr(error, 'message', error)} 'pileus down --state {state.root}' ends what still runs.")


def _forget(state: StateDirectory) -> None:
    """Remove what a first start has made, but for its logs and what says that this is a cloud's directory."""
    kit = kits.of(state)
    if kit is None:
        return
    machine = kits.machine(kit, state)
    keep = {path.name for path in (state.log("cloud").parent, state.run, state.started, state.joined, state.identity)}
    with locked(state.run / "up.lock"), kits.as_problems():
        if _runs(state):
            # Of another start, which waited for the lock.
            return
        machine.release()
        clear(state, machine.names(), keep=keep)


def _exit(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


@contextlib.contextmanager
def _signals(
    handlers: dict[signal.Signals, Callable[[int, FrameType | None], None] | signal.Handlers],
) -> Iterator[None]:
    """Handle signals by `handlers` inside the block; nothing changes in a thread, which gets no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
