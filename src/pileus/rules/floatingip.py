"""Floating addresses: free ones, their holders, and their views."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import msgspec

from pileus.model import addresses
from pileus.model.errors import Conflict
from pileus.model.floatingip import FloatingIp
from pileus.model.instance import Instance
from pileus.model.natgateway import NatGateway
from pileus.model.port import Port

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Place
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


POOL = "floating"
"""The pool in which addresses of the outside network are claimed, by routers and by floating addresses."""


class AddressView(msgspec.Struct, frozen=True, kw_only=True):
    """A floating address with the port that has it and that port's instance, None where there is none."""

    floating: FloatingIp
    port: Port | None = None
    instance: Instance | None = None


def free(tx: Reader, place: Place) -> str:
    """The lowest address of the outside network that nobody has; "" when there is none."""
    claimed_addresses = tx.taken(POOL)
    base = ipaddress.IPv4Network(place.floating_cidr).network_address
    every = (str(base + offset) for offset in addresses.floating(place.floating_cidr))
    return next((address for address in every if address not in claimed_addresses), "")


def within(place: Place, address: str) -> bool:
    """Whether `address` is one that routers and floating addresses may have, as the range is now."""
    try:
        return addresses.offset(place.floating_cidr, address) in addresses.floating(place.floating_cidr)
    except ValueError:
        return False


def in_use(floating: FloatingIp) -> Conflict:
    """The error for an address that something has."""
    text = f"Address {floating.assigned.address} is in use."
    return Conflict(text, noun=FloatingIp.KIND, ident=floating.uuid, reason="in-use")


def check_nat(tx: Reader, floating: FloatingIp) -> None:
    """Raise Conflict for the address of a NAT gateway."""
    if tx.claimed(NatGateway.KIND, floating.uuid):
        raise in_use(floating)


def leave(caller: Caller, tx: Writer, port: Port, addresses: Collection[str] | None = None) -> None:
    """Take floating addresses from `port`, as a part of another verb's transaction: all, or those for `addresses`.

    An empty one of these is the primary address.
    """
    for floating in tx.referring(FloatingIp, [port.uuid]):
        if floating.wanted.port == port.uuid and (addresses is None or floating.wanted.private in addresses):
            disassociated(caller, tx, floating)


def views_of(tx: Reader, floating_ips: Sequence[FloatingIp]) -> list[AddressView]:
    """The addresses with the ports that have them and those ports' instances, in order; two queries."""
    ports = tx.many(Port, [floating.wanted.port for floating in floating_ips if floating.wanted.port])
    instances = tx.many(Instance, [port.wanted.instance or "" for port in ports.values()])
    views = []
    for floating in floating_ips:
        port = ports.get(floating.wanted.port or "")
        instance = instances.get(port.wanted.instance or "") if port else None
        views.append(AddressView(floating=floating, port=port, instance=instance))
    return views


def disassociated(caller: Caller, tx: Writer, floating: FloatingIp) -> FloatingIp:
    """Take a floating address off its port, if it has one, and return it as it is then."""
    if floating.wanted.port:
        wake_holder(tx, floating.wanted.port)
    floating = tx.want(floating, msgspec.structs.replace(floating.wanted, port=None, association="", private=""))
    journal_change(caller, tx, floating, "disassociate")
    return floating


def wake_holder(tx: Writer, port: str) -> None:
    """Wake the instance of the port: its order, and so its metadata, names its floating address."""
    row = tx.get(Port, port)
    if row is not None and row.wanted.instance:
        tx.wake_all(Instance.KIND, [row.wanted.instance])


def journal_change(caller: Caller, tx: Writer, floating: FloatingIp, verb: str) -> None:
    """Write a change of a floating address into the journal, and wake its loop."""
    tx.add_journal_line(caller, floating, f"floatingip.{verb}", goal=floating.generation)
    tx.wake(floating)
