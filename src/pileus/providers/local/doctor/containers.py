"""Guests that are containers: what their folders say, looked at as domains are."""

from __future__ import annotations

from pileus.model.provider import BodyRef
from pileus.providers.local.container import guests, order
from pileus.providers.local.container.bases import Bases
from pileus.providers.local.container.nic import VethWire
from pileus.providers.local.container.provider import ContainerProvider
from pileus.providers.local.doctor.domains import Domain
from pileus.providers.local.doctor.folders import no_fetch
from pileus.providers.local.layout import Layout


def containers(layout: Layout) -> list[Domain]:
    """Every container of this cloud; a folder that says of none is one of `folders`. Raises OSError."""
    specs = [each.spec for each in order.orders(layout)]
    return [Domain(spec.uuid, spec.ec2_id, guests.monitor(layout, spec).running(), spec) for spec in specs]


def remove(layout: Layout, ref: BodyRef) -> bool:
    """Whether `ref` is a container; it is removed, unless it is by a later order. Raises Fault."""
    provider = ContainerProvider(layout, Bases(layout.bases, no_fetch), VethWire(layout))
    try:
        if not provider.holds(ref.uuid):
            return False
        provider.remove(ref)
    finally:
        provider.close()
    return True
