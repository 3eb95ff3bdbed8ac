"""The settings of our own hosts and their network engine."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pileus.model import addresses


def _says(text: str) -> Meta:
    return Meta(description=text)


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of our own hosts. Sizes in bytes."""

    southbound_listen: Annotated[
        str, _says("ADDRESS:PORT at which `pileus central` gives OVN's southbound database to them, by TLS")
    ] = ""
    southbound_certificate: Annotated[
        str,
        _says("what `pileus central` proves itself with there: a file with what `pileus certificate ADDRESS` printed"),
    ] = ""
    northbound: Annotated[
        str,
        _says(
            "OVN's northbound database, unix:PATH, for `pileus api` and `pileus loops`; empty: the one in their state "
            "directory"
        ),
    ] = ""
    tunnels: Annotated[
        str,
        _says(
            "INTERFACE=ADDRESS/PREFIX: the interface that a host that joined gives to its switch for what its guests "
            "say to those of other hosts, and its address there"
        ),
    ] = ""
    outside_interface: Annotated[
        str,
        _says(
            "the interface that the switch takes for the outside network, whose gateway is then outside of this "
            "machine, at the network's first address (`pileus up --outside`); none: the network ends in this machine; "
            "empty: as at the last start, at first none"
        ),
    ] = ""
    internet: Annotated[
        Literal["", "yes", "no"],
        _says(
            "yes: guests reach what this machine reaches (`pileus up --internet`); no: nothing outside of the cloud; "
            "empty: as at the last start, at first no"
        ),
    ] = ""
    internet_rate: Annotated[
        int,
        Meta(ge=10_000),
        _says("bytes a second that guests send by it, and that they receive, all of them together"),
    ] = 25_000_000
    resolv_conf: Annotated[
        str,
        _says(
            "a resolv.conf(5) whose resolvers are asked for names that are no guest's; /dev/null: none are; empty: "
            "/etc/resolv.conf where guests reach the internet, else none"
        ),
    ] = ""
    boot_restore: Annotated[
        bool, _says("start new guests as copies of one that has booted, where their image can (see docs/images.md)")
    ] = False
    template_cache: Annotated[
        int, Meta(ge=0), _says("bytes of disk for what guests are copied from, of all clouds of a machine")
    ] = 4 << 30
    image_cache: Annotated[
        int,
        Meta(ge=0),
        _says("bytes of images that a host keeps ready; those that instances lean on stay, however many"),
    ] = 50 << 30
    image_cache_entries: Annotated[
        int,
        Meta(ge=0),
        _says("files, folders and links of unpacked images that a host keeps ready; those in use stay"),
    ] = 1_000_000
    image_cache_folder: Annotated[Path, _says("where they are kept, for all clouds that name this folder")] = Path(
        "/var/lib/pileus/cache"
    )

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be used."""
        where = self.southbound_listen
        if where and (where.startswith("[") or not addresses.is_socket_address(where)):
            raise ValueError("southbound_listen is an IPv4 address of this machine and a port: 10.0.0.1:6642")
        if self.tunnels:
            name, _, address = self.tunnels.partition("=")
            if not name or "/" not in address:
                raise ValueError("tunnels is an interface, and its address with prefix: eth1=10.0.1.11/24")
            ipaddress.IPv4Interface(address)
