"""The steps of `up` and `down` for a cloud on our own hosts: its engine, its libvirtd, its host process, its images."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable
from pathlib import Path

from pileus.app import processes
from pileus.app.machine import fabric_of, layout_of
from pileus.app.state import StateDirectory
from pileus.app.supervise import ProcessDeclaration
from pileus.cli.problem import Problem
from pileus.model.errors import Fault
from pileus.providers.local import prefix
from pileus.providers.local.container import guests as containers
from pileus.providers.local.container import lxcfs, monitor
from pileus.providers.local.engine import chassis, control
from pileus.providers.local.engine.daemons import daemons
from pileus.providers.local.machine import daemon
from pileus.providers.local.machine.daemon import libvirtd

CLOUD_USER = "pileus"
"""The user of the cloud process."""

IMAGES = Path("/var/lib/pileus/images")
"""Built images, shared between clouds: NAME.qcow2 or NAME.tar.zst, and NAME.json."""

Say = Callable[[str], None]


def begin(state: StateDirectory, say: Say) -> None:
    """Start the daemons, and give the cloud's user its folder."""
    try:
        entry = pwd.getpwnam(CLOUD_USER)
    except KeyError as error:
        raise Problem(f"There is no system user '{CLOUD_USER}': run bin/setup first.") from error
    group = grp.getgrgid(entry.pw_gid).gr_gid
    os.chown(state.cloud, entry.pw_uid, group, follow_symlinks=False)
    # The group may pass to the sockets in it; root alone makes them.
    os.chown(state.channels.parent, 0, group)
    state.channels.parent.chmod(0o710)
    layout = layout_of(state)
    try:
        prefix.take(layout)
        pids = parts(state)
        if None in (pids[process.name] for process in daemons(layout, fabric=fabric_of(state))):
            say("starting the network engine")
        chassis.up(layout, fabric=fabric_of(state))
        if pids["libvirtd"] is None:
            say("starting libvirtd")
        daemon.up(layout)
        if monitor.available() and (why := lxcfs.up(layout)):
            say(f"containers will see this machine's memory and processors: lxcfs does not run ({why})")
    except Fault as fault:
        raise Problem(f"{fault.code}: {fault.message}") from fault


def host(state: StateDirectory, say: Say) -> None:
    """Start the host process unless it runs."""
    if processes.owner(state.pidfile("host")) is not None:
        return
    say("starting the host")
    child = processes.execute(host_command(state), state.log("host"))
    processes.await_held(state.pidfile("host"), child, state.log("host"))


def host_command(state: StateDirectory) -> list[str]:
    """The command that is the host process."""
    return processes.pileus("host", "run", "--state", str(state.root), "--group", CLOUD_USER)


def supervised(state: StateDirectory) -> list[ProcessDeclaration]:
    """Return the processes to supervise beside the cloud, in the order of starting."""
    layout = layout_of(state)
    declarations = [
        ProcessDeclaration(
            process.name,
            process.argv,
            str(process.pidfile),
            str(process.output),
            at=str(process.at),
            question=process.question,
        )
        for process in (*daemons(layout, fabric=fabric_of(state)), libvirtd(layout))
    ]
    if _shows_figures():
        declarations.append(
            ProcessDeclaration(lxcfs.NAME, lxcfs.argv(layout), str(lxcfs.pidfile(layout)), str(lxcfs.output(layout)))
        )
    host = ProcessDeclaration(
        "host", tuple(host_command(state)), str(state.pidfile("host")), str(state.log("host")), at=str(state.channels)
    )
    return [*declarations, host]


def end(state: StateDirectory, *, instances: bool, say: Say) -> None:
    """Once nothing of ours runs: end the guests if asked to; without guests, the daemons and namespaces too."""
    layout = layout_of(state)
    try:
        count = len(daemon.guests(layout)) + len(containers.running(layout))
        if count and instances:
            say(f"ending {count} instances")
            containers.end_all(layout)
            daemon.end_guests(layout)
        elif count:
            say(f"{count} instances run on, with libvirtd and the network engine (--instances ends them)")
            return
        say("ending libvirtd and the network engine")
        lxcfs.down(layout)
        daemon.down(layout)
        chassis.down(layout, fabric=fabric_of(state))
    except Fault as fault:
        raise Problem(f"{fault.code}: {fault.message}") from fault


def parts(state: StateDirectory) -> dict[str, int | None]:
    """The daemons' pids, None for one that does not run."""
    layout = layout_of(state)
    figures = {lxcfs.NAME: lxcfs.pid(layout)} if _shows_figures() else {}
    return {"libvirtd": daemon.pid(layout), **figures, **chassis.status(layout, fabric_of(state))}


def _shows_figures() -> bool:
    """Whether this machine can run containers, and what shows them their own figures."""
    return monitor.available() and lxcfs.available()


def silent(state: StateDirectory) -> list[str]:
    """The daemons that run, perhaps, and do not answer."""
    layout = layout_of(state)
    silent_names = [
        process.name
        for process in daemons(layout, fabric=fabric_of(state))
        if not control.answers(layout, process.name)
    ]
    return silent_names if daemon.answers(layout) else [*silent_names, "libvirtd"]
