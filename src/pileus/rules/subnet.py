"""Subnets: the place of a range among those of its network and its router."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model import addresses
from pileus.model.errors import InvalidValue
from pileus.model.subnet import Subnet
from pileus.rules.routetable import subnets_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.router import Router
    from pileus.store.reader import Reader


def subnets_on(tx: Reader, network: str) -> list[Subnet]:
    """The living subnets of a network (by uuid)."""
    return [subnet for subnet in tx.referring(Subnet, [network]) if not subnet.wanted.gone]


def check_place(tx: Reader, router: Router, cidr: str) -> None:
    """Whether a range is the router's, and no subnet of it has a part of it. Raises InvalidValue."""
    if not any(addresses.inside(cidr, own) for own in router.cidrs):
        text = f"The range '{cidr}' is in none of the ranges of {router.label}: {', '.join(router.cidrs)}."
        raise InvalidValue(text, noun=Subnet.KIND, ident=cidr, reason="range")
    check_apart(cidr, subnets_of(tx, router.uuid))


def check_apart(cidr: str, subnets: Iterable[Subnet]) -> None:
    """Whether a range overlaps with none of these subnets. Raises InvalidValue."""
    for other in subnets:
        if addresses.overlap(cidr, other.wanted.cidr):
            text = f"The range '{cidr}' overlaps with that of {other.label}, {other.wanted.cidr}."
            raise InvalidValue(text, noun=Subnet.KIND, ident=cidr, reason="overlap")
