"""Peerings: asked for by one router's project, accepted or rejected by the other's, and deleted by either."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model import addresses
from pileus.model.errors import Conflict, Duplicate, Forbidden
from pileus.model.ids import new_uuid
from pileus.model.peering import Assigned, Peering, Wanted
from pileus.model.project import Project
from pileus.model.router import Router
from pileus.rules import find
from pileus.rules.groupreference import wake_foreign
from pileus.rules.peering import free_link
from pileus.rules.rights import requires
from pileus.rules.routetable import wake_router

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


class PeeringView(msgspec.Struct, frozen=True, kw_only=True):
    """A peering with its routers, as far as these are still there, and the account numbers of both."""

    peering: Peering
    router: Router | None
    peer: Router | None
    account: str
    peer_account: str


@requires("member")
def create(
    caller: Caller, core: Core, router: str, asked: str, account: str, tags: Mapping[str, str] | None = None
) -> Peering:
    """Ask that the router with this uuid be linked with the router `asked` (a public id) of the account of this number.

    The request fails, and is gone at once, where that account has no such router or their ranges overlap: which of the
    two, nobody is told. Raises Duplicate where the two have a peering.
    """
    with core.store.write() as tx:
        own = find.living(caller, tx, Router, router)
        peer = _peer(tx, own, asked, account)
        if peer is None:
            return _failed(caller, tx, own, asked, account, dict(tags or {}))
        wanted = Wanted(router=own.uuid, peer=peer.uuid, peer_project=peer.project, asked=peer.ec2_id, account=account)
        peering = Peering(uuid=new_uuid(), project=own.project, tags=dict(tags or {}), wanted=wanted)
        try:
            peering = tx.add(peering)
        except Duplicate as error:
            text = f"A peering between {own.label} and {asked} already exists."
            raise Duplicate(text, noun=Peering.KIND, ident=own.uuid, reason="pair") from error
        tx.add_journal_line(caller, peering, "peering.create", outcome="done")
        wake_router(tx, own.uuid)
        return peering


def _peer(tx: Reader, own: Router, asked: str, account: str) -> Router | None:
    """The router that a request names, if its project has it and the two can be linked."""
    peer = tx.by_ec2(Router, [asked]).get(asked)
    if peer is None or peer.gone is not None or peer.wanted.gone or peer.uuid == own.uuid:
        return None
    if _account(tx, peer.project) != account or not (own.cidrs[0] and peer.cidrs[0]):
        return None
    return None if _overlap(own, peer) else peer


def _overlap(one: Router, other: Router) -> bool:
    return any(addresses.overlap(cidr, another) for cidr in one.cidrs for another in other.cidrs)


def _failed(caller: Caller, tx: Writer, own: Router, asked: str, account: str, tags: dict[str, str]) -> Peering:
    wanted = Wanted(router=own.uuid, asked=asked, account=account, status="failed")
    peering = tx.add(Peering(uuid=new_uuid(), project=own.project, tags=tags, wanted=wanted))
    tx.add_journal_line(caller, peering, "peering.create", outcome="failed")
    peering = tx.want_gone(peering)
    tx.make_tombstone(peering)
    return peering


@requires("member")
def accept(caller: Caller, core: Core, uuid: str) -> Peering:
    """Link the two routers. Raises Forbidden for all but the peer's project, Conflict unless it is pending."""
    with core.store.write() as tx:
        peering = _pending(caller, tx, uuid, "accept")
        link = free_link(tx)
        router, peer = tx.need(Router, peering.wanted.router), tx.need(Router, peering.wanted.peer)
        if _overlap(router, peer):
            text = f"Ranges of {router.label} and {peer.label} overlap by now."
            raise Conflict(text, noun=Peering.KIND, ident=uuid, reason="status")
        tx.lock(router)
        tx.lock(peer)
        peering = tx.assign(peering, Assigned(link=link))
        return _changed(caller, tx, peering, "accept", status="active")


@requires("member")
def reject(caller: Caller, core: Core, uuid: str) -> None:
    """Refuse the link. Raises Forbidden for all but the peer's project, Conflict unless it is pending."""
    with core.store.write() as tx:
        peering = _pending(caller, tx, uuid, "reject")
        tx.make_tombstone(_changed(caller, tx, peering, "reject", status="rejected", gone=True))


def _pending(caller: Caller, tx: Reader, uuid: str, verb: str) -> Peering:
    peering = find.living(caller, tx, Peering, uuid)
    if caller.project != peering.wanted.peer_project and not caller.admin:
        text = f"The project of the peer alone may {verb} {peering.label}."
        raise Forbidden(text, noun=Peering.KIND, ident=uuid, reason="requester")
    if peering.wanted.status != "pending":
        text = f"The {peering.label} is {peering.wanted.status}, not pending."
        raise Conflict(text, noun=Peering.KIND, ident=uuid, reason="status")
    return peering


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> None:
    """End a link, or take a request back. Raises Conflict where the peer's project deletes what it can reject."""
    with core.store.write() as tx:
        peering = find.living(caller, tx, Peering, uuid)
        if peering.wanted.status == "pending" and caller.project != peering.project and not caller.admin:
            text = f"The {peering.label} is pending: reject it."
            raise Conflict(text, noun=Peering.KIND, ident=uuid, reason="status")
        tx.make_tombstone(_changed(caller, tx, peering, "delete", gone=True))


def _changed(caller: Caller, tx: Writer, peering: Peering, verb: str, **changes: object) -> Peering:
    """The peering as changed, in the journal; both routers are woken."""
    peering = tx.want(peering, msgspec.structs.replace(peering.wanted, **changes))
    tx.add_journal_line(caller, peering, f"peering.{verb}", outcome="done")
    routers = (peering.wanted.router, peering.wanted.peer)
    for router in routers:
        wake_router(tx, router)
    wake_foreign(tx, routers)
    return peering


@requires("member")
def withdraw(caller: Caller, tx: Writer, peerings: list[Peering]) -> None:
    """End requests of which the peer goes."""
    for peering in peerings:
        tx.make_tombstone(_changed(caller, tx, peering, "delete", gone=True))


@requires("reader")
def listing(caller: Caller, core: Core) -> list[PeeringView]:
    """The peerings of the project's routers; of those that it asked for, the ones that ended within a day too."""
    with core.store.read() as tx:
        routers = [router.uuid for router in tx.list(Router, project=caller.project)]
        own = tx.list(Peering, project=caller.project, dead=True)
        others = tx.referring(Peering, routers)
        peerings = {peering.uuid: peering for peering in (*own, *others) if find.visible(caller, peering)}
        return _views(tx, list(peerings.values()))


def _views(tx: Reader, peerings: Sequence[Peering]) -> list[PeeringView]:
    sides = {uuid for peering in peerings for uuid in (peering.wanted.router, peering.wanted.peer) if uuid}
    with tx.complete():
        routers = tx.many(Router, sides)
        owners = tx.many(Project, {peering.project for peering in peerings})
    accounts = {uuid: owner.wanted.account_id for uuid, owner in owners.items()}
    return [
        PeeringView(
            peering=peering,
            router=routers.get(peering.wanted.router),
            peer=routers.get(peering.wanted.peer or ""),
            account=accounts.get(peering.project, ""),
            peer_account=peering.wanted.account,
        )
        for peering in peerings
    ]


def _account(tx: Reader, project: str) -> str:
    owner = tx.get(Project, project)
    return owner.wanted.account_id if owner is not None else ""
