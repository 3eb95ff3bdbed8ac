"""Egress-only gateways: made for a router, and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.egressgateway import EgressGateway, Wanted
from pileus.model.ids import new_uuid
from pileus.model.router import Router
from pileus.rules import find
from pileus.rules.rights import requires
from pileus.rules.routetable import wake_router
from pileus.rules.token import once

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.rules.core import Core


@requires("member")
def create(
    caller: Caller, core: Core, router: str, tags: Mapping[str, str] | None = None, token: str = ""
) -> EgressGateway:
    """Make a gateway for the router with this uuid."""
    with core.store.write() as tx:

        def make() -> EgressGateway:
            on = find.living(caller, tx, Router, router)
            wanted = Wanted(router=on.uuid)
            gateway = EgressGateway(uuid=new_uuid(), project=on.project, tags=dict(tags or {}), wanted=wanted)
            gateway = tx.add(gateway)
            tx.add_journal_line(caller, gateway, "egressgateway.create", outcome="done")
            wake_router(tx, on.uuid)
            return gateway

        return once(caller, tx, EgressGateway, token, [router, dict(tags or {})], make)


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a gateway; routes that name it lead nowhere."""
    with core.store.write() as tx:
        gateway = tx.want_gone(find.living(caller, tx, EgressGateway, uuid))
        tx.make_tombstone(gateway)
        tx.add_journal_line(caller, gateway, "egressgateway.delete", outcome="done")
        wake_router(tx, gateway.wanted.router)


@requires("reader")
def listing(caller: Caller, core: Core) -> list[EgressGateway]:
    """The project's gateways."""
    with core.store.read() as tx:
        return tx.list(EgressGateway, project=caller.project)
