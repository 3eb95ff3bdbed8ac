"""The parts that belong on this machine, from the store's rows, the host's orders and the domains' own statements.

Whatever any of the three still names is nobody's leftover: an order and its row go only after the body.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pileus.model.noun import Revision
from pileus.model.spec import InstanceSpec
from pileus.model.views import BookView, Held, StoreView


@dataclass(frozen=True)
class Expected:
    """One look. `store` is None while it cannot be asked; `marks` are the specs in the domains' metadata."""

    host: BookView
    store: StoreView | None = None
    marks: tuple[InstanceSpec, ...] = ()
    complete: bool = True
    """Whether `marks` are all there are: without libvirt nothing that a domain may use is a leftover."""

    @cached_property
    def specs(self) -> dict[str, InstanceSpec]:
        """Every spec that somebody holds, by instance; the order's before the domain's."""
        ordered = {uuid: order.spec for uuid, order in self.host.orders.items() if order.spec is not None}
        return {spec.uuid: spec for spec in self.marks} | ordered

    @cached_property
    def converged(self) -> dict[str, Held]:
        """The orders that are applied, unless the row of their instance has not converged."""
        rows = {row.uuid: row for row in self.store.instances} if self.store else {}
        return {
            uuid: order
            for uuid, order in self.host.orders.items()
            if order.spec is not None and order.applied == order.revision and (uuid not in rows or rows[uuid].settled)
        }

    @property
    def ports(self) -> set[str]:
        """The uuids of all ports that somebody names."""
        port_uuids = {nic.uuid for spec in self.specs.values() for nic in spec.nics}
        if self.store is not None:
            port_uuids |= {row.uuid for row in self.store.engine if row.kind == "port" and not row.gone}
        return port_uuids

    @property
    def networks(self) -> set[str]:
        """The uuids of all networks that some guest may be on."""
        return {nic.network for spec in self.specs.values() for nic in spec.nics}

    @property
    def served(self) -> set[str]:
        """The uuids of the networks that the host serves: those of its orders."""
        return {nic.network for order in self.host.orders.values() if order.spec for nic in order.spec.nics}

    def removed(self, uuid: str) -> Revision | None:
        """The order by which the instance `uuid` was confirmed gone, here or by its tombstone; None if it was not."""
        if uuid in self.host.removed:
            return self.host.removed[uuid]
        rows = self.store.instances if self.store is not None else ()
        return next((row.revision for row in rows if row.uuid == uuid and row.gone), None)
