"""NICs of a running machine: plugged in, and taken from its guest, which has to agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import libvirt

from pileus.model.errors import Fault
from pileus.providers.local.machine.domain import nic_xml

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.spec import NicSpec
    from pileus.providers.local.layout import Layout
    from pileus.providers.local.machine.hypervisor import Hypervisor
    from pileus.providers.local.wire import Wire

_LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE


class Hotplug:
    """Changes the NICs of domains that run. Everything is idempotent and raises Fault."""

    def __init__(self, layout: Layout, hypervisor: Hypervisor, wire: Wire) -> None:
        self._layout = layout
        self._hypervisor = hypervisor
        self._wire = wire

    def plug(self, domain: Any, nics: Iterable[NicSpec], packets: int) -> None:
        """The domain has these NICs."""
        interfaces = self._interfaces(domain)
        for nic in nics:
            tap = self._wire.plug(nic, packets)
            if tap not in interfaces:
                self._hypervisor.call(domain.attachDeviceFlags, nic_xml(nic, tap), _LIVE)

    def cut(self, ports: Iterable[str]) -> None:
        """Packets of these ports, by uuid, pass no more, whatever their guest does."""
        for port in ports:
            self._wire.cut(port)

    def unplug(self, domain: Any, ports: Iterable[str]) -> None:
        """The domain has no NICs of these ports. Raises Fault `InterfaceBusy` while its guest holds on to one."""
        interfaces = self._interfaces(domain)
        for port in sorted(ports):
            tap = self._layout.tap(port)
            if tap in interfaces:
                self._hypervisor.call(domain.detachDeviceFlags, interfaces[tap], _LIVE)
                if tap in self._interfaces(domain):
                    raise Fault("InterfaceBusy", f"the guest has not let go of the interface at {tap}")
            self._wire.unplug(port)

    def _interfaces(self, domain: Any) -> dict[str, str]:
        """The NICs of a domain as it runs, by TAP."""
        root = ET.fromstring(self._hypervisor.call(domain.XMLDesc, 0))  # noqa: S314  (from our own libvirtd)
        xml_by_tap = {}
        for interface in root.iterfind("devices/interface"):
            target = interface.find("target")
            if target is not None:
                xml_by_tap[target.get("dev", "")] = ET.tostring(interface, encoding="unicode")
        return xml_by_tap
