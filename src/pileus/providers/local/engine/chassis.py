"""Starts, checks and stops the network engine of one cloud as a whole."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import subprocess
import threading
from pathlib import Path

from pileus.model.errors import Fault
from pileus.posix import locks, processes
from pileus.posix.files import write_file
from pileus.providers.local.engine.daemons import daemons, enter
from pileus.providers.local.engine.fabric import Fabric, alone
from pileus.providers.local.engine.root import ROOT
from pileus.providers.local.layout import Layout

CLOUD_GROUP = "pileus"
"""The group of the unprivileged cloud process, which writes the northbound database."""

_NAMESPACES = Path("/run/netns")
_READY = 20.0
_STOP = 5.0


def up(layout: Layout, fabric: Fabric | None = None) -> None:
    """Start what does not run, and return when all of it serves. Raises Fault; needs root.

    Idempotent: a daemon that runs is left alone, and what a killed one left behind is no obstacle. `fabric` is this
    machine's part in the cloud's networks; without it the machine has all of them to itself.
    """
    if not (ROOT / "usr/bin/ovn-northd").exists():
        raise Fault("NetworkEngineMissing", f"{ROOT} holds no OVN; bin/setup makes it", permanent=True)
    fabric = fabric or alone(layout)
    prepare(layout, fabric)
    with _alone(layout):
        for daemon in daemons(layout, fabric):
            if why := daemon.start(_READY):
                raise Fault("NetworkEngineFailed", why)
            if daemon.name == "southbound" and fabric.listen:
                _listen(layout, fabric.listen)


def prepare(layout: Layout, fabric: Fabric | None = None) -> None:
    """Make the folders and the network namespace that the daemons start in; idempotent. Raises Fault.

    The user `pileus` may pass `engine` and open the sockets in `engine/nb`; all else is root's. Interfaces that
    `fabric` gives to the switch move into the namespace.
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
    if fabric is not None:
        _give(layout, fabric)


def _give(layout: Layout, fabric: Fabric) -> None:
    """The files and interfaces that the daemons have of this machine."""
    give_papers(layout, fabric)
    for interface in fabric.interfaces:
        if not _has(layout, interface):
            _ip("link", "set", interface, "netns", layout.netns)
        _ip("-n", layout.netns, "link", "set", interface, "up")


def unfit(layout: Layout, fabric: Fabric) -> str:
    """Why this machine cannot give the outside interface away, in words; "" where it can, or where it has done so."""
    name = fabric.outside_interface
    if (_NAMESPACES / layout.netns).exists() and _has(layout, name):
        return ""
    shown = subprocess.run(["ip", "-json", "address", "show", "dev", name], capture_output=True, check=False)
    if shown.returncode:
        return f"There is no interface {name} here: 'ip link' lists those that --outside can name."
    (link,) = json.loads(shown.stdout)
    if "LOOPBACK" in link["flags"]:
        return f"{name} is the loopback interface: --outside needs one that leads to the outside network."
    own = [entry["local"] for entry in link["addr_info"] if entry["scope"] == "global"]
    if own:
        text = "which it would lose: give --outside an interface without addresses."
        return f"{name} has an address of this machine ({', '.join(own)}), {text}"
    return ""


def give_papers(layout: Layout, fabric: Fabric) -> None:
    """Copy keys and certificates to where the daemons see them; those that run take what has changed."""
    if fabric.tls is None:
        return
    folder = layout.engine / "tls"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, source in (("key", fabric.tls.key), ("certificate", fabric.tls.certificate), ("ca", fabric.tls.ca)):
        write_file(folder / f"{name}.pem", source.read_bytes())


def _has(layout: Layout, interface: str) -> bool:
    completed = subprocess.run(
        ["ip", "-n", layout.netns, "link", "show", "dev", interface], capture_output=True, check=False
    )
    return completed.returncode == 0


def _listen(layout: Layout, address: str) -> None:
    """Have the southbound database heard at `address`, by controllers that may write what is their own alone."""
    command = ("ovn-sbctl", "--db=unix:/srv/run/ovnsb_db.sock", "--timeout=10", "--inactivity-probe=20000")
    rows = ("set-connection", "role=ovn-controller", address)
    done = subprocess.run(enter(layout, *command, *rows), capture_output=True, text=True, check=False, timeout=20)
    if done.returncode:
        raise Fault("NetworkEngineFailed", f"the southbound database does not listen: {done.stderr.strip()}")


def status(layout: Layout, fabric: Fabric | None = None) -> dict[str, int | None]:
    """Each daemon's pid, None for one that does not run."""
    return {daemon.name: processes.owner(daemon.pidfile) for daemon in daemons(layout, fabric=fabric)}


def down(layout: Layout, fabric: Fabric | None = None) -> None:
    """Stop all daemons, remove every network namespace of this cloud; the databases stay.

    The interfaces that `fabric` gave to the switch come back.
    """
    if layout.engine.exists():
        with _alone(layout):
            for daemon in reversed(daemons(layout)):
                pid = processes.owner(daemon.pidfile)
                if pid is not None:
                    processes.stop(pid, _STOP)
    if _NAMESPACES.exists():
        for interface in fabric.interfaces if fabric is not None else []:
            if _has(layout, interface):
                _ip("-n", layout.netns, "link", "set", interface, "netns", str(threading.get_native_id()))
        for namespace in sorted(_NAMESPACES.glob(f"{layout.netns}*")):
            _ip("netns", "delete", namespace.name)


def _alone(layout: Layout) -> contextlib.AbstractContextManager[None]:
    return locks.alone(layout.engine / "run", "chassis.lock")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Fault("NetworkEngineFailed", f"ip {' '.join(arguments)}: {done.stderr.strip()}")
