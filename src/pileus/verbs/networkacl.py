"""Network ACLs: made for a router, given entries, associated with subnets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model import addresses
from pileus.model.errors import Conflict, Duplicate, InvalidValue, NotFound
from pileus.model.ids import new_ec2, new_uuid
from pileus.model.network import Network
from pileus.model.networkacl import ICMPS, TCP, UDP, AclEntry, NetworkAcl, Wanted
from pileus.model.router import Router
from pileus.model.routetable import SubnetAssociation
from pileus.model.subnet import Subnet
from pileus.rules import find
from pileus.rules.networkacl import acls_of, subnets_by_acl
from pileus.rules.rights import requires
from pileus.rules.routetable import wake_router
from pileus.rules.token import once

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

_LAST = 32766
"""The highest number of an entry: what none fits is denied as if by the next one."""


class NetworkAclView(msgspec.Struct, frozen=True, kw_only=True):
    """An ACL with all of its associations; `has_ipv6`: its router has ranges of IPv6."""

    acl: NetworkAcl
    has_ipv6: bool
    associations: tuple[SubnetAssociation, ...]


@requires("member")
def create(
    caller: Caller, core: Core, router: str, tags: Mapping[str, str] | None = None, token: str = ""
) -> NetworkAcl:
    """Make an ACL without entries, which denies everything, for the router with this uuid."""
    with core.store.write() as tx:

        def make() -> NetworkAcl:
            on = find.living(caller, tx, Router, router)
            wanted = Wanted(router=on.uuid)
            acl = tx.add(NetworkAcl(uuid=new_uuid(), project=on.project, tags=dict(tags or {}), wanted=wanted))
            tx.add_journal_line(caller, acl, "networkacl.create", outcome="done")
            wake_router(tx, on.uuid)
            return acl

        return once(caller, tx, NetworkAcl, token, [router, dict(tags or {})], make)


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete an ACL. Raises InvalidValue for a default one, Conflict while a subnet is associated with it."""
    with core.store.write() as tx:
        acl = find.living(caller, tx, NetworkAcl, uuid)
        if acl.wanted.default:
            text = f"The {acl.label} is the default one of its network and cannot be deleted."
            raise InvalidValue(text, noun=NetworkAcl.KIND, ident=uuid, reason="default")
        if acl.wanted.associations:
            text = f"The {acl.label} has dependencies and cannot be deleted."
            raise Conflict(text, noun=NetworkAcl.KIND, ident=uuid, reason="in-use")
        tx.make_tombstone(_wanted(caller, tx, acl, "delete", gone=True))


@requires("member")
def add_entry(caller: Caller, core: Core, uuid: str, entry: AclEntry) -> None:
    """Give an ACL a further entry. Raises InvalidValue, and Duplicate where the ACL has one of its number."""
    entry = _checked(entry)
    with core.store.write() as tx:
        acl = find.living(caller, tx, NetworkAcl, uuid)
        if _others(acl, entry.number, egress=entry.egress) != acl.wanted.entries:
            text = f"The network acl entry identified by {entry.number} already exists."
            raise Duplicate(text, noun=NetworkAcl.KIND, ident=str(entry.number), reason="entry")
        _wanted(caller, tx, acl, "modify", entries=(*acl.wanted.entries, entry))


@requires("member")
def replace_entry(caller: Caller, core: Core, uuid: str, entry: AclEntry) -> None:
    """Put an entry in the place of the ACL's entry of its number and direction. Raises InvalidValue, NotFound."""
    entry = _checked(entry)
    with core.store.write() as tx:
        acl = find.living(caller, tx, NetworkAcl, uuid)
        others = _others(acl, entry.number, egress=entry.egress)
        if others == acl.wanted.entries:
            raise _no_entry(acl, entry.number)
        _wanted(caller, tx, acl, "modify", entries=(*others, entry))


@requires("member")
def remove_entry(caller: Caller, core: Core, uuid: str, number: int, *, egress: bool) -> None:
    """Take an entry away. Raises NotFound."""
    with core.store.write() as tx:
        acl = find.living(caller, tx, NetworkAcl, uuid)
        others = _others(acl, number, egress=egress)
        if others == acl.wanted.entries:
            raise _no_entry(acl, number)
        _wanted(caller, tx, acl, "modify", entries=others)


def _others(acl: NetworkAcl, number: int, *, egress: bool) -> tuple[AclEntry, ...]:
    """The entries of an ACL but the one of this number and direction."""
    return tuple(entry for entry in acl.wanted.entries if (entry.number, entry.egress) != (number, egress))


def _no_entry(acl: NetworkAcl, number: int) -> NotFound:
    text = f"The network acl entry identified by {number} does not exist in {acl.label}."
    return NotFound(text, noun=NetworkAcl.KIND, ident=str(number), reason="entry")


def _checked(entry: AclEntry) -> AclEntry:
    """The entry with its range without host bits. Raises InvalidValue."""
    if not 1 <= entry.number <= _LAST:
        text = f"The number {entry.number} of an entry is not in 1 to {_LAST}."
        raise InvalidValue(text, noun=NetworkAcl.KIND, ident=str(entry.number), reason="number")
    try:
        cidr = str(addresses.parsed_range(entry.cidr, strict=False))
    except ValueError as error:
        text = f"The range '{entry.cidr[:40]}' is malformed: {error}."
        raise InvalidValue(text, noun=NetworkAcl.KIND, ident=entry.cidr[:40], reason="cidr") from error
    if not -1 <= entry.protocol <= 255:
        text = f"The protocol {entry.protocol} is not in -1 to 255."
        raise InvalidValue(text, noun=NetworkAcl.KIND, ident=str(entry.protocol), reason="protocol")
    first, last, most = (
        (entry.icmp_type, entry.icmp_code, 255) if entry.protocol in ICMPS else (entry.port_min, entry.port_max, 65535)
    )
    if entry.protocol not in (*ICMPS, TCP, UDP):
        return msgspec.structs.replace(entry, cidr=cidr, port_min=None, port_max=None, icmp_type=None, icmp_code=None)
    what = "type and code" if entry.protocol in ICMPS else "range of ports"
    if first is None or last is None:
        raise InvalidValue(f"An entry for protocol {entry.protocol} needs a {what}.", reason="missing")
    least = -1 if entry.protocol in ICMPS else 0
    if not (least <= first <= most and least <= last <= most) or (entry.protocol not in ICMPS and first > last):
        text = f"The {what} {first} to {last} of an entry is invalid."
        raise InvalidValue(text, noun=NetworkAcl.KIND, reason="ports")
    if entry.protocol in ICMPS:
        return msgspec.structs.replace(entry, cidr=cidr, port_min=None, port_max=None)
    return msgspec.structs.replace(entry, cidr=cidr, icmp_type=None, icmp_code=None)


@requires("member")
def replace_association(caller: Caller, core: Core, association: str, uuid: str) -> str:
    """Have the subnet of an association (by its id) go by another ACL of its router; the new id."""
    with core.store.write() as tx:
        old, subnet = _of_association(caller, tx, association)
        new = find.living(caller, tx, NetworkAcl, uuid)
        if old.wanted.router != new.wanted.router:
            text = f"The {new.label} and {old.label} belong to different networks"
            raise InvalidValue(text, noun=NetworkAcl.KIND, ident=uuid, reason="other-router")
        left = tuple(each for each in old.wanted.associations if each.subnet != subnet)
        if left != old.wanted.associations:
            old = _wanted(caller, tx, old, "disassociate", associations=left)
        new = old if old.uuid == new.uuid else new
        added = SubnetAssociation(id=new_ec2("aclassoc"), subnet=subnet)
        _wanted(caller, tx, new, "associate", associations=(*new.wanted.associations, added))
        return added.id


def _of_association(caller: Caller, tx: Reader, association: str) -> tuple[NetworkAcl, str]:
    """The ACL and the subnet (by uuid) of an association. Raises NotFound."""
    for view in _views(caller, tx):
        for each in view.associations:
            if each.id == association:
                return view.acl, each.subnet
    text = f"The association ID '{association}' does not exist"
    raise NotFound(text, noun=NetworkAcl.KIND, ident=association, reason="association")


def _wanted(caller: Caller, tx: Writer, acl: NetworkAcl, verb: str, **changes: object) -> NetworkAcl:
    """The ACL as changed, in the journal; its router is woken."""
    acl = tx.want(acl, msgspec.structs.replace(acl.wanted, **changes))
    tx.add_journal_line(caller, acl, f"networkacl.{verb}", outcome="done")
    wake_router(tx, acl.wanted.router)
    return acl


@requires("member")
def forget_subnet(caller: Caller, tx: Writer, router: str, subnet: str) -> None:
    """Take a subnet (by uuid) that goes out of the ACL that names it."""
    for acl in acls_of(tx, router):
        left = tuple(each for each in acl.wanted.associations if each.subnet != subnet)
        if left != acl.wanted.associations:
            _wanted(caller, tx, acl, "disassociate", associations=left)


@requires("reader")
def listing(caller: Caller, core: Core) -> list[NetworkAclView]:
    """The project's ACLs."""
    with core.store.read() as tx:
        return _views(caller, tx)


def _views(caller: Caller, tx: Reader) -> list[NetworkAclView]:
    acls = tx.list(NetworkAcl, project=caller.project)
    acls_by_router: dict[str, list[NetworkAcl]] = {}
    for acl in acls:
        acls_by_router.setdefault(acl.wanted.router, []).append(acl)
    routers = tx.many(Router, acls_by_router)
    routers_by_network = {
        network.uuid: network.wanted.router
        for network in tx.list(Network, project=caller.project)
        if not network.wanted.gone
    }
    subnets_by_router: dict[str | None, list[Subnet]] = {}
    for subnet in tx.list(Subnet, project=caller.project):
        if not subnet.wanted.gone:
            subnets_by_router.setdefault(routers_by_network.get(subnet.wanted.network), []).append(subnet)
    associations: dict[str, list[SubnetAssociation]] = {}
    for router, own in acls_by_router.items():
        associations |= subnets_by_acl(own, subnets_by_router.get(router, ()))
    return [
        NetworkAclView(
            acl=acl,
            has_ipv6=acl.wanted.router in routers and bool(routers[acl.wanted.router].ipv6_cidrs),
            associations=tuple(associations[acl.uuid]),
        )
        for acl in acls
    ]
