"""What claims and usage have to be, counted anew from the rows that live; and setting them right."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

from pileus.model.errors import NotFound
from pileus.model.flavor import Flavor
from pileus.model.floatingip import FloatingIp
from pileus.model.image import Assigned, Image, kind_of, waiting
from pileus.model.instance import Instance
from pileus.model.keypair import KeyPair
from pileus.model.nouns import NOUNS
from pileus.model.placement import host_vcpus
from pileus.model.placementgroup import PlacementGroup
from pileus.model.port import Port
from pileus.model.router import Router
from pileus.model.securitygroup import SecurityGroup
from pileus.model.volume import Volume
from pileus.store.writer import project_scope
from pileus.verbs.image import of_instance, on_host

if TYPE_CHECKING:
    from pileus.model.noun import Noun
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer
    from pileus.verbs.core import Core

POOLS = (
    "host:",
    "loopback",
    "floating",
    "subnet:",
    "mac",
    "securitygroup:",
    "keypair:",
    "placementgroup:",
    "mcc",
    "capture:",
    "captured:",
)
"""The pools that are recounted here; names of projects, users and the like are not."""

WITHHELD = "usage withheld"
"""The number in the store's `meta` that is 1 while usage may be too high: unreadable rows may use the difference."""

Claims = set[tuple[str, str, str]]
Usage = dict[tuple[str, str], int]


def claims(tx: Reader) -> Claims:
    """Every claim that a living row has a right to, as (pool, value, uuid); none of a row that was met unreadable."""
    found: Claims = set()
    instances = tx.list(Instance)
    for row in instances:
        found |= _of_instance(row)
    for router in tx.list(Router):
        if router.assigned.address:
            found.add(("floating", router.assigned.address, router.uuid))
    for floating in tx.list(FloatingIp):
        found.add(("floating", floating.assigned.address, floating.uuid))
    known = {row.uuid for row in instances}
    for port in tx.list(Port):
        found.add((f"subnet:{port.wanted.subnet}", port.assigned.address, port.uuid))
        found.add(("mac", port.assigned.mac, port.uuid))
        if port.assigned.loopback and port.wanted.instance not in known:
            found.add(("loopback", port.assigned.loopback, port.uuid))
    for group in tx.list(SecurityGroup):
        if not group.wanted.gone:  # its name is free as soon as it is asked to go
            found.add((f"securitygroup:{group.wanted.router}", group.name, group.uuid))
    for image in tx.list(Image):
        found |= _of_image(image)
    for named in (*tx.list(PlacementGroup), *tx.list(KeyPair)):
        found.add((f"{named.KIND}:{named.project}", named.name, named.uuid))
    # Kinds that are kept decoded may have been read before one of their rows was damaged, and again since.
    return {claim for claim in found if claim[2] not in tx.unreadable} if tx.unreadable else found


def _of_instance(row: Instance) -> Claims:
    found = {(f"host:{host}", row.uuid, row.uuid) for host in {row.assigned.host, *row.assigned.clear} - {None}}
    if row.assigned.loopback:
        found.add(("loopback", row.assigned.loopback, row.uuid))
    if row.assigned.number:
        found.add(("mcc", str(row.assigned.number), row.uuid))
    return found


def _of_image(row: Image) -> Claims:
    assigned = row.assigned or Assigned()
    hosts = {assigned.host, *assigned.clear} - {None}
    found = {(on_host(str(host)), row.uuid, row.uuid) for host in hosts}
    return found | ({(of_instance(row.wanted.instance), row.uuid, row.uuid)} if waiting(row) else set())


def usage(tx: Reader) -> Usage:
    """What is used, by (scope, resource), zeros left out."""
    found: Counter[tuple[str, str]] = Counter()
    for cls in NOUNS.values():
        for noun in tx.list(cls):
            for resource, amount in noun.amounts().items():
                found[project_scope(noun.project), resource] += amount
    disks: Counter[str] = Counter()
    kinds: dict[str, str] = {}
    for volume in tx.list(Volume):
        disks[volume.wanted.instance or ""] += volume.wanted.size
        kinds.setdefault(volume.wanted.instance or "", kind_of(volume.wanted.format))
    for row in tx.list(Instance):
        if row.wanted.flavor not in tx.many(Flavor, [row.wanted.flavor]) and row.wanted.flavor in tx.unreadable:
            continue
        flavor = tx.need(Flavor, row.wanted.flavor).wanted
        each = {"vcpus": flavor.vcpus, "memory": flavor.memory}
        for resource, amount in each.items():
            found[project_scope(row.project), resource] += amount
        each["vcpus"] = host_vcpus(flavor.vcpus, kinds.get(row.uuid, flavor.kind))
        for host in {row.assigned.host, *row.assigned.clear} - {None}:
            for resource, amount in {**each, "disk": disks[row.uuid]}.items():
                found[f"host:{host}", resource] += amount
    return {key: amount for key, amount in found.items() if amount}


def differences(tx: Reader) -> list[str]:
    """Where the store's claims and usage are not what the rows say, in words; empty when all is well."""
    should, used, counted = claims(tx), tx.usage(), usage(tx)
    kept = {claim for claim in tx.claims() if claim[0].startswith(POOLS) and claim[2] not in tx.unreadable}
    found = [f"claim without a right: {claim}" for claim in sorted(kept - should)]
    found += [f"claim missing: {claim}" for claim in sorted(should - kept)]
    if tx.unreadable:
        return found  # what such rows use cannot be counted
    found += [
        f"usage of {key}: {used.get(key, 0)}, counted {counted.get(key, 0)}"
        for key in sorted(used.keys() | counted.keys())
        if used.get(key, 0) != counted.get(key, 0)
    ]
    return found


def set_right(tx: Writer) -> list[str]:
    """Make claims and usage what the rows say; the differences that are left.

    Those are values to which two rows have a right, one of which gets it: what runs before what does not, then the
    older one. Safe to repeat. Unreadable rows keep their claims, and while there are any no usage is lowered:
    `catch_up` does that later.
    """
    should = claims(tx)
    rights = Counter((pool, value) for pool, value, _ in should)
    for pool, value, uuid in tx.claims():
        if uuid in tx.unreadable:
            continue
        if pool.startswith(POOLS) and ((pool, value, uuid) not in should or rights[pool, value] > 1):
            tx.unclaim(pool, value)
    taken = {(pool, value) for pool, value, _ in tx.claims()}
    holders = _holders(tx)
    for pool, value, uuid in sorted(should, key=lambda claim: holders[claim[2]][0]):
        if (pool, value) not in taken:
            taken.add((pool, value))
            tx.claim(pool, value, holders[uuid][1])
    used, counted = tx.usage(), usage(tx)
    for scope, resource in used.keys() | counted.keys():
        amount = counted.get((scope, resource), 0) - used.get((scope, resource), 0)
        if amount > 0 or (amount and not tx.unreadable):
            tx.take(scope, resource, amount, None)
    if bool(tx.unreadable) != bool(tx.meta(WITHHELD)):
        tx.keep_meta(WITHHELD, int(bool(tx.unreadable)))
    return differences(tx)


def catch_up(core: Core) -> None:
    """Lower usage that was not lowered because of unreadable rows, if every row can be read now."""
    with core.store.read() as tx:
        if not tx.meta(WITHHELD):
            return
        for cls in NOUNS.values():
            tx.list(cls)
        if tx.unreadable:
            return
    # A row that refers to nothing is a finding of the doctor's.
    with contextlib.suppress(NotFound), core.store.write() as tx:
        set_right(tx)


def _holders(tx: Reader) -> dict[str, tuple[tuple[bool, float, int], Noun]]:
    """Every row that may hold claims, by uuid, with its place in the order in which they get them."""
    instances = tx.list(Instance)
    running = {row.uuid for row in instances if row.seen.running}
    known = {row.uuid for row in instances}
    found: dict[str, tuple[tuple[bool, float, int], Noun]] = {}
    for cls in (Instance, Router, FloatingIp, Port, SecurityGroup, KeyPair, PlacementGroup, Image):
        for row in tx.list(cls):
            runs = row.uuid in running
            if isinstance(row, Port):
                # That of an instance that nobody knows yet counts as one that runs: its host was not heard.
                instance = row.wanted.instance or ""
                runs = instance in running or (instance != "" and instance not in known)
            found[row.uuid] = (not runs, row.created, row.id), row
    return found
