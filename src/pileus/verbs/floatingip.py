"""Floating addresses: addresses of the outside network that projects keep and give to their instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model import addresses
from pileus.model.errors import Conflict, InvalidValue, Malformed, NoCapacity, NotFound
from pileus.model.floatingip import Assigned, FloatingIp, Wanted
from pileus.model.ids import new_ec2, new_uuid
from pileus.model.instance import Instance
from pileus.model.port import Port
from pileus.rules import find
from pileus.rules import port as port_rules
from pileus.rules.floatingip import (
    POOL,
    AddressView,
    check_nat,
    disassociated,
    free,
    in_use,
    journal_change,
    leave,
    views_of,
    wake_holder,
    within,
)
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.model.noun import Noun
    from pileus.rules.core import Core, Place
    from pileus.store.reader import Reader


@requires("member")
def allocate(
    caller: Caller, core: Core, tags: Mapping[str, str] | None = None, requested_address: str = ""
) -> FloatingIp:
    """Keep an address for the project: `requested_address`, or the lowest free one if it is empty.

    Raises QuotaExceeded, NoCapacity when none is left, InvalidValue for an address that cannot be had.
    """
    with core.store.write() as tx:
        address = _asked(tx, core.place, requested_address) if requested_address else free(tx, core.place)
        if not address:
            raise NoCapacity("The outside network has no free address left.", noun=FloatingIp.KIND, reason="floating")
        floating = FloatingIp(
            uuid=new_uuid(),
            project=caller.project,
            tags=dict(tags or {}),
            wanted=Wanted(),
            assigned=Assigned(address=address),
        )
        floating = tx.add(floating)
        journal_change(caller, tx, floating, "allocate")
        return floating


def _asked(tx: Reader, place: Place, address: str) -> str:
    if not within(place, address):
        raise InvalidValue(f"The address '{address}' is not one of this cloud's.", ident=address, reason="address")
    if tx.claimed(POOL, address):
        raise InvalidValue(f"The address '{address}' is in use.", ident=address, reason="address-in-use")
    return address


@requires("member")
def associate(
    caller: Caller,
    core: Core,
    uuid: str = "",
    address: str = "",
    *,
    instance: str = "",
    port: str = "",
    private: str = "",
    reassociate: bool = True,
) -> FloatingIp:
    """Give the floating address (by uuid, or by `address` itself) to an instance's only port, or to `port`, by uuid.

    It stands for the port's address `private`, the primary one if that is empty. An address that another port, or
    another private address, has moves only with `reassociate`. Another one for that private address becomes unused.
    Raises Unavailable where that one cannot be read, Conflict, InvalidValue, NotFound.
    """
    with core.store.write() as tx:
        floating = _one(caller, tx, uuid, address)
        target = _target(caller, tx, instance, port)
        private = "" if private == target.assigned.address else private
        if private and private not in target.assigned.secondaries:
            raise InvalidValue(f"{private} is not an address of {target.label}.", ident=private, reason="address")
        if (floating.wanted.port, floating.wanted.private) == (target.uuid, private):
            return floating
        check_nat(tx, floating)
        if floating.wanted.port and not reassociate:
            text = f"The {floating.label} is already associated ({floating.wanted.association})."
            raise Conflict(text, noun=FloatingIp.KIND, ident=floating.uuid, reason="associated")
        with tx.complete():
            # An address whose row cannot be read now would have the port beside this one.
            leave(caller, tx, target, [private])
        association = new_ec2("eipassoc")
        wanted = msgspec.structs.replace(floating.wanted, port=target.uuid, association=association, private=private)
        if floating.wanted.port:
            wake_holder(tx, floating.wanted.port)
        floating = tx.want(floating, wanted)
        journal_change(caller, tx, floating, "associate")
        wake_holder(tx, target.uuid)
        return floating


def _target(caller: Caller, tx: Reader, instance: str, port: str) -> Port:
    """The living port that is meant; Conflict when it is going."""
    if port:
        candidates = [find.present(caller, tx, Port, port)]
        owner: Noun = candidates[0]
    elif instance:
        owner = holder = find.present(caller, tx, Instance, instance)
        candidates = port_rules.of_instance(tx, holder.uuid)
        if len(candidates) > 1:
            port_rules.only(tx, holder)
    else:
        raise InvalidValue("Either an instance or a port must be named.", reason="missing")
    if not candidates or candidates[0].wanted.gone:
        raise Conflict(f"The {owner.label} is being terminated.", noun="instance", ident=owner.uuid, reason="state")
    return candidates[0]


@requires("member")
def disassociate(caller: Caller, core: Core, association: str = "", uuid: str = "", address: str = "") -> FloatingIp:
    """Take the address (by its association's id, uuid, or itself) from its port; it stays the project's."""
    with core.store.write() as tx:
        if association:
            matches = [candidate for candidate in _all(caller, tx) if candidate.wanted.association == association]
            if not matches:
                text = f"The association ID '{association}' does not exist"
                raise NotFound(text, noun=FloatingIp.KIND, ident=association, reason="association")
            floating = matches[0]
        else:
            floating = _one(caller, tx, uuid, address)
        return disassociated(caller, tx, floating) if floating.wanted.port else floating


@requires("member")
def release(caller: Caller, core: Core, uuid: str = "", address: str = "") -> None:
    """Give the address back; Conflict while a port has it."""
    with core.store.write() as tx:
        floating = _one(caller, tx, uuid, address)
        check_nat(tx, floating)
        if floating.wanted.port:
            raise in_use(floating)
        floating = tx.want_gone(floating)
        tx.add_journal_line(caller, floating, "floatingip.release")
        tx.wake(floating)


@requires("reader")
def listing(caller: Caller, core: Core, uuids: Sequence[str] = (), named: Sequence[str] = ()) -> list[AddressView]:
    """The project's addresses, all or those with these uuids or addresses (each must exist)."""
    with core.store.read() as tx:
        floating_ips = _all(caller, tx)
        if uuids or named:
            chosen = {
                floating.uuid
                for floating in [*(_one(caller, tx, each) for each in uuids), *(_one(caller, tx, "", a) for a in named)]
            }
            floating_ips = [floating for floating in floating_ips if floating.uuid in chosen]
        return views_of(tx, floating_ips)


def _all(caller: Caller, tx: Reader) -> list[FloatingIp]:
    return [floating for floating in tx.list(FloatingIp, project=caller.project) if not floating.wanted.gone]


def _one(caller: Caller, tx: Reader, uuid: str, address: str = "") -> FloatingIp:
    """The project's address with this uuid, or this address itself."""
    if uuid:
        return find.living(caller, tx, FloatingIp, uuid)
    if not address:
        raise InvalidValue("A floating address must be named.", reason="missing")
    for candidate in _all(caller, tx):
        if candidate.assigned.address == address:
            return candidate
    if not addresses.valid(address):
        text = f"Invalid value '{address}' for an address: expecting four numbers and dots."
        raise Malformed(text, noun=FloatingIp.KIND, ident=address, reason="address")
    raise NotFound(f"Address '{address}' not found.", noun=FloatingIp.KIND, ident=address, reason="address")
