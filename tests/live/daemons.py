"""The daemons of a cloud that only a test has: they end with all that they kept."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from pileus.providers.local.engine import chassis
from pileus.providers.local.guestnet import packetrate
from pileus.providers.local.guestnet.namespaces import run_in
from pileus.providers.local.machine import daemon

if TYPE_CHECKING:
    from pileus.providers.local.engine.fabric import Fabric
    from pileus.providers.local.layout import Layout

SOUTHBOUND_PORT = 6642
"""Where controllers reach OVN's southbound database (IANA's ovsdb-sb)."""


def purge_engine(layout: Layout, fabric: Fabric | None = None) -> None:
    """End the network engine, and remove its databases."""
    chassis.down(layout, fabric)
    shutil.rmtree(layout.engine, ignore_errors=True)


def purge_libvirtd(layout: Layout) -> None:
    """End libvirtd, whose guests have ended, and remove its folders."""
    daemon.down(layout)
    assert daemon.guests(layout) == []
    shutil.rmtree(layout.libvirt, ignore_errors=True)


def packet_rate(namespace: str, interface: str) -> int:
    """The packets a second that `interface` passes on at most; 0: all."""
    name = run_in(namespace, lambda: packetrate.attached(interface))
    return int(name.rpartition("_")[2] or 0)
