"""The interfaces that a running guest gains or loses: which ones, from the last order to the next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pileus.model.spec import InstanceSpec, NicSpec


class Moving(NamedTuple):
    """The NICs that come, and the uuids of the ports that go.

    A provider writes the uuids of both down before it begins: what a crash leaves half done is begun anew.
    """

    new: tuple[NicSpec, ...]
    gone: frozenset[str]

    @property
    def uuids(self) -> frozenset[str]:
        """The ports that come or go."""
        return self.gone | {nic.uuid for nic in self.new}


NOTHING = Moving((), frozenset())
"""No NIC comes or goes."""


def between(old: InstanceSpec, spec: InstanceSpec, begun: Iterable[str]) -> Moving:
    """The NICs that come or go from one order to the next; the ports that have `begun` to before may be half there."""
    half = frozenset(begun)
    old_ports = {nic.uuid for nic in old.nics}
    new_ports = {nic.uuid for nic in spec.nics}
    new = tuple(nic for nic in spec.nics if nic.uuid not in old_ports or nic.uuid in half)
    return Moving(new, frozenset((old_ports | half) - new_ports))
