"""Networks: made with or without a router, joined to one and parted from it; lists of them, subnets and routers."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import msgspec

from pileus.model import addresses, tag
from pileus.model.errors import Conflict, InvalidValue
from pileus.model.floatingip import FloatingIp
from pileus.model.ids import new_uuid
from pileus.model.natgateway import NatGateway
from pileus.model.network import Network
from pileus.model.network import Wanted as NetworkWanted
from pileus.model.noun import Noun
from pileus.model.port import Port
from pileus.model.router import Router
from pileus.model.router import Wanted as RouterWanted
from pileus.model.securitygroup import SecurityGroup
from pileus.model.subnet import Subnet, Wanted, usable
from pileus.rules import find, networkacl, routetable, securitygroup
from pileus.rules.rights import requires
from pileus.rules.subnet import check_place, subnets_on
from pileus.verbs.subnet import dissociate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


class SubnetView(msgspec.Struct, frozen=True, kw_only=True):
    """A subnet with the network it is on, that network's router if it has one, and how many addresses are free."""

    subnet: Subnet
    network: Network
    router: Router | None
    free: int


@requires("reader")
def routers(caller: Caller, core: Core, uuids: Sequence[str] = ()) -> list[Router]:
    """The project's routers, all or those with these uuids."""
    with core.store.read() as tx:
        rows = find.known(caller, tx, Router, uuids) if uuids else tx.list(Router, project=caller.project)
    return [router for router in rows if not router.wanted.gone]


@requires("reader")
def subnets(caller: Caller, core: Core, uuids: Sequence[str] = ()) -> list[SubnetView]:
    """The project's subnets, all or those with these uuids."""
    with core.store.read() as tx:
        rows = find.known(caller, tx, Subnet, uuids) if uuids else tx.list(Subnet, project=caller.project)
        networks = tx.many(Network, [subnet.wanted.network for subnet in rows])
        over = tx.many(Router, [network.wanted.router or "" for network in networks.values()])
        address_counts = tx.claim_counts([f"subnet:{subnet.uuid}" for subnet in rows])
        views = []
        for subnet in rows:
            network = networks.get(subnet.wanted.network)
            router = over.get(network.wanted.router or "") if network is not None else None
            routed = network is not None and (router is not None or not network.wanted.router)
            if network is not None and routed and not subnet.wanted.gone:
                total = len(usable(subnet.wanted))
                free = total - address_counts.get(f"subnet:{subnet.uuid}", 0)
                views.append(SubnetView(subnet=subnet, network=network, router=router, free=free))
    return views


@requires("reader")
def networks(caller: Caller, core: Core) -> list[Network]:
    """The project's networks."""
    with core.store.read() as tx:
        return [network for network in tx.list(Network, project=caller.project) if not network.wanted.gone]


@requires("member")
def create(
    caller: Caller, core: Core, router: str = "", name: str = "", tags: Mapping[str, str] | None = None
) -> Network:
    """Make a network without subnets, on the router with this uuid or on none: then nothing leads out of it.

    The project has a default group for such networks from its first one on.
    """
    with core.store.write() as tx:
        on = find.living(caller, tx, Router, router) if router else None
        project = on.project if on is not None else caller.project
        wanted = NetworkWanted(router=on.uuid if on is not None else None, lasting=True)
        named = {tag.NAME: name} if name else {}
        new = Network(uuid=new_uuid(), project=project, name=name, tags={**(tags or {}), **named}, wanted=wanted)
        network = tx.add(new)
        new_nouns: list[Network | SecurityGroup] = [network]
        if on is None and not securitygroup.defaults(caller, tx, ""):
            new_nouns.append(securitygroup.default(tx, project, None))
        for noun in new_nouns:
            tx.add_journal_line(caller, noun, f"{noun.KIND}.create", goal=noun.generation)
            tx.wake(noun)
        return network


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a network. Raises Conflict while a subnet is on it."""
    with core.store.write() as tx:
        network = find.living(caller, tx, Network, uuid)
        tx.lock(network)
        if tx.referrers(uuid):
            text = f"The {network.label} has dependencies and cannot be deleted."
            raise Conflict(text, noun=Network.KIND, ident=uuid, reason="in-use")
        network = tx.want_gone(network)
        tx.add_journal_line(caller, network, "network.delete")
        tx.wake(network)


@requires("member")
def join(caller: Caller, core: Core, uuid: str, router: str) -> None:
    """Join a network without a router to the router with this uuid: its subnets get gateways there.

    Raises Conflict for a network that has a router, InvalidValue for a subnet that the router has no place for.
    """
    with core.store.write() as tx:
        network, on = find.living(caller, tx, Network, uuid), find.living(caller, tx, Router, router)
        tx.lock(on)
        if network.wanted.router:
            text = f"The {network.label} is on router {network.wanted.router}: part it from that first."
            raise Conflict(text, noun=Network.KIND, ident=uuid, reason="joined")
        if network.project != on.project:
            raise find.absent(Router, [router])
        for subnet in subnets_on(tx, uuid):
            check_place(tx, on, subnet.wanted.cidr)
        _rejoined(caller, tx, network, on.uuid)


@requires("member")
def part(caller: Caller, core: Core, uuid: str) -> None:
    """Part a network from its router. Raises Conflict while something on it needs the router, or it has none."""
    with core.store.write() as tx:
        network = find.living(caller, tx, Network, uuid)
        router = network.wanted.router
        if not router:
            text = f"The {network.label} is on no router."
            raise Conflict(text, noun=Network.KIND, ident=uuid, reason="not-joined")
        tx.lock(tx.need(Router, router))
        ports, own_subnets = tx.referring(Port, [uuid]), subnets_on(tx, uuid)
        groups = tx.many(SecurityGroup, {group for port in ports for group in port.wanted.groups})
        users: list[Noun] = [group for group in groups.values() if group.wanted.router]
        users += tx.referring(FloatingIp, [port.uuid for port in ports])
        users += tx.referring(NatGateway, [subnet.uuid for subnet in own_subnets])
        if users:
            text = f"The {network.label} has dependencies on its router: {users[0].label}."
            raise Conflict(text, noun=Network.KIND, ident=uuid, reason="in-use")
        for subnet in own_subnets:
            if subnet.wanted.ipv6 is not None:
                text = f"The {subnet.label} has a range of the router's IPv6 addresses: take that away first."
                raise Conflict(text, noun=Network.KIND, ident=uuid, reason="in-use")
            dissociate(caller, tx, router, subnet.uuid)
        _rejoined(caller, tx, network, None)
        tx.wake_all(Router.KIND, [router])


def _rejoined(caller: Caller, tx: Writer, network: Network, router: str | None) -> None:
    """Put a network on another router, or on none, and wake all whose orders say so."""
    lasting = msgspec.structs.replace(network.wanted, router=router, lasting=True)
    network = tx.want(network, lasting)
    tx.add_journal_line(caller, network, "network.join" if router else "network.part", goal=network.generation)
    tx.wake(network)
    ports = tx.referring(Port, [network.uuid])
    tx.wake_all(Port.KIND, [port.uuid for port in ports])
    tx.wake_all("instance", {port.wanted.instance for port in ports if port.wanted.instance})
    if router:
        routetable.wake_router(tx, router)


ROUTED = "routed"
"""The number in `meta` that says what every router has: 1 route tables, 2 a default network ACL as well."""

_COMPLETE = 2

_AT_ONCE = 500


@requires("administrator", "completes networks")
def complete(caller: Caller, core: Core) -> None:
    """Give routers that an earlier version made, or that were recovered from its orders, all that `ROUTED` says."""
    with core.store.read() as tx:
        if tx.meta(ROUTED) >= _COMPLETE:
            return
        uuids = [router.uuid for router in tx.list(Router) if not router.wanted.gone]
    for start in range(0, len(uuids), _AT_ONCE):
        with core.store.write() as tx:
            for router in tx.many(Router, uuids[start : start + _AT_ONCE]).values():
                if router.gone is None:
                    _complete(caller, tx, router)
    with core.store.write() as tx:
        tx.keep_meta(ROUTED, _COMPLETE)


def _complete(caller: Caller, tx: Writer, router: Router) -> None:
    tables, acls = routetable.tables_of(tx, router.uuid), networkacl.acls_of(tx, router.uuid)
    if not tables:
        routetable.add_way_out(tx, router)
        tx.wake_all(Network.KIND, [network.uuid for network in tx.referring(Network, [router.uuid])])
    if not acls:
        networkacl.add_default(tx, router, sibling=True)
    if not tables or not acls:
        tx.add_journal_line(caller, router, "router.complete", outcome="done")
        tx.wake(router)


class Flat(msgspec.Struct, frozen=True, kw_only=True):
    """A network of one range that everything on it is reached in: uuids of its subnet, and of its open group."""

    subnet: str
    group: str


FLAT = "mcc"
"""The name of a flat network, its router, subnet and open group."""


@requires("member")
def flat(caller: Caller, core: Core, pool: str) -> Flat:
    """The project's flat network, made unless there is one, with the addresses FIRST-LAST of `pool` to give away.

    Raises InvalidValue for what is no range, or none of the network that there is.
    """
    try:
        first, last = addresses.pool(pool)
        cidr, gateway, localport = addresses.around(first, last)
    except ValueError as error:
        raise InvalidValue(f"{error}.", noun="subnet", ident=pool, reason="pool") from error
    with core.store.write() as tx:
        flat_subnet = next((s for s in tx.list(Subnet, project=caller.project, name=FLAT) if not s.wanted.gone), None)
        if flat_subnet is not None:
            return _repooled(caller, tx, flat_subnet, first, last)
        router = Router(uuid=new_uuid(), project=caller.project, name=FLAT, wanted=RouterWanted(cidr=cidr))
        on = Network(uuid=new_uuid(), project=caller.project, name=FLAT, wanted=NetworkWanted(router=router.uuid))
        wanted = Wanted(
            network=on.uuid,
            cidr=cidr,
            zone=core.place.zone,
            pool=f"{first}-{last}",
            gateway=gateway,
            localport=localport,
        )
        router = tx.add(router)
        routetable.add_way_out(tx, router)
        networkacl.add_default(tx, router)
        new_nouns = [
            router,
            tx.add(on),
            securitygroup.default(tx, caller.project, router.uuid),
            securitygroup.open_(tx, caller.project, router.uuid, FLAT),
        ]
        subnet = tx.add(Subnet(uuid=new_uuid(), project=caller.project, name=FLAT, wanted=wanted))
        for noun in new_nouns:
            tx.add_journal_line(caller, noun, f"{noun.KIND}.create")
            tx.wake(noun)
        tx.add_journal_line(caller, subnet, "subnet.create", outcome="done")
        return Flat(subnet=subnet.uuid, group=new_nouns[-1].uuid)


def _repooled(caller: Caller, tx: Writer, subnet: Subnet, first: str, last: str) -> Flat:
    """The flat network that there is, giving away another part of its range if need be."""
    wanted, pool = subnet.wanted, f"{first}-{last}"
    if wanted.pool != pool:
        low, high = (int(ipaddress.IPv4Address(end)) for end in (first, last))
        inside = ipaddress.IPv4Network(wanted.cidr)
        own = {int(ipaddress.IPv4Address(address)) for address in (wanted.gateway, wanted.localport)}
        fits = int(inside.network_address) < low <= high < int(inside.broadcast_address)
        if not fits or any(low <= address <= high for address in own):
            raise InvalidValue(
                f"The network '{FLAT}' is {wanted.cidr}, with {wanted.gateway} and {wanted.localport} for itself, and "
                f"gives away {wanted.pool}: {pool} is no part of it. Another range needs another state directory.",
                noun="subnet",
                ident=pool,
                reason="pool",
            )
        subnet = tx.want(subnet, msgspec.structs.replace(wanted, pool=pool))
        tx.add_journal_line(caller, subnet, "subnet.modify", outcome="done")
        network = tx.need(Network, wanted.network)
        # The engine's record of the network has its subnets.
        tx.wake(network)
    router = tx.need(Network, wanted.network).wanted.router or ""
    holder = tx.claimed(f"securitygroup:{router}", FLAT)
    if holder is None:
        group = securitygroup.open_(tx, caller.project, router, FLAT)
        tx.add_journal_line(caller, group, "securitygroup.create")
        tx.wake(group)
        return Flat(subnet=subnet.uuid, group=group.uuid)
    return Flat(subnet=subnet.uuid, group=tx.need(SecurityGroup, holder[1]).uuid)
