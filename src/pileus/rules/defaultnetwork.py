"""The network that a project's first instance lands on: router, network, subnet, group and a way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.ids import new_uuid
from pileus.model.network import Network
from pileus.model.network import Wanted as NetworkWanted
from pileus.model.router import Router
from pileus.model.router import Wanted as RouterWanted
from pileus.model.subnet import Subnet
from pileus.model.subnet import Wanted as SubnetWanted
from pileus.rules import networkacl, routetable, securitygroup

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


def add_default_network(caller: Caller, core: Core, tx: Writer, project: str) -> Router:
    """Make all of it for the project with this uuid, and return the router."""
    wanted = RouterWanted(cidr=core.place.vpc_cidr, default=True)
    router = tx.add(Router(uuid=new_uuid(), project=project, name="default", wanted=wanted))
    routetable.add_way_out(tx, router)
    networkacl.add_default(tx, router)
    group = securitygroup.default(tx, project, router.uuid)
    for noun in (router, group):
        tx.add_journal_line(caller, noun, f"{noun.KIND}.create")
        tx.wake(noun)
    add_default_subnet(caller, core, tx, router)
    return router


def add_default_subnet(caller: Caller, core: Core, tx: Writer, router: Router) -> Subnet:
    """Make the default subnet, and its network, of a default router."""
    own = Network(uuid=new_uuid(), project=router.project, name="default", wanted=NetworkWanted(router=router.uuid))
    network = tx.add(own)
    wanted = SubnetWanted(network=network.uuid, cidr=core.place.subnet_cidr, zone=core.place.zone, default=True)
    subnet = tx.add(Subnet(uuid=new_uuid(), project=router.project, name="default", wanted=wanted))
    tx.add_journal_line(caller, network, "network.create")
    tx.add_journal_line(caller, subnet, "subnet.create", outcome="done")
    tx.wake(network)
    return subnet
