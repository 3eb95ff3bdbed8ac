"""Making the rows of an instance from the order that its host holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from pileus.model.errors import InvalidValue
from pileus.model.flavor import Flavor
from pileus.model.instance import Assigned, Instance, Seen, Size
from pileus.model.keypair import KeyPair
from pileus.model.network import Network
from pileus.model.noun import Keeper, Noun, only
from pileus.model.nouns import NOUNS
from pileus.model.port import Port
from pileus.model.record import recall
from pileus.model.securitygroup import SecurityGroup
from pileus.model.securitygroup import Wanted as GroupWanted
from pileus.rules import keypair

if TYPE_CHECKING:
    from pileus.bus.messages import BodyReport
    from pileus.model.spec import InstanceSpec
    from pileus.store.writer import Writer


N = TypeVar("N", bound=Noun)


def make(tx: Writer, spec: InstanceSpec, host: str, body: BodyReport) -> Instance:
    """The rows of an instance on `host` as `spec` says, made or overwritten, and what is missing around them.

    Claims that others hold are left to `recount.set_right`. A loop is woken, whose next order is above `spec`.
    Raises InvalidValue for an order without a record.
    """
    nouns = recalled(spec.record, "host")
    named = next((noun for noun in only(Instance, nouns) if noun.uuid == spec.uuid), None)
    if named is None:
        raise InvalidValue(f"The order of '{spec.ec2_id}' does not say what it was made from.", ident=spec.ec2_id)
    own = [noun for noun in nouns if noun.uuid == spec.uuid or noun.owner(Instance.KIND) == spec.uuid]
    for cls in NOUNS.values():
        for noun in only(cls, nouns):
            if noun not in own:
                _around(tx, noun)
    _groups(tx, spec, nouns)
    _key(tx, spec)
    row = put(tx, _sized(_with_flavor(tx, named, spec.flavor), spec, host))
    old: Assigned = row.assigned
    clear = {name: revision for name, revision in old.clear.items() if name != host}
    row = tx.revise(row, msgspec.structs.replace(old, host=host, ever=True, clear=clear, content=""))
    row = tx.see(row, _seen(body, row.seen.satisfied))
    for owned in own:
        if owned.uuid != spec.uuid:
            put(tx, owned)
    ports = tx.referring(Port, [row.uuid])
    tx.wake(row)
    tx.wake_all(Port.KIND, [port.uuid for port in ports])
    return row


def recalled(text: str, keeper: Keeper) -> list[Noun]:
    """The nouns of the record of an order of `keeper`; none when it is not one of ours."""
    try:
        return recall(text, keeper)
    except ValueError:
        return []


def put(tx: Writer, noun: N) -> N:
    """The row of `noun`, made, or overwritten by what it says."""
    row = tx.get(type(noun), noun.uuid)
    if row is None:
        return tx.add(noun)
    if (row.wanted, row.name, row.tags) != (noun.wanted, noun.name, noun.tags):
        row = tx.want(row, noun.wanted, name=noun.name, tags=noun.tags)
    assigned = noun.assigned_over(row)
    return row if assigned == row.assigned else tx.assign(row, assigned)


def _around(tx: Writer, noun: Noun) -> None:
    """Make a noun that the instance's rows refer to, unless there is one, or one of its name."""
    if noun.wanted.gone or tx.get(type(noun), noun.uuid) is not None:
        return
    if any(tx.claimed(pool, value) for pool, value in noun.claims()):
        return
    new_noun = tx.add(noun)
    if new_noun.KEEPER == "engine":
        tx.wake(new_noun)


def _sized(noun: Instance, spec: InstanceSpec, host: str) -> Instance:
    """The instance with its host and its size, which its record leaves out."""
    disk = sum(disk.size for disk in spec.disks)
    size = Size(vcpus=spec.vcpus, memory=spec.memory, disk=disk, kind=spec.machine)
    return msgspec.structs.replace(noun, assigned=msgspec.structs.replace(noun.assigned, host=host, size=size))


def _with_flavor(tx: Writer, noun: Instance, name: str) -> Instance:
    """The instance with the flavor that has that name here, should its own not have been kept."""
    holder = tx.claimed(Flavor.names(), name)
    if holder is None or tx.get(Flavor, noun.wanted.flavor) is not None:
        return noun
    return msgspec.structs.replace(noun, wanted=msgspec.structs.replace(noun.wanted, flavor=holder[1]))


def _groups(tx: Writer, spec: InstanceSpec, nouns: list[Noun]) -> None:
    """Groups that nobody else kept come back with their names, and without rules."""
    routers = {network.uuid: network.wanted.router for network in only(Network, nouns)}
    for nic in spec.nics:
        for uuid, name in zip(nic.groups, nic.group_names, strict=True):
            router = routers.get(nic.network)
            if nic.network in routers and tx.get(SecurityGroup, uuid) is None:
                wanted = GroupWanted(router=router, description=name, default=name == "default")
                tx.wake(tx.add(SecurityGroup(uuid=uuid, project=spec.project, name=name, wanted=wanted)))


def _key(tx: Writer, spec: InstanceSpec) -> None:
    """The public half of the key that the instance was launched with, unless its project has one of that name."""
    pool = KeyPair.names(spec.project)
    if spec.key_name and spec.public_keys and tx.claimed(pool, spec.key_name) is None:
        tx.add(keypair.known(spec.project, spec.key_name, spec.public_keys[0]))


def _seen(body: BodyReport, satisfied: int) -> Seen:
    """Return the host's report of the body as `Seen`; its revision belongs to no order of this store."""
    return Seen(
        running=body.running,
        n=body.n,
        reboot=body.reboot,
        satisfied=max(satisfied, body.satisfied),
        ever=body.ever,
        since=body.since,
        fault=body.fault,
    )
