"""This machine as a cloud has it: where things are kept, and its part in the networks, all or one among others."""

from __future__ import annotations

from pileus.app import joining, settings
from pileus.app.settings import Settings
from pileus.app.state import StateDirectory
from pileus.cli.problem import Problem
from pileus.posix.files import read_json
from pileus.providers.local.engine.fabric import Fabric, OvnTlsFiles, Tunnels, alone
from pileus.providers.local.layout import Layout

STARTED = ("tunnels", "outside_interface")
"""Settings that are kept from the start on: by them the interfaces come back when it ends."""


def layout_of(state: StateDirectory) -> Layout:
    """Where this cloud keeps its things, as the settings have it."""
    return Layout(state.root, cache=settings.read().image_cache_folder)


def fabric_of(state: StateDirectory) -> Fabric:
    """This machine's part in the cloud's networks, as the settings have it, or what it was told when it joined."""
    if state.joined.exists():
        return joined_fabric(state, settings.read())
    return alone(layout_of(state), settings.read().floating_cidr)


def joined_fabric(state: StateDirectory, chosen: Settings) -> Fabric:
    """The machine's part in the networks: a switch that is called as the host. Raises Problem for want of a setting."""
    cloud = joining.joined(state)
    if cloud is None:
        raise Problem(f"{state.joined} does not say which cloud this machine belongs to: have it join anew.")
    start_options = read_json(state.started) or {}
    tunnels, outside = (getattr(chosen, name) or str(start_options.get(name, "")) for name in STARTED)
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
        tls=OvnTlsFiles(key=own.own, certificate=own.own, ca=own.authority),
        tunnels=Tunnels(name, address),
        outside=cloud.floating_cidr or chosen.floating_cidr,
        outside_interface=outside,
    )
