"""A container's interfaces: veth pairs, one end plugged into the integration bridge just as a machine's TAP is."""

from __future__ import annotations

from pileus.model.errors import Fault
from pileus.model.spec import NicSpec
from pileus.providers.local.container import veth
from pileus.providers.local.engine import switch
from pileus.providers.local.guestnet import packetrate
from pileus.providers.local.layout import Layout


class VethWire:
    """Pairs in this cloud's namespace on its bridge, each bound to its OVN logical port by the port's uuid."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def plug(self, nic: NicSpec, packets: int) -> str:
        """The name of the container's end, which nobody has yet.

        A pair that is whole stays; half of one is what an ended container left.
        """
        name, inside = self._layout.tap(nic.uuid), inner(nic.uuid)
        if not {name, inside} <= veth.names(self._layout.netns):
            if name in switch.ports(self._layout):
                # One that vanishes and is back before the switch has seen it is lost to it.
                switch.detach(self._layout, name)
                switch.settle(self._layout)
            veth.remove(self._layout.netns, name)
            veth.make(self._layout.netns, name, inside, nic.mac, nic.mtu)
        self.bound(nic, packets)
        switch.attach(self._layout, name, nic.uuid)
        return inside

    def give(self, nic: NicSpec, packets: int, init: int) -> None:
        """The container whose first process is `init` has the NIC as `ethN`, up, with its address. Raises Fault."""
        name, inside = self._layout.tap(nic.uuid), inner(nic.uuid)
        names = veth.names(self._layout.netns)
        if name in names and inside not in names:
            if veth.settle_inside(init, inside, nic):
                self.bound(nic, packets)
                switch.attach(self._layout, name, nic.uuid)
                return
            # Its other end is in no container: half of a pair.
            self.unplug(nic.uuid)
        self.plug(nic, packets)
        veth.hand_over(self._layout.netns, inside, init)
        if not veth.settle_inside(init, inside, nic):
            raise Fault("TapFailed", f"{inside} does not come to the container")

    def bound(self, nic: NicSpec, packets: int) -> None:
        """See Wire. Raises Fault `TapFailed`."""
        packetrate.limit(self._layout.netns, self._layout.tap(nic.uuid), packets)

    def cut(self, port: str) -> None:
        """See Wire."""
        switch.detach(self._layout, self._layout.tap(port))

    def unplug(self, port: str) -> None:
        """See Wire. The pair goes first: a switch that does not answer must not keep a guest's end alive."""
        name = self._layout.tap(port)
        veth.remove(self._layout.netns, name)
        switch.detach(self._layout, name)


def inner(port: str) -> str:
    """The container's end of a pair while no container has it, by the port's uuid (at most 15 characters)."""
    return f"ctr{port.replace('-', '')[:11]}"
