"""Internet gateways: made, attached to a router, detached and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.errors import Conflict, Duplicate
from pileus.model.floatingip import FloatingIp
from pileus.model.ids import new_uuid
from pileus.model.internetgateway import InternetGateway, Wanted
from pileus.model.natgateway import NatGateway
from pileus.model.network import Network
from pileus.model.port import Port
from pileus.model.router import Router
from pileus.rules import find, routetable
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


@requires("member")
def create(caller: Caller, core: Core, tags: Mapping[str, str] | None = None) -> InternetGateway:
    """Make a gateway that is attached to nothing."""
    with core.store.write() as tx:
        gateway = InternetGateway(uuid=new_uuid(), project=caller.project, tags=dict(tags or {}))
        gateway = tx.add(gateway)
        tx.add_journal_line(caller, gateway, "internetgateway.create", outcome="done")
        return gateway


@requires("member")
def attach(caller: Caller, core: Core, uuid: str, router: str) -> None:
    """Attach a gateway to the router with this uuid. Raises Conflict where either has another one."""
    with core.store.write() as tx:
        gateway = find.living(caller, tx, InternetGateway, uuid)
        target = find.living(caller, tx, Router, router)
        if gateway.wanted.router:
            text = f"The {gateway.label} is attached to router {gateway.wanted.router}."
            raise Conflict(text, noun=InternetGateway.KIND, ident=uuid, reason="attached")
        try:
            _wanted(caller, tx, gateway, Wanted(router=target.uuid), "attach")
        except Duplicate as error:
            text = f"The {target.label} has an internet gateway attached."
            raise Conflict(text, noun=Router.KIND, ident=router, reason="gateway") from error
        routetable.wake_router(tx, target.uuid)


@requires("member")
def detach(caller: Caller, core: Core, uuid: str, router: str) -> None:
    """Detach a gateway. Raises Conflict where it is not attached, or public addresses lead through it."""
    with core.store.write() as tx:
        gateway = find.living(caller, tx, InternetGateway, uuid)
        target = find.living(caller, tx, Router, router)
        if gateway.wanted.router != target.uuid:
            text = f"The {gateway.label} is not attached to {target.label}."
            raise Conflict(text, noun=InternetGateway.KIND, ident=uuid, reason="not-attached")
        if _is_used(tx, target.uuid):
            text = f"The {target.label} has mapped public addresses: unmap these before its gateway is detached."
            raise Conflict(text, noun=InternetGateway.KIND, ident=uuid, reason="in-use")
        _wanted(caller, tx, gateway, Wanted(), "detach")
        routetable.wake_router(tx, target.uuid)


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a gateway. Raises Conflict while it is attached."""
    with core.store.write() as tx:
        gateway = find.living(caller, tx, InternetGateway, uuid)
        if gateway.wanted.router:
            text = f"The {gateway.label} is attached to router {gateway.wanted.router}: detach it first."
            raise Conflict(text, noun=InternetGateway.KIND, ident=uuid, reason="in-use")
        tx.make_tombstone(_wanted(caller, tx, gateway, Wanted(gone=True), "delete"))


def _wanted(caller: Caller, tx: Writer, gateway: InternetGateway, wanted: Wanted, verb: str) -> InternetGateway:
    gateway = tx.want(gateway, wanted)
    tx.add_journal_line(caller, gateway, f"internetgateway.{verb}", outcome="done")
    return gateway


def _is_used(tx: Reader, router: str) -> bool:
    """Whether a floating address or a NAT gateway leads through the router's gateway."""
    networks = [network.uuid for network in tx.referring(Network, [router])]
    ports = [port.uuid for port in tx.referring(Port, networks)]
    subnets = [subnet.uuid for subnet in routetable.subnets_of(tx, router)]
    return tx.is_referred(ports, FloatingIp.KIND) or tx.is_referred(subnets, NatGateway.KIND)


@requires("reader")
def listing(caller: Caller, core: Core) -> list[InternetGateway]:
    """The project's gateways."""
    with core.store.read() as tx:
        return tx.list(InternetGateway, project=caller.project)
