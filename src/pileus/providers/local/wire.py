"""How an instance's NICs reach its networks, whatever kind of instance it is."""

from __future__ import annotations

from typing import Protocol

from pileus.model.spec import NicSpec


class Wire(Protocol):
    """Connects NICs to the integration bridge. Everything is idempotent and raises Fault."""

    def plug(self, nic: NicSpec, packets: int) -> str:
        """The name of the interface for `nic` that its guest takes over: part of its network, bounded as by `bound`."""

    def bound(self, nic: NicSpec, packets: int) -> None:
        """The guest at `nic` sends `packets` a second at most; 0: without a bound."""

    def cut(self, port: str) -> None:
        """No packet of the port with uuid `port` passes any more, though its guest may have the interface still."""

    def unplug(self, port: str) -> None:
        """The port with uuid `port` has no interface any more, and no trace on the bridge."""
