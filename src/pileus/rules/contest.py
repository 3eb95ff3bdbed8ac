"""Addresses that two instances have a right to once a store was recovered: who keeps them, and what the other gets.

A store that was opened without a silent host may have given away an address that it did not know of.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import NoCapacity
from pileus.model.floatingip import FloatingIp
from pileus.model.instance import Instance
from pileus.model.port import IPV6_POOLS, Port, ipv6_pool
from pileus.model.subnet import Subnet
from pileus.rules import ipv6, network, recount

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

Evidence = int
"""How much of an instance was found: nothing (0), a body or a port (1), both (2), or a silent host may hold it (3)."""

NOTHING, PART, WHOLE, UNHEARD = range(4)

Contested = dict[tuple[str, str], list[str]]


def contested(tx: Reader) -> Contested:
    """The (pool, value) pairs that several rows have a right to, with the uuids of these."""
    rights: Contested = defaultdict(list)
    for pool, value, uuid in sorted(recount.claims(tx)):
        if pool == "loopback" or pool.startswith(("subnet:", IPV6_POOLS)):
            rights[pool, value].append(uuid)
    return {key: uuids for key, uuids in rights.items() if len(uuids) > 1}


def losers(tx: Reader, evidence: Callable[[Instance], Evidence]) -> list[tuple[Instance, Evidence]]:
    """The instances that have to yield: those of which there is less, then those that do not run, then the younger.

    Nobody has reached an instance of which there is but a body or a port. One that is whole never yields.
    """
    by_uuid: dict[str, tuple[Instance, Evidence]] = {}
    for uuids in contested(tx).values():
        holders = {**dict.fromkeys(uuids, ""), **{p.uuid: p.wanted.instance for p in tx.many(Port, uuids).values()}}
        rows = tx.many(Instance, [instance or uuid for uuid, instance in holders.items()])
        evidence_of_rows = [(row, evidence(row)) for row in rows.values() if row.gone is None]
        evidence_of_rows.sort(key=lambda pair: (-pair[1], not pair[0].seen.running, pair[0].created, pair[0].id))
        # A port whose instance no row has is that of a host that was not heard: it keeps what it has.
        first = 1 if len(evidence_of_rows) == len(uuids) else 0
        by_uuid.update({row.uuid: (row, amount) for row, amount in evidence_of_rows[first:] if amount < WHOLE})
    return list(by_uuid.values())


def move(tx: Writer, row: Instance) -> None:
    """Give an instance other addresses where its own are contested; left as it is when there are none."""
    fought = contested(tx)
    with contextlib.suppress(NoCapacity):
        for port in tx.referring(Port, [row.uuid]):
            pools = (f"subnet:{port.wanted.subnet}", ipv6_pool(port.wanted.subnet))
            _readdress(tx, port, {value for pool, value in fought if pool in pools})
        if ("loopback", row.assigned.loopback) in fought:
            prefix = int(row.assigned.loopback.split(".")[1])
            address = network.free_loopbacks(tx, prefix, 1)[0]
            tx.assign(row, msgspec.structs.replace(row.assigned, loopback=address))


def leave(tx: Writer, port: Port) -> None:
    """Have a port that is to go leave its addresses to others: the engine is told of it by its uuid."""
    port = tx.assign(port, msgspec.structs.replace(port.assigned, loopback="", secondaries=(), ipv6=()))
    with contextlib.suppress(NoCapacity):
        _readdress(tx, port, {port.assigned.address})


def _readdress(tx: Writer, port: Port, lost: Collection[str]) -> None:
    """Give a port others of its subnet's addresses in the place of those in `lost`. Raises NoCapacity."""
    own, subnet = port.assigned, tx.need(Subnet, port.wanted.subnet)
    four, six = ([address for address in each if address in lost] for each in (own.addresses, own.ipv6))
    new: dict[str, str] = {}
    if four:
        new |= zip(four, network.free_addresses(tx, subnet, len(four), len(four)), strict=True)
    if six and subnet.wanted.ipv6 is not None:
        new |= zip(six, ipv6.free_addresses(tx, subnet, len(six)), strict=True)
    if four or six:
        assigned = msgspec.structs.replace(
            own,
            address=new.get(own.address, own.address),
            secondaries=tuple(new.get(address, address) for address in own.secondaries),
            # The copy's subnet may have no range of IPv6 yet.
            ipv6=tuple(new.get(address, address) for address in own.ipv6 if address not in lost or address in new),
        )
        tx.assign(port, assigned)
        for floating in tx.referring(FloatingIp, [port.uuid]):
            if floating.wanted.private in new:
                wanted = msgspec.structs.replace(floating.wanted, private=new[floating.wanted.private])
                tx.wake(tx.want(floating, wanted))
