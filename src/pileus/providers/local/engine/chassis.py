"""Starts, checks and stops the network engine of one cloud as a whole."""

from __future__ import annotations

import contextlib
import fcntl
import grp
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from pileus.model import addresses
from pileus.model.errors import Fault
from pileus.providers.local.engine import process
from pileus.providers.local.engine.daemons import Daemon, daemons
from pileus.providers.local.engine.root import ROOT
from pileus.providers.local.layout import Layout

CLOUD_GROUP = "pileus"
"""The group of the unprivileged cloud process, which writes the northbound database."""

_NAMESPACES = Path("/run/netns")
_READY = 20.0
_STOP = 5.0
_POLL = 0.004


def up(layout: Layout, root: Path = ROOT, outside: str = addresses.OUTSIDE) -> None:
    """Start what does not run, and return when all of it serves. Raises Fault; needs root.

    Idempotent: a daemon that runs is left alone, and what a killed one left behind is no obstacle. `outside` is the
    range of the outside network, whose gateway this machine is, inside the cloud's namespace.
    """
    if not (root / "usr/bin/ovn-northd").exists():
        raise Fault("NetworkEngineMissing", f"{root} holds no OVN; bin/setup makes it", permanent=True)
    prepare(layout)
    with _alone(layout):
        for daemon in daemons(layout, root, outside):
            pid = process.owner(daemon.pidfile)
            _await(daemon, start(daemon) if pid is None else pid)


def prepare(layout: Layout) -> None:
    """Make the folders and the network namespace that the daemons start in; idempotent.

    The user `pileus` may pass `engine` and open the sockets in `engine/nb`; all else is root's.
    """
    layout.engine.mkdir(parents=True, exist_ok=True)
    layout.engine.chmod(0o711)
    for name in ("run", "db", "log"):
        folder = layout.engine / name
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
    north = layout.engine / "nb"
    north.mkdir(exist_ok=True)
    with contextlib.suppress(KeyError):
        os.chown(north, 0, grp.getgrnam(CLOUD_GROUP).gr_gid)
    # New sockets take the folder's group.
    north.chmod(0o2750)
    namespace = _NAMESPACES / layout.netns
    if namespace.exists() and namespace.stat().st_dev == _NAMESPACES.stat().st_dev:
        namespace.unlink()  # nothing is mounted on it: what made it was killed half way
    if not namespace.exists():
        _ip("netns", "add", layout.netns)
    _ip("-n", layout.netns, "link", "set", "lo", "up")


def start(daemon: Daemon) -> int:
    """Start `daemon`, which must not run; its pid. Does not wait for it to be ready."""
    return process.spawn(list(daemon.argv), daemon.output)


def status(layout: Layout) -> dict[str, int | None]:
    """Each daemon's pid, None for one that does not run."""
    return {daemon.name: process.owner(daemon.pidfile) for daemon in daemons(layout)}


def down(layout: Layout, *, purge: bool = False) -> None:
    """Stop all daemons, remove every network namespace of this cloud; with `purge` the databases too."""
    if layout.engine.exists():
        with _alone(layout):
            for daemon in reversed(daemons(layout)):
                pid = process.owner(daemon.pidfile)
                if pid is not None:
                    process.stop(pid, _STOP)
    if _NAMESPACES.exists():
        for namespace in sorted(_NAMESPACES.glob(f"{layout.netns}*")):
            _ip("netns", "delete", namespace.name)
    if purge:
        shutil.rmtree(layout.engine, ignore_errors=True)


@contextlib.contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    run = layout.engine / "run"
    run.mkdir(mode=0o700, exist_ok=True)
    with (run / "chassis.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _await(daemon: Daemon, pid: int) -> None:
    until = time.monotonic() + _READY
    # A killed daemon lets go of its pid file moments before its socket: the answer must be the new one's.
    while process.owner(daemon.pidfile) is None or not daemon.ready():
        if process.ended(pid) and process.owner(daemon.pidfile) is None:
            raise Fault("NetworkEngineFailed", f"{daemon.name} ended while starting: {_tail(daemon)}")
        if time.monotonic() > until:
            raise Fault("NetworkEngineFailed", f"{daemon.name} is not ready in time: {_tail(daemon)}")
        time.sleep(_POLL)


def _tail(daemon: Daemon) -> str:
    said = [path for path in (daemon.output, daemon.output.with_suffix(".log")) if path.exists()]
    lines = [line for path in said for line in path.read_text(errors="replace").splitlines()[-3:]]
    return " | ".join(lines) or "it said nothing"


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Fault("NetworkEngineFailed", f"ip {' '.join(arguments)}: {done.stderr.strip()}")
