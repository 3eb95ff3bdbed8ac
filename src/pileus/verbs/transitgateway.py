"""Transit gateways: made with a route table, changed, and deleted when nothing is attached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Conflict, InvalidValue
from pileus.model.ids import new_uuid
from pileus.model.transitgateway import TransitGateway, Wanted
from pileus.model.transittable import TransitTable
from pileus.model.transittable import Wanted as TableWanted
from pileus.rules import find
from pileus.rules.rights import requires
from pileus.rules.transitgateway import attachments_of, tables_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.rules.core import Core

ASNS = (range(64512, 65535), range(4_200_000_000, 4_294_967_295))
"""The numbers that BGP has for private use."""


@requires("member")
def create(caller: Caller, core: Core, wanted: Wanted, tags: Mapping[str, str] | None = None) -> TransitGateway:
    """Make a gateway with a route table for new attachments, unless neither association nor propagation is on."""
    _check(wanted)
    with core.store.write() as tx:
        gateway = TransitGateway(uuid=new_uuid(), project=caller.project, tags=dict(tags or {}), wanted=wanted)
        if wanted.associates or wanted.propagates:
            default = new_uuid()
            wanted = msgspec.structs.replace(
                wanted,
                association=default if wanted.associates else "",
                propagation=default if wanted.propagates else "",
            )
            gateway = tx.add(msgspec.structs.replace(gateway, wanted=wanted))
            tx.add(TransitTable(uuid=default, project=caller.project, wanted=TableWanted(gateway=gateway.uuid)))
        else:
            gateway = tx.add(gateway)
        tx.add_journal_line(caller, gateway, "transitgateway.create", goal=gateway.generation)
        tx.wake(gateway)
        return gateway


def _check(wanted: Wanted) -> None:
    if not any(wanted.asn in numbers for numbers in ASNS):
        text = f"The number {wanted.asn} is none for private use: 64512 to 65534, or 4200000000 to 4294967294."
        raise InvalidValue(text, noun=TransitGateway.KIND, reason="asn")


@requires("member")
def modify(caller: Caller, core: Core, uuid: str, **changes: object) -> TransitGateway:
    """Change fields of `wanted`. Raises NotFound, InvalidValue for a default table that is not the gateway's."""
    with core.store.write() as tx:
        gateway = find.living(caller, tx, TransitGateway, uuid)
        wanted = msgspec.structs.replace(gateway.wanted, **changes)
        _check(wanted)
        for field in ("association", "propagation"):
            if changes.get(field):
                _check_own(gateway, find.living(caller, tx, TransitTable, str(changes[field])))
        for turned_on, table, word in (
            (wanted.associates, wanted.association, "association"),
            (wanted.propagates, wanted.propagation, "propagation"),
        ):
            if turned_on and not table:
                text = f"The default {word} of {gateway.label} needs a route table."
                raise InvalidValue(text, noun=TransitGateway.KIND, ident=uuid, reason="missing")
        gateway = tx.want(gateway, wanted)
        tx.add_journal_line(caller, gateway, "transitgateway.modify", outcome="done")
        return gateway


def _check_own(gateway: TransitGateway, table: TransitTable) -> None:
    if table.wanted.gateway != gateway.uuid:
        raise InvalidValue(f"The {table.label} is not of {gateway.label}.", noun=TransitTable.KIND, reason="other")


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> TransitGateway:
    """Delete a gateway with its route tables. Raises Conflict while routers are attached."""
    with core.store.write() as tx:
        gateway = find.living(caller, tx, TransitGateway, uuid)
        tx.lock(gateway)
        if attachments := attachments_of(tx, [uuid]):
            text = f"The {gateway.label} has non-deleted attachments: {', '.join(each.label for each in attachments)}."
            raise Conflict(text, noun=TransitGateway.KIND, ident=uuid, reason="attachments")
        for table in tables_of(tx, uuid):
            tx.make_tombstone(tx.want_gone(table))
        gateway = tx.want_gone(gateway)
        tx.add_journal_line(caller, gateway, "transitgateway.delete")
        tx.wake(gateway)
        return gateway


@requires("reader")
def listing(caller: Caller, core: Core) -> list[TransitGateway]:
    """The project's gateways, those deleted within a day too."""
    with core.store.read() as tx:
        return list(tx.list(TransitGateway, project=caller.project, dead=True))
