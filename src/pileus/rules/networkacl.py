"""Network ACLs: the one that a subnet has, and the default one of each router."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.ids import new_uuid, sibling_uuid
from pileus.model.networkacl import OPEN, OPEN_IPV6, NetworkAcl, Wanted
from pileus.model.routetable import SubnetAssociation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pileus.model.router import Router
    from pileus.model.subnet import Subnet
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


def acls_of(tx: Reader, router: str) -> list[NetworkAcl]:
    """The network ACLs of a router (by uuid): none on one whose orders are older than network ACLs."""
    return [acl for acl in tx.referring(NetworkAcl, [router]) if not acl.wanted.gone]


def subnets_by_acl(acls: Sequence[NetworkAcl], subnets: Iterable[Subnet]) -> dict[str, list[SubnetAssociation]]:
    """The associations of each of a router's ACLs, by its uuid: those that it names, and for the default one the rest.

    The id of a subnet's association with the default one has the digits of the subnet's until the subnet changes ACLs.
    """
    associations = {acl.uuid: list(acl.wanted.associations) for acl in acls}
    named = {association.subnet for acl in acls for association in acl.wanted.associations}
    for default in (acl for acl in acls if acl.wanted.default):
        associations[default.uuid] += [
            SubnetAssociation(id=f"aclassoc-{subnet.ec2_id.partition('-')[2]}", subnet=subnet.uuid)
            for subnet in subnets
            if subnet.uuid not in named
        ]
    return associations


def admit_ipv6(tx: Writer, router: Router) -> list[NetworkAcl]:
    """Have the default ACL of a router allow everything by IPv6 too, if it allows everything; the ACLs changed."""
    return [
        tx.want(acl, msgspec.structs.replace(acl.wanted, entries=(*OPEN, *OPEN_IPV6)))
        for acl in acls_of(tx, router.uuid)
        if acl.wanted.default and set(acl.wanted.entries) == set(OPEN)
    ]


def add_default(tx: Writer, router: Router, *, sibling: bool = False) -> NetworkAcl:
    """The default ACL of a router, which allows everything; `sibling`: with the digits of the router's public id.

    So the ids were shown when no rows stood behind them.
    """
    uuid = sibling_uuid(router.uuid) if sibling else new_uuid()
    entries = (*OPEN, *OPEN_IPV6) if router.ipv6_cidrs else OPEN
    wanted = Wanted(router=router.uuid, default=True, entries=entries)
    return tx.add(NetworkAcl(uuid=uuid, project=router.project, wanted=wanted))
