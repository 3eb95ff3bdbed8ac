"""A machine that joined a cloud: its switch in the cloud's networks, its libvirtd and its host process."""

from __future__ import annotations

import os
from collections.abc import Callable

from pileus.app import joining, local, machine, processes, supervise
from pileus.app.settings import Settings
from pileus.app.state import StateDirectory
from pileus.cli.problem import Problem
from pileus.posix.files import write_json
from pileus.posix.locks import locked

Say = Callable[[str], None]


def up(state: StateDirectory, chosen: Settings, say: Say) -> str:
    """Start what of this host does not run; in words, what it is then. Raises Problem; needs root."""
    if os.geteuid() != 0:
        raise Problem("Running machines needs root: use sudo.")
    state.prepare()
    part = machine.joined_fabric(state, chosen)
    with locked(state.run / "up.lock"):
        tunnel_options = {"tunnels": f"{part.tunnels.interface}={part.tunnels.address}" if part.tunnels else ""}
        write_json(
            state.started, {"provider": "local", **tunnel_options, "outside_interface": part.outside_interface}, 0o644
        )
        local.begin(state, say)
        local.host(state, say)
        if processes.owner(state.pidfile("supervisor")) is None:
            with supervise.starting(state, local.supervised(state), -1):
                pass
    return _standing(state, part.chassis)


def _standing(state: StateDirectory, name: str) -> str:
    cloud = joining.joined(state)
    if cloud is None:
        return f"{name} is a host of no cloud"
    try:
        refusal = joining.refusal(state, cloud)
    except (Problem, OSError) as trouble:
        return f"{name} runs what it was ordered. {getattr(trouble, 'message', trouble)}"
    return refusal or f"{name} is a host of the cloud at {cloud.url}"
