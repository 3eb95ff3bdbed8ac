"""Nouns without bodies that the engine's orders carry, when a store is recovered: deletions that the copy lost.

An order of a router, a network or a transit gateway carries all nouns that it owns. A later one than the copy knows,
which lacks a noun of the copy, says that the noun was deleted after the copy was made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.caller import SYSTEM
from pileus.model.internetgateway import InternetGateway
from pileus.model.natgateway import NatGateway
from pileus.model.nouns import NOUNS
from pileus.model.peering import Peering
from pileus.model.routerattachment import RouterAttachment
from pileus.model.subnet import Subnet
from pileus.rules import adopt, network
from pileus.rules import peering as peering_rules

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pileus.model.noun import Noun
    from pileus.model.provider import Recalled
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

OWNERS = ("router", "network", "transitgateway")
"""Kinds whose orders carry nouns that they own."""
CARRIED = {cls.KIND: cls for cls in NOUNS.values() if not cls.KEEPER and "engine" in cls.CONTEXT_OF}
"""The nouns that orders carry, by kind, in the order of making."""


def delete_uncarried(tx: Writer, engine: Iterable[Recalled]) -> list[Noun]:
    """Delete, or detach, the nouns that later orders of their owners lack; these nouns as they were."""
    carried: dict[str, set[str]] = {}
    for entry in engine:
        if entry.kind in OWNERS and _is_later(tx, entry):
            nouns = [] if entry.gone else adopt.recalled(entry.record, "engine")
            carried[entry.uuid] = {noun.uuid for noun in nouns}
    uncarried = [
        noun
        for cls in CARRIED.values()
        for noun in tx.list(cls)
        if noun.uuid not in carried.get(_owner(noun), {noun.uuid})
    ]
    return [noun for noun in reversed(uncarried) if _delete(tx, noun)]


def unreadable_of_removed(tx: Reader, engine: Iterable[Recalled]) -> list[str]:
    """The uuids of unreadable rows whose owners the engine was told to remove, and that nothing refers to."""
    removed = [entry.uuid for entry in engine if entry.gone and entry.kind in OWNERS]
    return [
        source
        for owner in removed
        for kind, source, use in tx.referrers(owner)
        if kind in CARRIED and use == "owned" and source in tx.unreadable and not tx.referrers(source)
    ]


def _is_later(tx: Reader, entry: Recalled) -> bool:
    """Whether the order was given after the copy was made."""
    row = tx.get(NOUNS[entry.kind], entry.uuid)
    return entry.gone or (row is not None and entry.revision > row.revision)


def _owner(noun: Noun) -> str:
    return next((owner for kind in OWNERS if (owner := noun.owner(kind))), "")


def _delete(tx: Writer, noun: Noun) -> bool:
    """Whether the noun could go: one that another refers to, which may be of a silent host, stays."""
    wanted = noun.uncarried()
    if wanted.gone and tx.referrers(noun.uuid):
        return False
    row = tx.want(noun, wanted)
    if wanted.gone:
        tx.make_tombstone(row)
    tx.add_journal_line(SYSTEM, row, f"{row.KIND}.recover", outcome="done")
    return True


def give_way(tx: Writer, losers: Collection[str]) -> bool:
    """Have nouns that lost a claim to another take another value, or end where there is none; whether any did."""
    peerings, gateways = tx.many(Peering, losers), tx.many(InternetGateway, losers)
    attachments = tx.many(RouterAttachment, losers)
    for peering in peerings.values():
        _give_way_link(tx, peering)
    for attachment in attachments.values():
        _give_way_link(tx, attachment)
    for gateway in gateways.values():
        tx.want(gateway, gateway.uncarried())
    nats = tx.many(NatGateway, losers)
    for nat in nats.values():
        _give_way_nat(tx, nat)
    return bool(peerings or attachments or gateways or nats)


def _give_way_link(tx: Writer, peering: Peering | RouterAttachment) -> None:
    """Another link for an active one; the end of one whose ends have another."""
    pair, *links = peering.claims()
    holder = tx.claimed(*pair)
    if holder is not None and holder[1] != peering.uuid:
        tx.make_tombstone(tx.want(peering, peering.uncarried()))
    elif links:
        link = peering_rules.free_link(tx)
        tx.assign(peering, msgspec.structs.replace(peering.assigned, link=link))


def _give_way_nat(tx: Writer, nat: NatGateway) -> None:
    """Another address of its subnet; the end of one whose floating address another has."""
    holder = tx.claimed(NatGateway.KIND, nat.wanted.floatingip)
    if holder is not None and holder[1] != nat.uuid:
        tx.make_tombstone(tx.want(nat, nat.uncarried()))
        return
    (address,) = network.free_addresses(tx, tx.need(Subnet, nat.wanted.subnet), 1, 1, "")
    tx.assign(nat, msgspec.structs.replace(nat.assigned, address=address))
