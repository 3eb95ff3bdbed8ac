"""Adopting an instance: its rows are made from the order that its host holds, with all that these refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.errors import Conflict
from pileus.model.flavor import Flavor
from pileus.model.instance import Instance
from pileus.model.network import Network
from pileus.model.port import Port
from pileus.model.project import Project
from pileus.model.router import Router
from pileus.model.securitygroup import SecurityGroup
from pileus.model.subnet import Subnet
from pileus.rules import recount
from pileus.rules.adopt import make
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from pileus.bus.messages import BodyReport
    from pileus.model.caller import Caller
    from pileus.model.spec import InstanceSpec
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


@requires("administrator", "examines a cloud")
def adopt(caller: Caller, core: Core, spec: InstanceSpec, host: str, body: BodyReport) -> Instance:
    """Take an instance that no row knows into the store, as the order `spec` on `host` says. Nothing else changes.

    Raises InvalidValue for an order without a record, NotFound when what it refers to is gone, Conflict when a row
    knows it, when the order is newer than any that this store gave (then the whole store is to be recovered), or when
    something else has its addresses.
    """
    with core.store.write() as tx:
        tx.limited = False
        if tx.get(Instance, spec.uuid) is not None:
            raise Conflict(f"The instance {spec.uuid} is known already.", noun="instance", ident=spec.uuid)
        if spec.revision > tx.reached:
            text = f"The order of instance {spec.uuid} is newer than any that this store gave: pileus recover."
            raise Conflict(text, noun="instance", ident=spec.uuid, reason="newer")
        before = set(recount.differences(tx))
        row = make(tx, spec, host, body)
        _whole(tx, row)
        tx.add_journal_line(caller, row, "instance.adopt", outcome="done")
        clashes = [what for what in recount.set_right(tx) if what not in before]
        if clashes:
            raise Conflict(
                f"The instance {spec.uuid} cannot be adopted, for others have what it holds: {'; '.join(clashes)}.",
                noun="instance",
                ident=spec.uuid,
                reason="taken",
            )
        return row


def _whole(tx: Writer, row: Instance) -> None:
    """Whether all that an instance's rows refer to is there. Raises NotFound."""
    tx.need(Project, row.project)
    tx.need(Flavor, row.wanted.flavor)
    for port in tx.referring(Port, [row.uuid]):
        router = tx.need(Network, port.wanted.network).wanted.router
        if router:
            tx.need(Router, router)
        tx.need(Subnet, port.wanted.subnet)
        for group in port.wanted.groups:
            tx.need(SecurityGroup, group)
