"""A machine that joined a cloud: its switch in the cloud's networks, its libvirtd and its host process."""

from __future__ import annotations

import os
from collections.abc import Callable

from pileus.app import joining, processes, supervise
from pileus.app.settings import Settings
from pileus.app.state import State, read_json, write_json
from pileus.cli.problem import Problem
from pileus.providers.local.engine.fabric import Fabric, Tls, Tunnels

STARTED = ("tunnels", "outside_interface")
"""Settings that are kept from the start on: by them the interfaces come back when it ends."""

Say = Callable[[str], None]


def fabric(state: State, chosen: Settings) -> Fabric:
    """The machine's part in the networks: a switch that is called as the host. Raises Problem for want of a setting."""
    cloud = joining.joined(state)
    if cloud is None:
        raise Problem(f"{state.joined} does not say which cloud this machine belongs to: have it join anew.")
    kept = read_json(state.started) or {}
    tunnels, outside = (getattr(chosen, name) or str(kept.get(name, "")) for name in STARTED)
    southbound = chosen.southbound or cloud.southbound
    if not tunnels:
        raise Problem("PILEUS_TUNNELS=INTERFACE=ADDRESS/PREFIX has to say how this host reaches the others' guests.")
    if not southbound:
        raise Problem("The cloud did not say where OVN's southbound database is: set PILEUS_SOUTHBOUND, here or there.")
    name, _, address = tunnels.partition("=")
    own = joining.papers(state)
    return Fabric(
        chassis=cloud.name,
        central=False,
        southbound=southbound,
        tls=Tls(key=own.own, certificate=own.own, ca=own.authority),
        tunnels=Tunnels(name, address),
        outside=cloud.floating_cidr or chosen.floating_cidr,
        outside_interface=outside,
    )


def up(state: State, chosen: Settings, say: Say) -> str:
    """Start what of this host does not run; in words, what it is then. Raises Problem; needs root."""
    from pileus.app import local  # noqa: PLC0415  (it asks here for the fabric)

    if os.geteuid() != 0:
        raise Problem("Running machines needs root: use sudo.")
    state.prepare()
    part = fabric(state, chosen)
    with processes.alone(state.run / "up.lock"):
        kept = {"tunnels": f"{part.tunnels.interface}={part.tunnels.address}" if part.tunnels else ""}
        write_json(state.started, {"provider": "local", **kept, "outside_interface": part.outside_interface})
        local.begin(state, say)
        local.host(state, say)
        if processes.owner(state.pidfile("supervisor")) is None:
            with supervise.starting(state, local.supervised(state), -1):
                pass
    return _standing(state, part.chassis)


def _standing(state: State, name: str) -> str:
    cloud = joining.joined(state)
    if cloud is None:
        return f"{name} is a host of no cloud"
    try:
        refusal = joining.refusal(state, cloud)
    except (Problem, OSError) as trouble:
        return f"{name} runs what it was ordered. {getattr(trouble, 'message', trouble)}"
    return refusal or f"{name} is a host of the cloud at {cloud.url}"
