"""Ports: planned and made, attached to instances and let go."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from pileus.model import addresses, bounds
from pileus.model.errors import Conflict, InvalidValue, QuotaExceeded
from pileus.model.ids import new_ec2, new_uuid
from pileus.model.instance import Instance
from pileus.model.network import Network
from pileus.model.noun import NEVER, Revision
from pileus.model.port import Assigned, Port, Wanted
from pileus.model.securitygroup import SecurityGroup
from pileus.model.sizes import Description, Ident, Idents
from pileus.rules import find, ipv6, securitygroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.model.subnet import Subnet
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


class NewPort(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A port to be made on `subnet`, in `groups` (all by uuid), or in the default group if there are none.

    `address` is its first one, or the lowest free one if it is empty; `secondaries` are further ones, and `more` is the
    number of those that may be any. `ipv6_addresses` and `ipv6_count` are the same for IPv6; None: as the subnet says.
    Rules of groups select it by its `network_tags`.
    """

    subnet: Ident = ""
    groups: Idents = ()
    address: Ident = ""
    secondaries: Idents = ()
    more: int = 0
    ipv6_addresses: Idents = ()
    ipv6_count: int | None = None
    description: Description = ""
    network_tags: Idents = ()


_NETWORK_TAG = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def check(request: NewPort) -> None:
    """Whether a port can be made so, as far as that shows without the store. Raises InvalidValue, QuotaExceeded."""
    if len(request.description) > bounds.DESCRIPTION.most:
        text = f"The description of a network interface has at most {bounds.DESCRIPTION.most} characters."
        raise InvalidValue(text, noun=Port.KIND, reason="description")
    check_network_tags(request.network_tags)
    named_addresses = [
        addresses.shortest(address)
        for address in (request.address, *request.secondaries, *request.ipv6_addresses)
        if address
    ]
    if len(set(named_addresses)) < len(named_addresses):
        raise InvalidValue("An address is named twice.", noun=Port.KIND, reason="address")
    if (request.secondaries and request.more) or (request.ipv6_addresses and request.ipv6_count):
        text = "Secondary addresses, and those of IPv6, are either named or counted, not both."
        raise InvalidValue(text, noun=Port.KIND, reason="combination")
    check_count(max(len(request.ipv6_addresses), request.ipv6_count or 0))
    check_count(1 + len(request.secondaries) + request.more)
    least = min(request.more, request.ipv6_count or 0)
    if least < 0:
        text = f"The number of secondary addresses cannot be {least}."
        raise InvalidValue(text, noun=Port.KIND, reason="count")


def check_network_tags(tags: Iterable[str]) -> None:
    """Raise InvalidValue, QuotaExceeded for network tags that no port may have: words as GCE's."""
    tags = list(tags)
    if len(tags) > bounds.NETWORK_TAGS.most:
        text = f"There are at most {bounds.NETWORK_TAGS.most} network tags."
        raise QuotaExceeded(text, noun=Port.KIND, reason="network-tags")
    for tag in tags:
        if not _NETWORK_TAG.fullmatch(tag):
            text = f"'{tag[:63]}' is no network tag: a letter, then up to 62 lowercase letters, digits and dashes."
            raise InvalidValue(text, noun=Port.KIND, ident=tag[:63], reason="network-tag")


def check_count(count: int) -> None:
    """Raise QuotaExceeded for a `count` of addresses that no port may have."""
    if count > bounds.ADDRESSES.most:
        text = f"A port has at most {bounds.ADDRESSES.most} private addresses."
        raise QuotaExceeded(text, noun=Port.KIND, reason="addresses")


def groups_of(caller: Caller, tx: Reader, router: str, uuids: Iterable[str], where: str) -> tuple[SecurityGroup, ...]:
    """The groups with these uuids, which are of the router with that uuid or of none; the default group for no uuids.

    `router` is empty for a network without one: the project's own groups are for it. Raises NotFound; InvalidValue,
    which says by `where` to what the router belongs.
    """
    groups = [find.living(caller, tx, SecurityGroup, uuid) for uuid in dict.fromkeys(uuids)]
    if not groups:
        groups = securitygroup.defaults(caller, tx, router)
    securitygroup.within(groups, router, where)
    return tuple(groups)


def new(
    subnet: Subnet,
    own_addresses: Sequence[str],
    groups: Iterable[SecurityGroup],
    tags: Mapping[str, str],
    *,
    ipv6_addresses: Sequence[str] = (),
    **wanted: object,
) -> Port:
    """A port with these addresses, the primary one first, which is still to be added to the store.

    `ipv6_addresses` are those of IPv6.
    """
    mac = addresses.new_mac()
    parts = Wanted(network=subnet.wanted.network, subnet=subnet.uuid, groups=tuple(group.uuid for group in groups))
    return Port(
        uuid=new_uuid(),
        project=subnet.project,
        tags=dict(tags),
        wanted=msgspec.structs.replace(parts, **wanted),
        assigned=Assigned(
            mac=mac,
            address=own_addresses[0],
            secondaries=tuple(own_addresses[1:]),
            ipv6=ipv6.autoconfigured(subnet, mac, ipv6_addresses),
        ),
    )


def check_available(port: Port) -> None:
    """Raise Conflict for a port that an instance has, or that the host of one has still."""
    if port.wanted.instance or port.assigned.unconfirmed:
        text = f"The {port.label} is currently in use."
        raise Conflict(text, noun=Port.KIND, ident=port.uuid, reason="in-use")


def attached(tx: Writer, port: Port, instance: Instance, index: int) -> Port:
    """Give an available port to an instance, at a device index that is free; the port as it is then.

    It stays when the instance goes, as EC2's do. An instance that runs already has to be revised before.
    """
    wanted = msgspec.structs.replace(
        port.wanted,
        instance=instance.uuid,
        index=index,
        attachment=new_ec2("eni-attach"),
        attached=tx.now,
        delete_on_termination=False,
    )
    return tx.want(port, wanted)


def unconfirmed(tx: Writer, port: Port, instance: str, until: Revision = NEVER) -> Port:
    """Have the port wait for what an instance's host says of the order with the revision `until`, and wake it."""
    port = tx.assign(port, msgspec.structs.replace(port.assigned, unconfirmed=instance, until=until))
    tx.wake(port)
    return port


def detached(tx: Writer, port: Port, until: Revision = NEVER) -> Port:
    """Take a port from its instance, whose host has it still; floating addresses stay the port's."""
    instance = port.wanted.instance or ""
    wanted = msgspec.structs.replace(
        port.wanted, instance=None, index=0, attachment="", attached=0.0, delete_on_termination=False, map_public=False
    )
    return unconfirmed(tx, tx.want(port, wanted), instance, until)


def of_instance(tx: Reader, instance: str) -> list[Port]:
    """The ports that an instance (by uuid) has, by device index."""
    ports = [port for port in tx.referring(Port, [instance]) if port.wanted.instance == instance]
    return sorted((port for port in ports if not port.wanted.gone), key=lambda port: port.wanted.index)


def only(tx: Reader, instance: Instance) -> Port:
    """The only port of an instance. Raises InvalidValue where it has several, as EC2 does, or none."""
    ports = of_instance(tx, instance.uuid)
    if len(ports) != 1:
        text = f"There are {len(ports)} interfaces attached to {instance.label}: name one of them."
        raise InvalidValue(text, noun=Instance.KIND, ident=instance.uuid, reason="interfaces")
    return ports[0]


def router_of(tx: Reader, port: Port) -> str:
    """The uuid of the router of a port's network; empty for none."""
    return tx.need(Network, port.wanted.network).wanted.router or ""
