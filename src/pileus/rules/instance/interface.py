"""The network interfaces of a launch: ports that are made with each instance, and available ones that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pileus.model import addresses, bounds
from pileus.model.errors import InvalidValue, QuotaExceeded
from pileus.model.network import Network
from pileus.model.port import Port
from pileus.model.securitygroup import SecurityGroup
from pileus.model.sizes import Ident
from pileus.model.subnet import Subnet
from pileus.rules import find, ipv6
from pileus.rules import network as network_rules
from pileus.rules import port as rules
from pileus.rules.port import NewPort

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.model.instance import Instance
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


class LaunchInterface(NewPort, frozen=True, kw_only=True, omit_defaults=True):
    """An interface at device `index`: the available `port` (a uuid), or a new one; no subnet means the default one.

    A port that is made goes with its instance if it is to be deleted on termination, one that is given stays.
    `map_public`: the public address is the loopback one; None: as its subnet says, if it is the only interface.
    """

    index: int = 0
    port: Ident = ""
    delete_on_termination: bool = True
    map_public: bool | None = None


class PlannedInterface(NamedTuple):
    """An interface with the nouns that it names. `port` is the port that is given, None where one is made."""

    interface: LaunchInterface
    subnet: Subnet
    network: Network
    groups: tuple[SecurityGroup, ...] = ()
    port: Port | None = None


def check(interfaces: Sequence[LaunchInterface], most: int) -> None:
    """Whether up to `most` instances can have these interfaces. Raises InvalidValue, QuotaExceeded."""
    if len(interfaces) > bounds.INTERFACES.most:
        text = f"An instance has at most {bounds.INTERFACES.most} network interfaces."
        raise QuotaExceeded(text, noun=Port.KIND, reason="interfaces")
    indices = [each.index for each in interfaces]
    if interfaces and (len(set(indices)) < len(indices) or min(indices) or max(indices) >= bounds.INTERFACES.most):
        text = f"The device indices of interfaces are 0 and others up to {bounds.INTERFACES.most - 1}, each once."
        raise InvalidValue(text, noun=Port.KIND, reason="device-index")
    ports = [each.port for each in interfaces if each.port]
    if len(set(ports)) < len(ports):
        raise InvalidValue("An interface is named twice.", noun=Port.KIND, reason="combination")
    for each in interfaces:
        rules.check(each)
        if each.port and each != LaunchInterface(index=each.index, port=each.port):
            text = "An interface that is given has its subnet, groups, addresses and description already."
            raise InvalidValue(text, noun=Port.KIND, reason="combination")
        if most > 1 and (each.port or each.address or each.secondaries or each.ipv6_addresses):
            text = "An interface or an address can be given to one instance only."
            raise InvalidValue(text, noun=Port.KIND, reason="address-count")
        if each.map_public is not None and len(interfaces) > 1:
            text = "A public address cannot be asked for at a launch with several network interfaces."
            raise InvalidValue(text, noun=Port.KIND, reason="combination")


def planned(caller: Caller, tx: Reader, interface: LaunchInterface, zone: str) -> PlannedInterface:
    """The interface with what it names, before it has addresses. Raises Conflict, InvalidValue, NotFound."""
    if interface.port:
        port = find.living(caller, tx, Port, interface.port)
        rules.check_available(port)
        if port.project != caller.project:
            text = f"The {port.label} belongs to another project."
            raise InvalidValue(text, noun=Port.KIND, ident=port.uuid, reason="project")
        subnet = tx.need(Subnet, port.wanted.subnet)
        network = tx.need(Network, port.wanted.network)
        return PlannedInterface(interface, subnet, network, port=port)
    if interface.subnet:
        subnet = find.living(caller, tx, Subnet, interface.subnet)
    else:
        subnet = network_rules.default_subnet(caller, tx, zone)
    network = tx.need(Network, subnet.wanted.network)
    groups = rules.groups_of(caller, tx, network.wanted.router or "", interface.groups, "subnet")
    return PlannedInterface(interface, subnet, network, groups)


def addressed(tx: Writer, interfaces: Sequence[PlannedInterface], least: int, most: int) -> list[list[tuple[str, ...]]]:
    """By interface the addresses of `least` to `most` instances, the primary one first, those of IPv6 last.

    None is taken twice.

    An interface may have addresses for more instances than another one has. Raises NoCapacity, and InvalidValue for an
    address that cannot be had.
    """
    own = [each.interface for each in interfaces if each.port is None]
    _check_once(interfaces)
    reserved = {address for each in own for address in (each.address, *each.secondaries) if address}
    by_interface: list[list[tuple[str, ...]]] = []
    for each in interfaces:
        by_interface.append(_addresses(tx, each, least, most, reserved))
        most = min(most, len(by_interface[-1]))
        reserved.update(address for instance in by_interface[-1] for address in instance)
    return by_interface


def _check_once(interfaces: Sequence[PlannedInterface]) -> None:
    """Raise InvalidValue where two interfaces are to have one address of a subnet."""
    named = [
        (each.subnet.uuid, addresses.shortest(address))
        for each in interfaces
        for address in (each.interface.address, *each.interface.secondaries, *each.interface.ipv6_addresses)
        if address
    ]
    if len(set(named)) < len(named):
        raise InvalidValue("An address is named twice.", noun=Port.KIND, reason="address")


def _addresses(
    tx: Writer, planned_interface: PlannedInterface, least: int, most: int, reserved: set[str]
) -> list[tuple[str, ...]]:
    if planned_interface.port is not None:
        return [planned_interface.port.assigned.addresses]
    interface, subnet = planned_interface.interface, planned_interface.subnet
    for address in filter(None, (interface.address, *interface.secondaries)):
        network_rules.free_addresses(tx, subnet, 1, 1, address)
    count = (not interface.address) + interface.more
    if not count:
        return [(interface.address, *interface.secondaries, *ipv6.addresses_for(tx, subnet, interface))]
    free = network_rules.free_addresses(tx, subnet, least * count, most * count, reserved=reserved)
    whole = len(free) // count * count
    return [
        (*_ordered(interface, free[first : first + count]), *ipv6.addresses_for(tx, subnet, interface))
        for first in range(0, whole, count)
    ]


def _ordered(interface: LaunchInterface, free: list[str]) -> tuple[str, ...]:
    if interface.address:
        return (interface.address, *interface.secondaries, *free)
    return (free[0], *interface.secondaries, *free[1:])


def new_port(
    each: PlannedInterface, own: Sequence[str], instance: Instance, tags: Mapping[str, str], *, alone: bool
) -> Port:
    """The port of an interface that is made for an instance, with its `own` addresses; `alone`: it has no other."""
    interface, map_public = each.interface, each.interface.map_public
    if map_public is None:
        map_public = alone and each.subnet.wanted.map_public
    port = rules.new(
        each.subnet,
        [address for address in own if ":" not in address],
        each.groups,
        tags,
        ipv6_addresses=[address for address in own if ":" in address],
        instance=instance.uuid,
        index=interface.index,
        map_public=map_public,
        description=interface.description,
        network_tags=interface.network_tags,
        delete_on_termination=interface.delete_on_termination,
    )
    return msgspec.structs.replace(port, project=instance.project, created=instance.created)
