"""The network that a project's first instance lands on: router, network, subnet, group and a way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.ids import new_uuid
from pileus.model.network import Network
from pileus.model.network import Wanted as NetworkWanted
from pileus.model.router import Router
from pileus.model.router import Wanted as RouterWanted
from pileus.model.securitygroup import SecurityGroup
from pileus.model.subnet import Subnet
from pileus.model.subnet import Wanted as SubnetWanted
from pileus.rules import networkacl, routetable, securitygroup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.caller import Caller
    from pileus.model.noun import Noun
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
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


def default_nouns(tx: Reader, project: str) -> list[Noun]:
    """The living nouns of a project's default network, as far as nothing of the project's own is on them.

    A project's default group for networks without a router is one of them.
    """
    nouns: list[Noun] = [
        group for group in tx.list(SecurityGroup, project=project) if group.wanted.default and not group.wanted.router
    ]
    for router in tx.list(Router, project=project):
        if not router.wanted.default or router.wanted.gone:
            continue
        gateway = routetable.gateway_of(tx, router.uuid)
        nouns += [router, *([gateway] if gateway is not None else [])]
        nouns += [table for table in routetable.tables_of(tx, router.uuid) if table.wanted.main]
        nouns += [acl for acl in networkacl.acls_of(tx, router.uuid) if acl.wanted.default]
        nouns += [group for group in tx.referring(SecurityGroup, [router.uuid]) if group.wanted.default]
        subnets = [subnet for subnet in routetable.subnets_of(tx, router.uuid) if subnet.wanted.default]
        on = {subnet.wanted.network for subnet in subnets}
        nouns += [*subnets, *(network for network in tx.many(Network, on).values() if not network.wanted.lasting)]
    return nouns


def remove(caller: Caller, tx: Writer, nouns: Iterable[Noun]) -> None:
    """Want all of a default network gone; its nouns without a body are gone at once."""
    for noun in nouns:
        if noun.wanted.gone:
            continue
        noun = tx.want_gone(noun)  # noqa: PLW2901  (the row as it is now)
        tx.add_journal_line(caller, noun, f"{noun.KIND}.delete", outcome="open" if noun.KEEPER else "done")
        if noun.KEEPER:
            tx.wake(noun)
        else:
            tx.make_tombstone(noun)
