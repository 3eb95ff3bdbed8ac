"""Router attachments: a router attached to a transit gateway, given other subnets, and detached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Conflict, Duplicate, InvalidValue
from pileus.model.ids import new_uuid
from pileus.model.network import Network
from pileus.model.router import Router
from pileus.model.routerattachment import Assigned, RouterAttachment, Wanted
from pileus.model.subnet import Subnet
from pileus.model.transitgateway import TransitGateway
from pileus.model.transittable import TransitTable
from pileus.rules import find
from pileus.rules.peering import free_link
from pileus.rules.rights import requires
from pileus.rules.routetable import wake_router
from pileus.rules.transitgateway import tables_of, wake_gateway

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


class RouterAttachmentView(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment, and the uuid of the table that it is associated with; empty for none."""

    attachment: RouterAttachment
    table: str = ""


@requires("member")
def create(
    caller: Caller,
    core: Core,
    gateway: str,
    router: str,
    subnets: Sequence[str],
    *,
    dns_support: bool = True,
    tags: Mapping[str, str] | None = None,
) -> RouterAttachment:
    """Attach a router to a transit gateway for these subnets, all by uuid. Raises Duplicate, InvalidValue, NoCapacity.

    It is associated with the gateway's default tables, where the gateway has these on.
    """
    with core.store.write() as tx:
        hub, on = find.living(caller, tx, TransitGateway, gateway), find.living(caller, tx, Router, router)
        tx.lock(hub)
        tx.lock(on)
        _check_subnets(caller, tx, on, subnets)
        wanted = Wanted(gateway=gateway, router=router, subnets=tuple(dict.fromkeys(subnets)), dns_support=dns_support)
        attachment = RouterAttachment(
            uuid=new_uuid(),
            project=hub.project,
            tags=dict(tags or {}),
            wanted=wanted,
            assigned=Assigned(link=free_link(tx)),
        )
        try:
            attachment = tx.add(attachment)
        except Duplicate as error:
            text = f"The {hub.label} has a non-deleted attachment of {on.label}."
            raise Duplicate(text, noun=RouterAttachment.KIND, ident=router, reason="pair") from error
        tx.add_journal_line(caller, attachment, "routerattachment.create", outcome="done")
        _add_to_tables(tx, hub, attachment)
        _wake(tx, attachment)
        return attachment


def _add_to_tables(tx: Writer, gateway: TransitGateway, attachment: RouterAttachment) -> None:
    """Associate a new attachment with the default table, and have it propagate to the other, where these are on."""
    defaults = gateway.wanted
    for table in tables_of(tx, gateway.uuid):
        fields = table.wanted
        if defaults.associates and table.uuid == defaults.association:
            fields = msgspec.structs.replace(fields, associations=(*fields.associations, attachment.uuid))
        if defaults.propagates and table.uuid == defaults.propagation:
            fields = msgspec.structs.replace(fields, propagations=(*fields.propagations, attachment.uuid))
        if fields != table.wanted:
            tx.want(table, fields)


def _check_subnets(caller: Caller, tx: Reader, router: Router, subnets: Sequence[str]) -> None:
    """Whether an attachment of the router may stand for these subnets. Raises NotFound, InvalidValue."""
    if not subnets:
        raise InvalidValue("An attachment needs a subnet.", noun=RouterAttachment.KIND, reason="missing")
    rows = find.known(caller, tx, Subnet, subnets)
    for subnet in rows:
        if tx.need(Network, subnet.wanted.network).wanted.router != router.uuid:
            text = f"The {subnet.label} is not one of {router.label}."
            raise InvalidValue(text, noun=RouterAttachment.KIND, ident=subnet.uuid, reason="other-router")
    if len({subnet.wanted.zone for subnet in rows}) < len(rows):
        text = "An attachment stands for one subnet of each zone at most."
        raise InvalidValue(text, noun=RouterAttachment.KIND, ident=router.uuid, reason="zone")


@requires("member")
def modify(
    caller: Caller,
    core: Core,
    uuid: str,
    added: Sequence[str] = (),
    removed: Sequence[str] = (),
    *,
    dns_support: bool | None = None,
) -> RouterAttachment:
    """Have an attachment stand for other subnets (by uuid). Raises NotFound, InvalidValue."""
    with core.store.write() as tx:
        attachment = find.living(caller, tx, RouterAttachment, uuid)
        wanted = attachment.wanted
        find.known(caller, tx, Subnet, removed)
        for subnet in removed:
            if subnet not in wanted.subnets:
                text = f"The {attachment.label} is not for the subnet."
                raise InvalidValue(text, noun=RouterAttachment.KIND, ident=subnet, reason="other-router")
        left = tuple(subnet for subnet in wanted.subnets if subnet not in removed)
        subnets = tuple(dict.fromkeys((*left, *added)))
        _check_subnets(caller, tx, tx.need(Router, wanted.router), subnets)
        dns = wanted.dns_support if dns_support is None else dns_support
        attachment = tx.want(attachment, msgspec.structs.replace(wanted, subnets=subnets, dns_support=dns))
        tx.add_journal_line(caller, attachment, "routerattachment.modify", outcome="done")
        return attachment


@requires("member")
def accept(caller: Caller, core: Core, uuid: str) -> None:
    """Accept the attachment of another project's router, of which there are none. Raises NotFound, Conflict."""
    with core.store.read() as tx:
        attachment = find.living(caller, tx, RouterAttachment, uuid)
    text = f"The {attachment.label} is available, and does not wait to be accepted."
    raise Conflict(text, noun=RouterAttachment.KIND, ident=uuid, reason="status")


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> RouterAttachment:
    """Detach a router: routes over the attachment lead nowhere."""
    with core.store.write() as tx:
        attachment = find.living(caller, tx, RouterAttachment, uuid)
        for table in tables_of(tx, attachment.wanted.gateway):
            _remove_from(tx, table, uuid)
        attachment = tx.want_gone(attachment)
        tx.make_tombstone(attachment)
        tx.add_journal_line(caller, attachment, "routerattachment.delete", outcome="done")
        _wake(tx, attachment)
        return attachment


def _remove_from(tx: Writer, table: TransitTable, uuid: str) -> None:
    """Take an attachment out of the associations and propagations of a table."""
    fields = table.wanted
    associations = tuple(each for each in fields.associations if each != uuid)
    propagations = tuple(each for each in fields.propagations if each != uuid)
    if (associations, propagations) != (fields.associations, fields.propagations):
        tx.want(table, msgspec.structs.replace(fields, associations=associations, propagations=propagations))


def _wake(tx: Writer, attachment: RouterAttachment) -> None:
    wake_gateway(tx, attachment.wanted.gateway)
    wake_router(tx, attachment.wanted.router)


@requires("reader")
def listing(caller: Caller, core: Core) -> list[RouterAttachmentView]:
    """The project's attachments, those deleted within a day too."""
    with core.store.read() as tx:
        attachments = tx.list(RouterAttachment, project=caller.project, dead=True)
        tables = tx.list(TransitTable, project=caller.project)
    table_of = {uuid: table.uuid for table in tables for uuid in table.wanted.associations}
    return [RouterAttachmentView(attachment=each, table=table_of.get(each.uuid, "")) for each in attachments]
