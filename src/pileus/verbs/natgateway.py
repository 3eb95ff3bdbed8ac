"""NAT gateways: made in a subnet with a floating address, and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Conflict
from pileus.model.floatingip import FloatingIp
from pileus.model.ids import new_ec2, new_uuid
from pileus.model.natgateway import Assigned, NatGateway, Wanted
from pileus.model.network import Network
from pileus.model.subnet import Subnet
from pileus.rules import find
from pileus.rules.network import free_addresses
from pileus.rules.rights import requires
from pileus.rules.routetable import gateway_of, wake_router
from pileus.rules.token import once

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


class NatGatewayView(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway with its floating address, as far as that is still known."""

    nat: NatGateway
    allocation: FloatingIp | None = None


@requires("member")
def create(
    caller: Caller,
    core: Core,
    subnet: str,
    floatingip: str,
    address: str = "",
    tags: Mapping[str, str] | None = None,
    token: str = "",
) -> NatGateway:
    """Make a gateway in a subnet (by uuid) whose router has an internet gateway, with a free floating address.

    `address` is its own in the subnet, the lowest free one if empty. Raises Conflict, NoCapacity, InvalidValue.
    """
    with core.store.write() as tx:

        def make() -> NatGateway:
            return _make(caller, tx, subnet, floatingip, address, dict(tags or {}))

        return once(caller, tx, NatGateway, token, [subnet, floatingip, address, dict(tags or {})], make)


def _make(caller: Caller, tx: Writer, subnet: str, floatingip: str, address: str, tags: dict[str, str]) -> NatGateway:
    on, floating = find.living(caller, tx, Subnet, subnet), find.living(caller, tx, FloatingIp, floatingip)
    router = tx.need(Network, on.wanted.network).wanted.router or ""
    if gateway_of(tx, router) is None:
        text = f"The router {router} has no internet gateway attached."
        raise Conflict(text, noun=NatGateway.KIND, ident=router, reason="no-gateway")
    if floating.wanted.port or tx.claimed(NatGateway.KIND, floating.uuid):
        text = f"The {floating.label} is associated already."
        raise Conflict(text, noun=FloatingIp.KIND, ident=floatingip, reason="associated")
    (own,) = free_addresses(tx, on, 1, 1, address)
    wanted = Wanted(router=router, subnet=on.uuid, floatingip=floating.uuid, association=new_ec2("eipassoc"))
    nat = NatGateway(uuid=new_uuid(), project=on.project, tags=tags, wanted=wanted, assigned=Assigned(address=own))
    nat = tx.add(nat)
    tx.add_journal_line(caller, nat, "natgateway.create", outcome="done")
    wake_router(tx, router)
    return nat


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a gateway; the floating address stays the project's, and routes that name the gateway lead nowhere."""
    with core.store.write() as tx:
        nat = find.living(caller, tx, NatGateway, uuid)
        nat = tx.want_gone(nat)
        tx.make_tombstone(nat)
        tx.add_journal_line(caller, nat, "natgateway.delete", outcome="done")
        wake_router(tx, nat.wanted.router)


@requires("reader")
def listing(caller: Caller, core: Core) -> list[NatGatewayView]:
    """The project's gateways, those deleted within a day too."""
    with core.store.read() as tx:
        nats = tx.list(NatGateway, project=caller.project, dead=True)
        allocations = tx.many(FloatingIp, [nat.wanted.floatingip for nat in nats])
    return [NatGatewayView(nat=nat, allocation=allocations.get(nat.wanted.floatingip)) for nat in nats]
