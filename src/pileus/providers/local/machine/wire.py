"""How a machine's NICs reach its networks: TAPs plugged into the integration bridge."""

from __future__ import annotations

from pileus.model.errors import Fault
from pileus.model.spec import NicSpec
from pileus.providers.local.engine import switch
from pileus.providers.local.guestnet import packetrate
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import tap


class TapWire:
    """TAPs in this cloud's namespace on its bridge, each bound to its OVN logical port by the port's uuid.

    They are always called `layout.tap(port)`.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def plug(self, nic: NicSpec, packets: int) -> str:
        """The name of the TAP, which is up. Raises Fault: NetworkUnavailable, TapFailed, and those of the switch."""
        name = self._layout.tap(nic.uuid)
        tap.make(self._layout.netns, name, nic.mtu)
        self.bound(nic, packets)
        switch.attach(self._layout, name, nic.uuid)
        return name

    def bound(self, nic: NicSpec, packets: int) -> None:
        """See Wire. Raises Fault `TapFailed`."""
        packetrate.limit(self._layout.netns, self._layout.tap(nic.uuid), packets)

    def cut(self, port: str) -> None:
        """See Wire."""
        switch.detach(self._layout, self._layout.tap(port))

    def unplug(self, port: str) -> None:
        """See Wire. The TAP goes first: a switch that does not answer must not keep a guest's end alive."""
        name = self._layout.tap(port)
        try:
            tap.remove(self._layout.netns, name)
        except Fault as fault:
            if fault.code != "NetworkUnavailable":
                raise
        switch.detach(self._layout, name)
