"""How a machine's switch is joined to those of other machines, and to the outside network; as data."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from pileus.model import addresses
from pileus.providers.local.layout import Layout


@dataclass(frozen=True)
class OvnTlsFiles:
    """PEM files with which the daemons prove who they are, and by which they know the others."""

    key: Path
    certificate: Path
    ca: Path


@dataclass(frozen=True)
class Tunnels:
    """A network interface that is given to the switch for tunnels to other machines, and its address (with prefix)."""

    interface: str
    address: str

    @property
    def ip(self) -> str:
        """The address alone: the tunnels' end."""
        return str(ipaddress.IPv4Interface(self.address).ip)


@dataclass(frozen=True)
class Fabric:
    """This machine's part in the cloud's networks.

    `chassis` is the switch's name among all. `central` machines run OVN's databases and northd, those that `switches`
    run a switch and a controller for guests. `southbound` is where the controller finds its database, empty for the
    one here; `listen` the address at which that is given to other machines' controllers, by `tls`. `outside_interface`
    is given to the switch and leads to the outside network `outside`, whose gateway is there; without one this machine
    itself is the gateway, in the cloud's namespace. `outside_ipv6` is the same for IPv6: all that guests have is in it.
    """

    chassis: str
    central: bool = True
    switches: bool = True
    southbound: str = ""
    listen: str = ""
    tls: OvnTlsFiles | None = None
    tunnels: Tunnels | None = None
    outside: str = addresses.OUTSIDE
    outside_ipv6: str = addresses.IPV6
    outside_interface: str = ""

    @property
    def interfaces(self) -> list[str]:
        """The machine's interfaces that the switch has to itself."""
        names = [self.tunnels.interface if self.tunnels else "", self.outside_interface]
        return [name for name in names if name]


def alone(
    layout: Layout,
    outside: str = addresses.OUTSIDE,
    outside_ipv6: str = addresses.IPV6,
    outside_interface: str = "",
) -> Fabric:
    """That of a cloud on one machine: everything is here, but for the gateway behind an `outside_interface`."""
    return Fabric(chassis=layout.netns, outside=outside, outside_ipv6=outside_ipv6, outside_interface=outside_interface)
