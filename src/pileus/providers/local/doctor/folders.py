"""Instances' folders, their disks, and the images that those lean on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pileus.model.errors import Fault
from pileus.model.finding import Finding
from pileus.model.spec import InstanceSpec
from pileus.providers.local.container import disk, order
from pileus.providers.local.container.bases import Bases
from pileus.providers.local.doctor.expected import Expected
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine.disk import Disks
from pileus.providers.local.machine.images import ImageCache

KIND = "instance"


def folders(layout: Layout) -> list[str]:
    """The names of what lies where the instances' folders are. Raises OSError."""
    machines = (path.name for path in layout.instances.iterdir()) if layout.instances.exists() else ()
    return sorted([*machines, *order.folders(layout)])


def compare(expected: Expected, layout: Layout, names: Iterable[str]) -> Iterator[Finding]:
    """Folders that no instance has, and disks and images that instances should have."""
    for name in names:
        if name in expected.specs or name in expected.host.orders or not expected.complete:
            continue
        removed = expected.removed(name) is not None
        path = layout.containers / name if (layout.containers / name).exists() else layout.instances / name
        yield Finding(code="FolderLeaked" if removed else "FolderUnknown", kind="folder", ident=name, detail=str(path))
    for uuid, host_order in expected.converged.items():
        for volume, path, base in _files(layout, host_order.spec) if host_order.spec is not None else ():
            if not path.exists():
                yield Finding(code="DiskMissing", kind=KIND, ident=uuid, detail=f"volume {volume}: {path}")
            if base is not None and not base.exists():
                yield Finding(code="BaseMissing", kind=KIND, ident=uuid, detail=str(base))


def _files(layout: Layout, spec: InstanceSpec) -> Iterator[tuple[str, Path, Path | None]]:
    """Of each volume its uuid, its file, and what that leans on."""
    if spec.machine == "container":
        bases = Bases(layout.bases, no_fetch)
        for disk_spec in spec.disks:
            base = bases.root(disk_spec.digest) if disk_spec.digest else None
            yield disk_spec.uuid, layout.containers / spec.uuid / disk.NAME, base
        return
    for volume, file in disks_of(layout).files(spec).items():
        yield volume, file.path, file.base


def remove(layout: Layout, name: str) -> None:
    """Remove a folder whose instance is known to be gone. Raises Fault."""
    disks_of(layout).remove(name)


def disks_of(layout: Layout) -> Disks:
    """The disks of `layout`, for one who fetches no images."""
    return Disks(layout, ImageCache(layout.cache, no_fetch))


def no_fetch(digest: str, _target: Path) -> None:
    """Refuse to bring an image: the doctor makes nothing. Raises Fault."""
    raise Fault("ImageUnavailable", f"the image {digest} is not fetched by the doctor")
