"""The network interfaces of a launch: ports that are made with each instance, and available ones that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model import bounds
from pileus.model.errors import InvalidValue, QuotaExceeded
from pileus.model.network import Network
from pileus.model.port import Port
from pileus.model.securitygroup import SecurityGroup
from pileus.model.sizes import Ident
from pileus.model.subnet import Subnet
from pileus.rules import find
from pileus.rules import network as network_rules
from pileus.rules import port as rules
from pileus.rules.port import NewPort

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.model.instance import Instance
    from pileus.store.reader import Reader


class LaunchInterface(NewPort, frozen=True, kw_only=True, omit_defaults=True):
    """An interface at device `index`: the available `port` (a uuid), or a new one; no subnet means the default one.

    A port that is made goes with its instance if it is to be deleted on termination, one that is given stays.
    `map_public`: the public address is the loopback one; None: as its subnet says, if it is the only interface.
    """

    index: int = 0
    port: Ident = ""
    delete_on_termination: bool = True
    map_public: bool | None = None


class PlannedInterface(msgspec.Struct):
    """An interface with the nouns that it names, and its addresses for each instance, the primary one first.

    `port` is the port that is given, None where one is made.
    """

    interface: LaunchInterface
    subnet: Subnet
    network: Network
    groups: tuple[SecurityGroup, ...] = ()
    port: Port | None = None
    addresses: list[tuple[str, ...]] = []


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
        if most > 1 and (each.port or each.address or each.secondaries):
            text = "An interface or an address can be given to one instance only."
            raise InvalidValue(text, noun=Port.KIND, reason="address-count")
        if each.map_public is not None and len(interfaces) > 1:
            text = "A public address cannot be asked for at a launch with several network interfaces."
            raise InvalidValue(text, noun=Port.KIND, reason="combination")


def planned(caller: Caller, tx: Reader, interface: LaunchInterface, zone: str) -> PlannedInterface:
    """The interface without its addresses. Raises Conflict, InvalidValue, NotFound."""
    if interface.port:
        port = find.living(caller, tx, Port, interface.port)
        rules.check_available(port)
        if port.project != caller.project:
            text = f"The {port.label} belongs to another project."
            raise InvalidValue(text, noun=Port.KIND, ident=port.uuid, reason="project")
        subnet = tx.need(Subnet, port.wanted.subnet)
        network = tx.need(Network, port.wanted.network)
        return PlannedInterface(interface, subnet, network, port=port, addresses=[port.assigned.addresses])
    if interface.subnet:
        subnet = find.living(caller, tx, Subnet, interface.subnet)
    else:
        subnet = network_rules.default_subnet(caller, tx, zone)
    network = tx.need(Network, subnet.wanted.network)
    groups = rules.groups_of(caller, tx, network.wanted.router or "", interface.groups, "subnet")
    return PlannedInterface(interface, subnet, network, groups)


def addressed(tx: Reader, interfaces: Sequence[PlannedInterface], least: int, most: int) -> int:
    """Find addresses for the interfaces of `least` to `most` instances; for how many there are. Raises NoCapacity.

    Raises InvalidValue for an address that cannot be had.
    """
    own = [each for each in interfaces if each.port is None]
    named = [address for each in own for address in (each.interface.address, *each.interface.secondaries) if address]
    reserved = set(named)
    for each in own:
        for address in filter(None, (each.interface.address, *each.interface.secondaries)):
            network_rules.free_addresses(tx, each.subnet, 1, 1, address)
        free_count = (not each.interface.address) + each.interface.more
        if not free_count:
            each.addresses = [(each.interface.address, *each.interface.secondaries)]
            continue
        free = network_rules.free_addresses(tx, each.subnet, least * free_count, most * free_count, reserved=reserved)
        most = min(most, len(free) // free_count)
        each.addresses = [
            _ordered(each.interface, free[first : first + free_count])
            for first in range(0, most * free_count, free_count)
        ]
        reserved.update(free[: most * free_count])
    return most


def _ordered(interface: LaunchInterface, free: list[str]) -> tuple[str, ...]:
    if interface.address:
        return (interface.address, *interface.secondaries, *free)
    return (free[0], *interface.secondaries, *free[1:])


def new_port(each: PlannedInterface, number: int, instance: Instance, tags: Mapping[str, str], *, alone: bool) -> Port:
    """The port of an interface that is made for an instance, the launch's `number`-th; `alone`: it has no other."""
    interface, map_public = each.interface, each.interface.map_public
    if map_public is None:
        map_public = alone and each.subnet.wanted.map_public
    port = rules.new(
        each.subnet,
        each.addresses[number],
        each.groups,
        tags,
        instance=instance.uuid,
        index=interface.index,
        map_public=map_public,
        description=interface.description,
        network_tags=interface.network_tags,
        delete_on_termination=interface.delete_on_termination,
    )
    return msgspec.structs.replace(port, project=instance.project, created=instance.created)
