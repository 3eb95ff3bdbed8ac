"""`pileus purge`: ends everything of one cloud and removes its state directory; nothing else of the machine's."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import typer

from pileus.app import kits, processes
from pileus.app.removal import clear
from pileus.app.state import StateDirectory
from pileus.app.up import down
from pileus.cli.problem import Problem
from pileus.posix.locks import locked

Say = Callable[[str], None]


def purge(state: StateDirectory, *, yes: bool, say: Say) -> None:
    """End the cloud of `state` with its instances, and remove all of it; asks first unless `yes`.

    Removed are the names that a cloud gives, links as links; whatever else lies in the directory stays, with it.
    Safe to repeat: what tells that this is a cloud's directory goes last. Raises Problem.
    """
    _check(state)
    if not yes:
        _ask(state)
    state.prepare()  # a purge that was killed half way may have left no folder to lock in
    down(state, instances=True, say=say)
    with locked(state.run / "up.lock"):
        running = [name for name in ("supervisor", "cloud", "host") if processes.owner(state.pidfile(name)) is not None]
        if running:
            raise Problem(f"The {running[0]} runs again: nothing was removed.")
        kit = kits.of(state)
        machine = kits.machine(kit, state) if kit is not None else None
        with kits.as_problems():
            if machine is not None:
                machine.release()
            say(f"removing {state.root}")
            try:
                _remove(state, machine.names() if machine is not None else set())
            finally:
                if machine is not None:
                    machine.forget()


def _check(state: StateDirectory) -> None:
    """Problem unless `state` is a cloud's own directory, whose files nobody else can have laid there."""
    root = state.root
    try:
        root_stat = os.lstat(root)
    except OSError as error:
        raise Problem(f"There is no cloud in {root}: {error.strerror}.") from error
    if not stat.S_ISDIR(root_stat.st_mode):
        raise Problem(f"{root} is no directory (a link is not followed): nothing was removed.")
    real = root.resolve()
    shared = [folder for kit in kits.every() for folder in kit.shared]
    for place in (Path.home().resolve(), *shared, Path(sys.prefix).resolve(), Path(__file__).resolve()):
        if place.is_relative_to(real):
            raise Problem(f"{root} holds {place}, which is not a cloud's: nothing was removed.")
    if kits.of(state) is None:
        raise Problem(f"{root} holds no cloud (no {state.started.name}): nothing was removed.")
    if root_stat.st_uid != os.geteuid():
        raise Problem(f"{root} belongs to another user: nothing was removed.")
    if root_stat.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Problem(f"Other users may write into {root}: chmod go-w it first; nothing was removed.")
    mounted = next(_mounts_below(real), None)
    if mounted is not None:
        raise Problem(f"A file system is mounted on {mounted}: unmount it first; nothing was removed.")


def _mounts_below(real: Path) -> Iterator[str]:
    for line in Path("/proc/self/mounts").read_bytes().splitlines():
        # Blanks in names are written in octal (proc_pid_mounts(5)).
        point = os.fsdecode(line.split()[1].decode("unicode_escape").encode("latin-1"))
        if point != str(real) and Path(point).is_relative_to(real):
            yield point


def _ask(state: StateDirectory) -> None:
    if not sys.stdin.isatty():
        raise Problem("Nobody is here to be asked whether to remove everything: say --yes.")
    question = f"End the cloud in {state.root}, and remove it with all its instances, disks and images?"
    if not typer.confirm(question, err=True):
        raise Problem("Nothing was removed.")


def _remove(state: StateDirectory, names: set[str]) -> None:
    """Remove what the cloud's processes made, the `names` that its provider gave, and the directory if it is empty."""
    clear(state, names)
    remaining_names = sorted(os.listdir(state.root))  # noqa: PTH208  (names, not paths)
    if remaining_names:
        raise Problem(f"The cloud is gone; {state.root} stays, for it also holds {', '.join(remaining_names[:5])}.")
    try:
        state.root.rmdir()
    except OSError as error:
        raise Problem(f"The cloud is gone; {state.root} itself cannot be removed: {error.strerror}.") from error
