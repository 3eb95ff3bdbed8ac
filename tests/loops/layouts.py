"""Requests of the world's users for networks of their own, and the results that hold once all rows have converged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.loops.network import ENGINE_KIND as NETWORK_KIND
from pileus.loops.router import ENGINE_KIND as ROUTER_KIND
from pileus.loops.transitgateway import ENGINE_KIND as TRANSIT_KIND
from pileus.model.caller import SYSTEM
from pileus.model.floatingip import FloatingIp
from pileus.model.internetgateway import InternetGateway
from pileus.model.natgateway import NatGateway
from pileus.model.network import Network
from pileus.model.networkacl import AclEntry, NetworkAcl
from pileus.model.peering import Peering
from pileus.model.project import Project
from pileus.model.router import Router
from pileus.model.routerattachment import RouterAttachment
from pileus.model.routetable import RouteTable
from pileus.model.subnet import Subnet
from pileus.model.transitgateway import TransitGateway
from pileus.model.transitgateway import Wanted as TransitGatewayWanted
from pileus.rules import routetable as routetable_rules
from pileus.verbs import (
    floatingip,
    internetgateway,
    limit,
    natgateway,
    networkacl,
    peering,
    router,
    routerattachment,
    routetable,
    subnet,
    transitgateway,
    transittable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pileus.model.noun import Noun
    from pileus.model.spec import Spec
    from pileus.store.reader import Reader
    from tests.loops.world import World

OWN: tuple[type[Noun], ...] = (
    *(Router, Subnet, InternetGateway, RouteTable, NetworkAcl, NatGateway, Peering, FloatingIp),
    *(TransitGateway, RouterAttachment),
)
"""The kinds that these users make, in the order of their making."""
ANYWHERE = "0.0.0.0/0"


class Layouts:
    """Routers with subnets, gateways, tables, network ACLs and peerings: made, changed and deleted in any order."""

    def __init__(self, world: World, attempt: Callable[[Callable[[], object]], bool]) -> None:
        self._world = world
        self._attempt = attempt
        self._nouns: dict[str, type[Noun]] = {}
        self._deleted: dict[str, type[Noun]] = {}
        self.seen: set[str] = set()

    def begin(self) -> None:
        """Let the project have as many default groups as routers."""
        core, project = self._world.core, self._world.cloud.caller.project
        while not self._attempt(lambda: limit.change(SYSTEM, core, project, {"securitygroups": 12})):
            pass

    def ask(self) -> None:
        """A few requests; many of them are refused."""
        random = self._world.random
        for _ in range(random.randrange(1, 9)):
            request = random.choice((self._create, self._create, self._change, self._change, self._change))
            (self._delete if random.random() < 0.1 else request)()

    def relearn(self) -> None:
        """After a recovery: what the users see now is what they expect."""
        for uuid, cls in [*self._nouns.items(), *self._deleted.items()]:
            row = self._world.damage.row(cls, uuid)
            self._nouns.pop(uuid, None)
            self._deleted.pop(uuid, None)
            if row is not None:
                nouns = self._deleted if row.wanted.gone or row.gone is not None else self._nouns
                nouns[uuid] = cls

    def complaints(self, tx: Reader) -> Iterator[str]:
        """At rest: how the nouns and the engine's orders differ from the requests."""
        for uuid, cls in self._nouns.items():
            row = tx.get(cls, uuid)
            if row is None or row.gone is not None or row.wanted.gone:
                yield f"{cls.KIND} {uuid} was made, and is {row}"
        for uuid, cls in self._deleted.items():
            row = tx.get(cls, uuid)
            if row is not None and row.gone is None and cls is not Peering:
                yield f"{cls.KIND} {uuid} was deleted, and is {row}"
        place = self._world.core.place
        orders: list[tuple[Noun, Spec]] = [(row, ROUTER_KIND.spec(tx, row, place)) for row in tx.list(Router)]
        orders += [(row, NETWORK_KIND.spec(tx, row, place)) for row in tx.list(Network)]
        orders += [(row, TRANSIT_KIND.spec(tx, row, place)) for row in tx.list(TransitGateway)]
        for row, order in orders:
            engine_spec = self._world.net.specs.get((row.KIND, row.uuid))
            if engine_spec is None or msgspec.structs.replace(order, revision=engine_spec.revision) != engine_spec:
                yield f"{row.KIND} {row.uuid} is ordered as {engine_spec}, not as {order}"

    # -- requests ------------------------------------------------------------------------------------------------

    def _create(self) -> None:
        random, caller, core = self._world.random, self._world.cloud.caller, self._world.core
        on = self._any(Router)
        kind = random.choice(OWN[1:]) if on and random.random() < 0.8 else Router
        number = random.randrange(1, 200)
        requests: dict[type[Noun], Callable[[], Noun]] = {
            Router: lambda: router.create(caller, core, f"10.{number}.0.0/16"),
            Subnet: lambda: subnet.create(caller, core, on, self._free_range(on, number)),
            InternetGateway: lambda: internetgateway.create(caller, core),
            RouteTable: lambda: routetable.create(caller, core, on),
            NetworkAcl: lambda: networkacl.create(caller, core, on),
            NatGateway: lambda: natgateway.create(caller, core, self._any(Subnet), self._any(FloatingIp)),
            Peering: self._peer,
            FloatingIp: lambda: floatingip.allocate(caller, core),
            TransitGateway: lambda: transitgateway.create(caller, core, TransitGatewayWanted()),
            RouterAttachment: lambda: self._attached(on),
        }
        self._made(kind, requests[kind])

    def _made(self, cls: type[Noun], create: Callable[[], Noun]) -> None:
        nouns: list[Noun] = []
        self._world.log("user: create", cls.KIND)
        if self._attempt(lambda: nouns.append(create())):
            self._nouns[nouns[-1].uuid] = cls
            self.seen.add(f"{cls.KIND} made")

    def _free_range(self, on: str, number: int) -> str:
        row = self._world.damage.row(Router, on)
        return f"{row.wanted.cidr.split('.0.0/')[0]}.{number}.0/24" if row is not None else "10.0.0.0/24"

    def _peer(self) -> Peering:
        """A peering of two of the users' routers, which is active at once."""
        caller, core = self._world.cloud.caller, self._world.core
        own, other = self._pair()
        with core.store.read() as tx:
            account = tx.need(Project, caller.project).wanted.account_id
            public_id = tx.need(Router, other).ec2_id
        link = peering.create(caller, core, own, public_id, account)
        if not link.wanted.gone:  # one that failed is gone at once
            self._nouns[link.uuid] = Peering
        return peering.accept(caller, core, link.uuid)

    def _attached(self, on: str) -> RouterAttachment:
        """An attachment of a router for one of its subnets, if it has one."""
        with self._world.core.store.read() as tx:
            subnets = [row.uuid for row in routetable_rules.subnets_of(tx, on)]
        chosen = self._world.random.sample(subnets, 1) if subnets else []
        gateway = self._any(TransitGateway)
        return routerattachment.create(self._world.cloud.caller, self._world.core, gateway, on, chosen)

    def _route_transit(self) -> None:
        """Lead a range over an attachment, in the default table of its gateway."""
        caller, core = self._world.cloud.caller, self._world.core
        attachment = self._world.damage.row(RouterAttachment, self._any(RouterAttachment) or "none")
        gateway = self._world.damage.row(TransitGateway, attachment.wanted.gateway if attachment else "none")
        table = gateway.wanted.association if gateway else ""
        cidr = f"10.{self._world.random.randrange(200, 250)}.0.0/16"
        transittable.add_route(caller, core, table, cidr, attachment.uuid if attachment else "")

    def _pair(self) -> tuple[str, str]:
        """Two of the users' routers; twice the only one, or none, where there are not as many."""
        routers = [uuid for uuid, cls in self._nouns.items() if cls is Router]
        if len(routers) < 2:
            return self._any(Router), self._any(Router)
        own, other = self._world.random.sample(routers, 2)
        return own, other

    def _target(self, table: str) -> tuple[str, str]:
        """A noun that the table may lead to, by kind and uuid: one on its router, if there is any."""
        row = self._world.damage.row(RouteTable, table) if table else None
        on = row.wanted.router if row is not None else ""
        targets = [
            (noun.KIND, noun.uuid)
            for cls in (InternetGateway, NatGateway, Peering)
            for uuid in [uuid for uuid, kind in self._nouns.items() if kind is cls]
            if (noun := self._world.damage.row(cls, uuid)) is not None
            and on in (noun.wanted.router, getattr(noun.wanted, "peer", None))
        ]
        return self._world.random.choice(targets) if targets else (InternetGateway.KIND, self._any(InternetGateway))

    def _change(self) -> None:
        caller, core, random = self._world.cloud.caller, self._world.core, self._world.random
        table, gateway, acl, on = (self._any(cls) for cls in (RouteTable, InternetGateway, NetworkAcl, Router))
        number, subnet_uuid = random.randrange(1, 100), self._any(Subnet)
        target, ident = self._target(table)
        destination = ANYWHERE if target != Peering.KIND else f"10.{200 + number % 50}.0.0/16"
        entry = AclEntry(number=number, egress=random.random() < 0.5, action=random.choice(("allow", "deny")))
        requests: dict[str, Callable[[], object]] = {
            "attach": lambda: internetgateway.attach(caller, core, gateway, on),
            "detach": lambda: internetgateway.detach(caller, core, gateway, on),
            "associate": lambda: routetable.associate(caller, core, table, subnet_uuid),
            "add route": lambda: routetable.add_route(caller, core, table, destination, target, ident),
            "remove route": lambda: routetable.remove_route(caller, core, table, destination),
            "add entry": lambda: networkacl.add_entry(caller, core, acl, entry),
            "filter": lambda: self._filter(acl, subnet_uuid),
            "add transit route": self._route_transit,
            "name": lambda: router.modify(caller, core, on, dns_hostnames=random.random() < 0.5),
        }
        deed = random.choice(list(requests))
        self._world.log("user:", deed)
        if self._attempt(requests[deed]):
            self.seen.add(deed)

    def _filter(self, acl: str, subnet_uuid: str) -> None:
        """Have an ACL filter a subnet of its router."""
        caller, core = self._world.cloud.caller, self._world.core
        for view in networkacl.listing(caller, core):
            for association in view.associations:
                if association.subnet == subnet_uuid:
                    networkacl.replace_association(caller, core, association.id, acl)
                    return

    def _delete(self) -> None:
        caller, core = self._world.cloud.caller, self._world.core
        requests: dict[type[Noun], Callable[[str], object]] = {
            Router: lambda uuid: router.delete(caller, core, uuid),
            Subnet: lambda uuid: subnet.delete(caller, core, uuid),
            InternetGateway: lambda uuid: internetgateway.delete(caller, core, uuid),
            RouteTable: lambda uuid: routetable.delete(caller, core, uuid),
            NetworkAcl: lambda uuid: networkacl.delete(caller, core, uuid),
            NatGateway: lambda uuid: natgateway.delete(caller, core, uuid),
            Peering: lambda uuid: peering.delete(caller, core, uuid),
            TransitGateway: lambda uuid: transitgateway.delete(caller, core, uuid),
            RouterAttachment: lambda uuid: routerattachment.delete(caller, core, uuid),
            FloatingIp: lambda uuid: floatingip.release(caller, core, uuid),
        }
        cls = self._world.random.choice(OWN)
        uuid = self._any(cls)
        self._world.log("user: delete", cls.KIND, uuid)
        if uuid and self._attempt(lambda: requests[cls](uuid)):
            self._deleted[uuid] = self._nouns.pop(uuid)
            self.seen.add(f"{cls.KIND} deleted")

    def _any(self, cls: type[Noun]) -> str:
        """The uuid of one of the users' nouns of a kind; empty where there is none."""
        uuids = [uuid for uuid, other in self._nouns.items() if other is cls]
        return self._world.random.choice(uuids) if uuids else ""
