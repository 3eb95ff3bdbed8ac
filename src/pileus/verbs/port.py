"""Ports: made alone, attached to instances and detached, changed, and deleted when no instance has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model import bounds, sizes, tag
from pileus.model.addresses import shortest
from pileus.model.errors import Conflict, InvalidValue, QuotaExceeded
from pileus.model.floatingip import FloatingIp
from pileus.model.instance import Instance, State, state
from pileus.model.port import Port
from pileus.model.router import Router
from pileus.model.routetable import RouteTable
from pileus.model.sizes import Description, Idents
from pileus.model.subnet import Subnet
from pileus.rules import find, floatingip, ipv6
from pileus.rules import port as rules
from pileus.rules.instance.view import InstanceView, NicView, joined, nics_of
from pileus.rules.network import free_addresses
from pileus.rules.port import NewPort
from pileus.rules.rights import requires
from pileus.rules.token import once

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

ADDRESSABLE = (State.PENDING, State.RUNNING, State.STOPPING, State.STOPPED)
"""The states of instances that may be given a port."""


class PortView(msgspec.Struct, frozen=True, kw_only=True):
    """A port with what it is on and in, and its instance if it has one."""

    nic: NicView
    instance: InstanceView | None = None


class PortChange(msgspec.Struct, frozen=True, kw_only=True):
    """The changes to a port; None leaves a part as it is. `groups` are uuids, which replace the port's."""

    groups: Idents | None = None
    description: Description | None = None
    forwards: bool | None = None
    map_public: bool | None = None
    delete_on_termination: bool | None = None
    network_tags: Idents | None = None


@requires("member")
def create(
    caller: Caller, core: Core, request: NewPort, tags: Mapping[str, str] | None = None, token: str = ""
) -> Port:
    """Make a port that no instance has. Raises InvalidValue, NoCapacity, NotFound, QuotaExceeded, TokenReused."""
    sizes.check(request)
    rules.check(request)
    tag.check(dict(tags or {}))
    with core.store.write() as tx:

        def make() -> Port:
            return _make(caller, tx, request, dict(tags or {}))

        parameters = [msgspec.to_builtins(request), dict(tags or {})]
        return once(caller, tx, Port, token, parameters, make)


def _make(caller: Caller, tx: Writer, request: NewPort, tags: dict[str, str]) -> Port:
    subnet = find.living(caller, tx, Subnet, request.subnet)
    tx.lock(subnet)
    named = [address for address in (request.address, *request.secondaries) if address]
    own = [free_addresses(tx, subnet, 1, 1, address)[0] for address in named]
    missing = 1 + len(request.secondaries) + request.more - len(own)
    free = free_addresses(tx, subnet, missing, missing, reserved=own) if missing else []
    own = [*own, *free] if request.address else [*free[:1], *own, *free[1:]]
    port = rules.new(
        subnet,
        own,
        (),
        tags,
        ipv6_addresses=ipv6.addresses_for(tx, subnet, request),
        map_public=False,
        description=request.description,
        network_tags=request.network_tags,
    )
    groups = rules.groups_of(caller, tx, rules.router_of(tx, port), request.groups, "subnet")
    wanted = msgspec.structs.replace(port.wanted, groups=tuple(group.uuid for group in groups))
    port = tx.add(msgspec.structs.replace(port, wanted=wanted))
    tx.add_journal_line(caller, port, "port.create", goal=port.generation)
    tx.wake(port)
    return port


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a port. Raises Conflict while an instance has it."""
    with core.store.write() as tx:
        port = find.living(caller, tx, Port, uuid)
        rules.check_available(port)
        floatingip.leave(caller, tx, port)
        port = tx.want_gone(port)
        tx.add_journal_line(caller, port, "port.delete")
        tx.wake(port)


@requires("member")
def attach(caller: Caller, core: Core, uuid: str, instance: str, index: int) -> Port:
    """Give a port to an instance (by uuid) at a device index, while it runs too; it stays when the instance goes.

    Raises Conflict where either is not in a state for that, InvalidValue for an index that is taken, QuotaExceeded.
    """
    with core.store.write() as tx:
        port, holder = find.living(caller, tx, Port, uuid), find.living(caller, tx, Instance, instance)
        tx.lock(holder)
        rules.check_available(port)
        if port.project != holder.project:
            text = f"The {port.label} and {holder.label} belong to different projects."
            raise InvalidValue(text, noun=Port.KIND, ident=uuid, reason="project")
        if state(holder) not in ADDRESSABLE:
            text = f"The {holder.label} is not in a state in which a port may be attached."
            raise Conflict(text, noun=Instance.KIND, ident=instance, reason="state")
        _check_index(tx, holder, index)
        holder = tx.revise(holder)
        port = rules.attached(tx, port, holder, index)
        port = rules.unconfirmed(tx, port, holder.uuid, holder.revision)
        tx.add_journal_line(caller, port, "port.attach", goal=port.generation)
        tx.wake(holder)
        return port


def _check_index(tx: Reader, instance: Instance, index: int) -> None:
    indices = {port.wanted.index for port in rules.of_instance(tx, instance.uuid)}
    if len(indices) >= bounds.INTERFACES.most:
        text = f"An instance has at most {bounds.INTERFACES.most} network interfaces."
        raise QuotaExceeded(text, noun=Port.KIND, reason="interfaces")
    if index in indices:
        text = f"The {instance.label} already has an interface attached at device index '{index}'."
        raise InvalidValue(text, noun=Port.KIND, ident=str(index), reason="device-index")
    if not 0 <= index < bounds.INTERFACES.most:
        text = f"The device index '{index}' is not from 0 to {bounds.INTERFACES.most - 1}."
        raise InvalidValue(text, noun=Port.KIND, ident=str(index), reason="device-index")


@requires("member")
def detach(caller: Caller, core: Core, uuid: str) -> None:
    """Take a port from its instance, while that runs too; it is available once the instance's host has let it go.

    Raises Conflict for the first port of an instance, and for one that no instance has.
    """
    with core.store.write() as tx:
        port = find.living(caller, tx, Port, uuid)
        holder = tx.get(Instance, port.wanted.instance) if port.wanted.instance else None
        if holder is None:
            text = f"The {port.label} is attached to no instance."
            raise Conflict(text, noun=Port.KIND, ident=uuid, reason="not-attached")
        if not port.wanted.index:
            text = f"The {port.label} at device index 0 cannot be detached."
            raise Conflict(text, noun=Port.KIND, ident=uuid, reason="first")
        holder = tx.revise(holder)
        port = rules.detached(tx, port, holder.revision)
        tx.add_journal_line(caller, port, "port.detach", goal=port.generation)
        tx.wake(holder)


@requires("member")
def modify(caller: Caller, core: Core, uuid: str, change: PortChange) -> None:
    """Change a port. Raises InvalidValue, NotFound, QuotaExceeded; Conflict where no instance has it and one must."""
    sizes.check(change)
    with core.store.write() as tx:
        port = find.living(caller, tx, Port, uuid)
        changes = {name: value for name in change.__struct_fields__ if (value := getattr(change, name)) is not None}
        if change.description is not None:
            rules.check(NewPort(description=change.description))
        if change.network_tags is not None:
            rules.check_network_tags(change.network_tags)
        if change.groups is not None:
            if not change.groups:
                raise InvalidValue("A port is in at least one security group.", noun=Port.KIND, reason="groups")
            groups = rules.groups_of(caller, tx, rules.router_of(tx, port), change.groups, "port")
            changes["groups"] = tuple(group.uuid for group in groups)
        if change.delete_on_termination is not None and not port.wanted.instance:
            text = f"The {port.label} is attached to no instance."
            raise Conflict(text, noun=Port.KIND, ident=uuid, reason="not-attached")
        port = tx.want(port, msgspec.structs.replace(port.wanted, **changes))
        tx.add_journal_line(caller, port, "port.modify", goal=port.generation)
        _wake(tx, port)


@requires("member")
def assign(
    caller: Caller, core: Core, uuid: str, addresses: Sequence[str] = (), more: int = 0, *, move: bool = False
) -> list[str]:
    """Give a port further addresses: those named, or so many free ones. With `move` another port's may be named.

    Returns the addresses. Raises InvalidValue, NoCapacity, QuotaExceeded.
    """
    with core.store.write() as tx:
        port = find.living(caller, tx, Port, uuid)
        subnet = tx.need(Subnet, port.wanted.subnet)
        tx.lock(subnet)
        if bool(addresses) == bool(more) or more < 0:
            text = "Either addresses or a number of them is to be named."
            raise InvalidValue(text, noun=Port.KIND, reason="combination")
        new = [address for address in dict.fromkeys(addresses) if address not in port.assigned.addresses]
        rules.check_count(len(port.assigned.addresses) + len(new) + more)
        if move:
            for address in new:
                _take(caller, tx, subnet, address)
        if more:
            new = free_addresses(tx, subnet, more, more)
        else:
            new = [free_addresses(tx, subnet, 1, 1, address)[0] for address in new]
        _readdress(caller, tx, port, "assign", secondaries=(*port.assigned.secondaries, *new))
        return new if more else list(dict.fromkeys(addresses))


@requires("member")
def unassign(caller: Caller, core: Core, uuid: str, addresses: Sequence[str]) -> None:
    """Take secondary addresses from a port. Raises InvalidValue for any other address."""
    with core.store.write() as tx:
        port = find.living(caller, tx, Port, uuid)
        for address in addresses:
            if address not in port.assigned.secondaries:
                text = f"The address {address} is no secondary one of {port.label}."
                raise InvalidValue(text, noun=Port.KIND, ident=address, reason="address")
        left = tuple(address for address in port.assigned.secondaries if address not in addresses)
        _readdress(caller, tx, port, "unassign", secondaries=left)


@requires("member")
def assign_ipv6(caller: Caller, core: Core, uuid: str, addresses: Sequence[str] = (), more: int = 0) -> list[str]:
    """Give a port further addresses of IPv6: those named, or so many free ones. Returns the addresses.

    Raises InvalidValue, QuotaExceeded.
    """
    with core.store.write() as tx:
        port = find.living(caller, tx, Port, uuid)
        subnet = tx.need(Subnet, port.wanted.subnet)
        tx.lock(subnet)
        if bool(addresses) == bool(more) or more < 0:
            text = "Either addresses or a number of them is to be named."
            raise InvalidValue(text, noun=Port.KIND, reason="combination")
        own, named = port.assigned.ipv6, tuple(dict.fromkeys(map(shortest, addresses)))
        ipv6.check_count(len(own) + len(named) + more)
        new = ipv6.free_addresses(tx, subnet, more, named)
        if more and not own:
            new = ipv6.autoconfigured(subnet, port.assigned.mac, new)
        _readdress(caller, tx, port, "assign", ipv6=(*own, *new))
        return list(new)


@requires("member")
def unassign_ipv6(caller: Caller, core: Core, uuid: str, addresses: Sequence[str]) -> None:
    """Take addresses of IPv6 from a port. Raises InvalidValue for any other address."""
    with core.store.write() as tx:
        port = find.living(caller, tx, Port, uuid)
        addresses = [*map(shortest, addresses)]
        for address in addresses:
            if address not in port.assigned.ipv6:
                text = f"The address {address} is no IPv6 address of {port.label}."
                raise InvalidValue(text, noun=Port.KIND, ident=address, reason="address")
        left = tuple(address for address in port.assigned.ipv6 if address not in addresses)
        _readdress(caller, tx, port, "unassign", ipv6=left)


def _take(caller: Caller, tx: Writer, subnet: Subnet, address: str) -> None:
    """Take a secondary address from another port of the project."""
    holder = tx.claimed(f"subnet:{subnet.uuid}", address)
    other = tx.get(Port, holder[1]) if holder else None
    if other is not None and find.visible(caller, other) and address in other.assigned.secondaries:
        left = tuple(each for each in other.assigned.secondaries if each != address)
        _readdress(caller, tx, other, "unassign", secondaries=left)


def _readdress(caller: Caller, tx: Writer, port: Port, verb: str, **changes: tuple[str, ...]) -> None:
    before = port.assigned.secondaries
    port = tx.assign(port, msgspec.structs.replace(port.assigned, **changes))
    removed = set(before) - set(port.assigned.secondaries)
    if removed:
        floatingip.leave(caller, tx, port, removed)
    tx.add_journal_line(caller, port, f"port.{verb}", goal=port.generation)
    _wake(tx, port)


def _wake(tx: Writer, port: Port) -> None:
    """Wake all whose orders name what a port has: its own, its instance's, and its router's if a route leads there."""
    tx.wake(port)
    if port.wanted.instance:
        tx.wake_all(Instance.KIND, [port.wanted.instance])
    router = rules.router_of(tx, port)
    if any(table.leads_to(port.uuid) for table in tx.referring(RouteTable, [router])):
        tx.wake_all(Router.KIND, [router])


@requires("reader")
def listing(caller: Caller, core: Core) -> list[PortView]:
    """The project's ports, with their instances; not those that are to go and that no instance has."""
    with core.store.read() as tx:
        ports = [port for port in tx.list(Port, project=caller.project) if port.wanted.instance or not port.wanted.gone]
        nics = nics_of(tx, ports, tx.list(FloatingIp, project=caller.project))
        instances = tx.many(Instance, {port.wanted.instance for port in ports if port.wanted.instance})
        # Ports show nothing of their instances' other ports and disks.
        views = {view.instance.uuid: view for view in joined(tx, list(instances.values()), (), ())}
        return [
            PortView(nic=nic, instance=views.get(nic.port.wanted.instance or ""))
            for nic in sorted(nics, key=lambda nic: nic.port.id)
        ]
