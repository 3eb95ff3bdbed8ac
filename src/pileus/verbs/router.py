"""Routers: made with a range of addresses, changed, and deleted when nothing is on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model import addresses
from pileus.model.errors import Conflict, InvalidValue, NotFound
from pileus.model.ids import new_ec2, new_uuid
from pileus.model.network import Network
from pileus.model.peering import Peering
from pileus.model.router import Range, Router, Wanted
from pileus.model.securitygroup import SecurityGroup
from pileus.rules import find, ipv6, networkacl, routetable, securitygroup
from pileus.rules.defaultnetwork import add_default_network
from pileus.rules.network import check_range
from pileus.rules.rights import requires
from pileus.rules.transitgateway import wake_gateways_of
from pileus.verbs.peering import withdraw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader

RANGES = 5
"""Ranges of a router."""


@requires("member")
def create(
    caller: Caller, core: Core, cidr: str, tags: Mapping[str, str] | None = None, *, with_ipv6: bool = False
) -> Router:
    """Make a router with a main route table, a default ACL and a default group. Raises InvalidValue for a bad range.

    It has a range of the cloud's IPv6 addresses, too, if it is to be `with_ipv6`. Raises NoCapacity.
    """
    check_range(cidr, Router.KIND)
    with core.store.write() as tx:
        ipv6_ranges = (_ipv6_range(core, tx),) if with_ipv6 else ()
        wanted = Wanted(cidr=cidr, dns_hostnames=False, ipv6_ranges=ipv6_ranges)
        router = Router(uuid=new_uuid(), project=caller.project, tags=dict(tags or {}), wanted=wanted)
        router = tx.add(router)
        routetable.add_main(tx, router)
        networkacl.add_default(tx, router)
        group = securitygroup.default(tx, caller.project, router.uuid, ipv6=with_ipv6)
        for noun in (router, group):
            tx.add_journal_line(caller, noun, f"{noun.KIND}.create", goal=noun.generation)
            tx.wake(noun)
        return router


@requires("member")
def create_default(caller: Caller, core: Core) -> Router:
    """Make the project's default router anew, with its network, subnet, group and way out. Raises Conflict."""
    with core.store.write() as tx:
        for router in tx.list(Router, project=caller.project):
            if router.wanted.default and not router.wanted.gone:
                text = f"The project has a default router, {router.label}."
                raise Conflict(text, noun=Router.KIND, ident=router.uuid, reason="default-exists")
        return add_default_network(caller, core, tx, caller.project)


@requires("member")
def modify(
    caller: Caller, core: Core, uuid: str, *, dns_support: bool | None = None, dns_hostnames: bool | None = None
) -> None:
    """Change what guests are told of names; None leaves it as it is."""
    with core.store.write() as tx:
        router = find.living(caller, tx, Router, uuid)
        given = {"dns_support": dns_support, "dns_hostnames": dns_hostnames}
        changes = {name: value for name, value in given.items() if value is not None}
        router = tx.want(router, msgspec.structs.replace(router.wanted, **changes))
        tx.add_journal_line(caller, router, "router.modify", outcome="done")
        networks = [network.uuid for network in tx.referring(Network, [router.uuid])]
        tx.wake_all(Network.KIND, networks)


@requires("member")
def add_range(caller: Caller, core: Core, uuid: str, cidr: str) -> Range:
    """Give the router a further range. Raises InvalidValue for one that overlaps, Conflict for too many."""
    check_range(cidr, Router.KIND)
    with core.store.write() as tx:
        router = find.living(caller, tx, Router, uuid)
        if any(addresses.overlap(cidr, other) for other in router.cidrs):
            text = f"The range {cidr} overlaps with a range of {router.label}."
            raise InvalidValue(text, noun=Router.KIND, ident=cidr, reason="overlap")
        for peer in _peers(tx, router):
            if any(addresses.overlap(cidr, other) for other in peer.cidrs):
                text = f"The range {cidr} overlaps with a range of {peer.label}, its peer."
                raise InvalidValue(text, noun=Router.KIND, ident=cidr, reason="overlap")
        if len(router.cidrs) >= RANGES:
            raise Conflict(f"A router has at most {RANGES} ranges.", noun=Router.KIND, ident=uuid, reason="ranges")
        added = Range(id=new_ec2("vpc-cidr-assoc"), cidr=cidr)
        router = tx.want(router, msgspec.structs.replace(router.wanted, ranges=(*router.wanted.ranges, added)))
        tx.add_journal_line(caller, router, "router.modify", outcome="done")
        wake_gateways_of(tx, uuid)
        return added


@requires("member")
def add_ipv6_range(caller: Caller, core: Core, uuid: str) -> Range:
    """Give the router a range of the cloud's IPv6 addresses. Raises Conflict for too many, NoCapacity.

    What lets everything through by IPv4, its default ACL and groups' rules for anywhere, does so by IPv6 then.
    """
    with core.store.write() as tx:
        router = find.living(caller, tx, Router, uuid)
        if len(router.ipv6_cidrs) >= RANGES:
            text = f"A router has at most {RANGES} ranges of IPv6."
            raise Conflict(text, noun=Router.KIND, ident=uuid, reason="ranges")
        added = _ipv6_range(core, tx)
        first = not router.ipv6_cidrs
        ranges = (*router.wanted.ipv6_ranges, added)
        router = tx.want(router, msgspec.structs.replace(router.wanted, ipv6_ranges=ranges))
        tx.add_journal_line(caller, router, "router.modify", goal=router.generation)
        tx.wake(router)
        if first:
            for acl in networkacl.admit_ipv6(tx, router):
                tx.add_journal_line(caller, acl, "networkacl.modify", outcome="done")
            for group in securitygroup.admit_ipv6(tx, uuid):
                tx.add_journal_line(caller, group, "securitygroup.modify", goal=group.generation)
                tx.wake(group)
        return added


def _ipv6_range(core: Core, tx: Reader) -> Range:
    return Range(id=new_ec2("vpc-cidr-assoc"), cidr=ipv6.free_range(tx, core.place))


def _peers(tx: Reader, router: Router) -> list[Router]:
    """The routers that a router is linked with."""
    links = [peering.wanted for peering in tx.referring(Peering, [router.uuid]) if peering.is_active]
    ends = {uuid for wanted in links for uuid in (wanted.router, wanted.peer)} - {router.uuid}
    return [*tx.many(Router, ends).values()]


@requires("member")
def remove_range(caller: Caller, core: Core, ident: str) -> tuple[Router, Range]:
    """Take a range (by its id) away. Raises NotFound, Conflict while a subnet is in it, InvalidValue for the first."""
    with core.store.write() as tx:
        for router in tx.list(Router, project=caller.project):
            wanted = router.wanted
            for each in (*wanted.ranges, *wanted.ipv6_ranges) if not wanted.gone else ():
                if each.id != ident:
                    continue
                if any(addresses.overlap(cidr, each.cidr) for cidr in _subnet_ranges(tx, router)):
                    text = f"The range {each.cidr} has subnets."
                    raise Conflict(text, noun=Router.KIND, ident=ident, reason="in-use")
                ranges = tuple(other for other in wanted.ranges if other != each)
                ipv6_ranges = tuple(other for other in wanted.ipv6_ranges if other != each)
                wanted = msgspec.structs.replace(wanted, ranges=ranges, ipv6_ranges=ipv6_ranges)
                changed = tx.want(router, wanted)
                tx.add_journal_line(caller, changed, "router.modify", goal=changed.generation)
                tx.wake(changed)
                wake_gateways_of(tx, router.uuid)
                return changed, each
    text = f"The association '{ident}' does not exist."
    raise NotFound(text, noun=Router.KIND, ident=ident, reason="range")


def _subnet_ranges(tx: Reader, router: Router) -> list[str]:
    subnets = [subnet.wanted for subnet in routetable.subnets_of(tx, router.uuid)]
    return [cidr for wanted in subnets for cidr in (wanted.cidr, wanted.ipv6.cidr if wanted.ipv6 else "") if cidr]


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a router with its main table, default ACL and default group. Raises Conflict while more is on it."""
    with core.store.write() as tx:
        router = find.living(caller, tx, Router, uuid)
        tx.lock(router)
        tables = [table for table in routetable.tables_of(tx, uuid) if table.wanted.main]
        acls = [acl for acl in networkacl.acls_of(tx, uuid) if acl.wanted.default]
        groups = [group for group in tx.referring(SecurityGroup, [uuid]) if group.wanted.default or group.wanted.gone]
        networks = [network for network in tx.referring(Network, [uuid]) if network.wanted.gone]
        requests = [each for each in tx.referring(Peering, [uuid]) if each.wanted.peer == uuid and not each.is_active]
        going = {noun.uuid for noun in (*tables, *acls, *groups, *networks, *requests)}
        if any(user not in going for _, user, _ in tx.referrers(uuid)):
            text = f"The {router.label} has dependencies and cannot be deleted."
            raise Conflict(text, noun=Router.KIND, ident=uuid, reason="in-use")
        withdraw(caller, tx, requests)
        for noun in (*tables, *acls):
            tx.make_tombstone(tx.want_gone(noun))
        for group in groups:
            if not group.wanted.gone:
                tx.want_gone(group)
                tx.add_journal_line(caller, group, "securitygroup.delete")
                tx.wake(group)
        router = tx.want_gone(router)
        tx.add_journal_line(caller, router, "router.delete")
        tx.wake(router)
