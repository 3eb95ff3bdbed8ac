"""The records in a container's folder: its spec, and which of its volumes were made once."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pileus.model.spec import InstanceSpec
from pileus.posix.files import write_file
from pileus.providers.local.layout import Layout

NAME = "order.json"


class ContainerOrder(msgspec.Struct, frozen=True):
    """The spec last taken, and the volumes (uuids) that were made once: one of those that is missing is lost.

    `moving` are the ports (uuids) whose NICs were being plugged in or taken away.
    """

    spec: InstanceSpec
    made: tuple[str, ...] = ()
    moving: tuple[str, ...] = ()

    @property
    def ports(self) -> frozenset[str]:
        """The ports (uuids) whose NICs the container may have."""
        return frozenset((*self.moving, *(nic.uuid for nic in self.spec.nics)))


def read(folder: Path) -> ContainerOrder | None:
    """The order in a container's folder; None for a container half made or half removed, and for a damaged one."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=ContainerOrder)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write(folder: Path, order: ContainerOrder, *, lasting: bool = True) -> None:
    """Keep the order; a `lasting` one survives a power cut. Raises OSError."""
    write_file(folder / NAME, msgspec.json.encode(order), lasting=lasting)


def folders(layout: Layout) -> list[str]:
    """The names of all containers' folders: their instances' uuids. Raises OSError."""
    if not layout.containers.exists():
        return []
    return sorted(path.name for path in layout.containers.iterdir() if not path.name.startswith("."))


def orders(layout: Layout) -> list[ContainerOrder]:
    """The orders in all containers' folders. Raises OSError."""
    return [order for uuid in folders(layout) if (order := read(layout.containers / uuid)) is not None]
