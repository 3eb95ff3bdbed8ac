"""`pileus purge`: ends everything of one cloud and removes its state directory; nothing else of the machine's."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import typer

from pileus.app import processes, settings
from pileus.app.state import StateDirectory
from pileus.app.up import down
from pileus.cli.problem import Problem
from pileus.posix.files import read_json
from pileus.posix.locks import locked
from pileus.providers.local.layout import SHARED, Layout

PATIENCE = 10.0
"""Seconds that the kernel may take to let go of the guests' last cgroups."""

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
    local = (read_json(state.started) or {}).get("provider") == "local"
    with locked(state.run / "up.lock"):
        running = [name for name in ("supervisor", "cloud", "host") if processes.owner(state.pidfile(name)) is not None]
        if running:
            raise Problem(f"The {running[0]} runs again: nothing was removed.")
        layout = Layout(state.root, cache=settings.read().image_cache_folder)
        if local:
            _release(layout)
        say(f"removing {state.root}")
        try:
            _remove(state)
        finally:
            if local:
                _forget(layout)


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
    for place in (Path.home().resolve(), SHARED, Path(sys.prefix).resolve(), Path(__file__).resolve()):
        if place.is_relative_to(real):
            raise Problem(f"{root} holds {place}, which is not a cloud's: nothing was removed.")
    if (read_json(state.started) or {}).get("provider") not in ("local", "stub"):
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


def _release(layout: Layout) -> None:
    """Have the guests' cgroup gone, which the kernel empties a little after their death; give up addresses, users."""
    from pileus.providers.local import prefix  # noqa: PLC0415  (a stub's user has no such provider)
    from pileus.providers.local.container import ranges  # noqa: PLC0415  (a stub's user has no such provider)
    from pileus.providers.local.machine import cgroups  # noqa: PLC0415  (a stub's user has no such provider)

    def gone() -> bool:
        cgroups.remove(layout)
        return cgroups.partition(layout) is None

    if not processes.until(gone, PATIENCE, 0.05):
        raise Problem(f"The cgroup of {layout.netns} is still in use: processes of this cloud run; try again.")
    prefix.free(layout)
    ranges.free(layout)


def _forget(layout: Layout) -> None:
    """Remove the unpacked images that this cloud alone used."""
    from pileus.providers.local.container.bases import Bases  # noqa: PLC0415  (a stub's user has no such provider)
    from pileus.providers.local.doctor.folders import no_fetch  # noqa: PLC0415  (a stub's user has no such provider)

    try:
        Bases(layout.bases, no_fetch).forget(layout.containers)
    except OSError as error:
        raise Problem(f"Images in {layout.bases} cannot be removed: {error}.") from error


def _names(state: StateDirectory) -> set[str]:
    """Return the names that a cloud may have at the top of its directory: the first word of each path in its code."""
    top_names = {state.log("cloud").parent.name}
    for place in (state, Layout(state.root)):
        for name, value in vars(type(place)).items():
            path = getattr(place, name) if isinstance(value, property) else None
            if isinstance(path, Path) and path.is_relative_to(state.root):
                top_names.add(path.relative_to(state.root).parts[0])
    return top_names


def _remove(state: StateDirectory) -> None:
    top_names = _names(state)
    files = {f".{name}." for name in top_names if name.endswith(".json")}  # what a killed process was about to rename
    last = state.started.name
    try:
        for entry in sorted(os.scandir(state.root), key=lambda entry: (entry.name == last, entry.name)):
            if entry.name not in top_names and not any(entry.name.startswith(name) for name in files):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                Path(entry.path).unlink()
    except OSError as error:
        raise Problem(f"{error.filename} cannot be removed: {error.strerror}; try again.") from error
    remaining_names = sorted(os.listdir(state.root))  # noqa: PTH208  (names, not paths)
    if remaining_names:
        raise Problem(f"The cloud is gone; {state.root} stays, for it also holds {', '.join(remaining_names[:5])}.")
    try:
        state.root.rmdir()
    except OSError as error:
        raise Problem(f"The cloud is gone; {state.root} itself cannot be removed: {error.strerror}.") from error
