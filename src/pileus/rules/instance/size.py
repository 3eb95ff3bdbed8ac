"""The size of an instance, by which its usage is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.flavor import Flavor
from pileus.model.image import kind_of
from pileus.model.instance import Size
from pileus.model.volume import Volume

if TYPE_CHECKING:
    from pileus.model.instance import Instance
    from pileus.store.writer import Writer


def known(tx: Writer, row: Instance) -> Instance:
    """The row with its size. A process of an earlier version writes none, and has charged for it nevertheless.

    Callers ask for the size before they change the usage of an instance.
    """
    flavor = tx.get(Flavor, row.wanted.flavor) if row.assigned.size == Size() else None
    if flavor is None:
        return row
    disks = [volume.wanted for volume in tx.referring(Volume, [row.uuid])]
    size = Size(
        vcpus=flavor.wanted.vcpus,
        memory=flavor.wanted.memory,
        disk=sum(wanted.size for wanted in disks),
        kind=kind_of(disks[0].format) if disks else flavor.wanted.kind,
    )
    return tx.assign(row, msgspec.structs.replace(row.assigned, size=size), counted=True)
