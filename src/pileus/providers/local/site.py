"""This machine as a cloud has it: where things are kept, and its part in the networks, all or one among others."""

from __future__ import annotations

from pileus.model.errors import InvalidValue
from pileus.model.kit import Site
from pileus.providers.local.engine.fabric import Fabric, OvnTlsFiles, Tunnels, alone
from pileus.providers.local.layout import Layout


def layout_of(site: Site) -> Layout:
    """Where this cloud keeps its things, as the settings have it."""
    return Layout(site.state, cache=site.settings.image_cache_folder)


def fabric_of(site: Site) -> Fabric:
    """This machine's part in the cloud's networks, as the settings have it, or what it was told when it joined."""
    if site.joined is not None:
        return joined_fabric(site)
    return alone(layout_of(site), site.floating_cidr, site.ipv6_cidr, _outside_interface(site))


def _outside_interface(site: Site) -> str:
    """The interface that the switch has for the outside network, "" for none: as set now, else as at the last start."""
    name: str = site.settings.outside_interface or site.kept.get("outside_interface", "")
    return "" if name == "none" else name


def has_uplink(site: Site) -> bool:
    """Whether guests reach what this machine reaches: as set now, else as at the last start."""
    return (site.settings.internet or site.kept.get("internet", "")) == "yes"


def joined_fabric(site: Site) -> Fabric:
    """The machine's part in the networks: a switch that is called as the host. InvalidValue for want of a setting."""
    cloud = site.joined
    if cloud is None:
        raise InvalidValue(f"{site.state} has not joined a cloud.")
    tunnels = site.settings.tunnels or site.kept.get("tunnels", "")
    southbound = site.southbound or cloud.southbound
    if not tunnels:
        raise InvalidValue(
            "PILEUS_TUNNELS=INTERFACE=ADDRESS/PREFIX has to say how this host reaches the others' guests."
        )
    if not southbound:
        text = "The cloud did not say where OVN's southbound database is: set PILEUS_SOUTHBOUND, here or there."
        raise InvalidValue(text)
    name, _, address = tunnels.partition("=")
    return Fabric(
        chassis=cloud.name,
        central=False,
        southbound=southbound,
        tls=OvnTlsFiles(key=cloud.own, certificate=cloud.own, ca=cloud.authority),
        tunnels=Tunnels(name, address),
        outside=cloud.floating_cidr or site.floating_cidr,
        outside_ipv6=cloud.ipv6_cidr or site.ipv6_cidr,
        outside_interface=_outside_interface(site),
    )
