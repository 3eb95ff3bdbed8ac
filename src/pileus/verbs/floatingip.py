"""Floating addresses: addresses of the outside network that projects keep and give to their instances."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from pileus.model import addresses

if TYPE_CHECKING:
    from pileus.store.reader import Reader
    from pileus.verbs.core import Place

POOL = "floating"
"""The pool in which addresses of the outside network are claimed, by routers and by floating addresses."""


def free(tx: Reader, place: Place) -> str:
    """The lowest address of the outside network that nobody has; "" when there is none."""
    taken = {value for _, value, _ in tx.claims(pool=POOL)}
    base = ipaddress.IPv4Network(place.floating_cidr).network_address
    every = (str(base + offset) for offset in addresses.floating(place.floating_cidr))
    return next((address for address in every if address not in taken), "")
