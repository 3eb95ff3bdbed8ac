"""The kit of our own hosts: machines and containers of this machine, and OVN's networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pileus.model.kit import (
    Central,
    CloudEngine,
    HostBody,
    HostRegister,
    HostServices,
    ImageBuilder,
    Kit,
    Machine,
    Site,
)
from pileus.providers.local.layout import SHARED
from pileus.providers.local.settings import LocalSettings


class LocalKit(Kit):
    """The kit of this provider. Each method imports what it needs: commands look at the kit alone."""

    name = "local"
    real = "instances, networks and images are real"
    needs_root = True
    own_process = True
    settings = LocalSettings
    shared: ClassVar[tuple[Path, ...]] = (SHARED,)

    def body(self, site: Site, services: HostServices) -> HostBody:
        """This machine's guests, over libvirt and LXC."""
        from pileus.providers.local.body import body_of  # noqa: PLC0415  (a host alone needs libvirt)

        return body_of(site, services)

    def engine(self, site: Site, *, shared: bool) -> CloudEngine:
        """OVN's northbound database."""
        from pileus.providers.local import prefix  # noqa: PLC0415  (the cloud alone writes to OVN)
        from pileus.providers.local.network.provider import NetworkProvider  # noqa: PLC0415  (the cloud alone)
        from pileus.providers.local.site import layout_of  # noqa: PLC0415  (the cloud alone)

        layout = layout_of(site)
        networks = NetworkProvider(site.settings.northbound or layout.northbound, gateway=layout.netns)
        return CloudEngine(networks, prefix.of(layout), networks.close)

    def machine(self, site: Site) -> Machine:
        """Open vSwitch's and OVN's daemons, libvirtd and lxcfs."""
        from pileus.providers.local.daemons import LocalMachine  # noqa: PLC0415  (needs root's libraries)

        return LocalMachine(site)

    def kept(self, site: Site) -> Mapping[str, str]:
        """The interfaces that come back when the switch ends, and whether there is an uplink."""
        from pileus.providers.local.site import fabric_of, has_uplink  # noqa: PLC0415  (starts alone)

        fabric = fabric_of(site)
        tunnels = f"{fabric.tunnels.interface}={fabric.tunnels.address}" if fabric.tunnels else ""
        options = {
            "tunnels": tunnels,
            "outside_interface": fabric.outside_interface,
            "internet": "yes" if has_uplink(site) else "",
        }
        return {name: value for name, value in options.items() if value}

    def registers(self, site: Site) -> Sequence[HostRegister]:
        """The chassis in OVN's southbound database, which is beside the northbound one that the settings name."""
        if not site.settings.northbound:
            return ()
        from pileus.providers.local.network.chassis import Chassis  # noqa: PLC0415  (the loops alone)

        return (Chassis(site.settings.northbound),)

    def central(self, site: Site) -> Central | None:
        """OVN's databases and northd."""
        from pileus.providers.local.central import LocalCentral  # noqa: PLC0415  (of one command)

        return LocalCentral(site)

    def builder(self) -> ImageBuilder | None:
        """Images from Debian packages."""
        from pileus.providers.local.images.builder import LocalImageBuilder  # noqa: PLC0415  (builds alone)

        return LocalImageBuilder()


KIT = LocalKit()
