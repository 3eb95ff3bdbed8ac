"""Layers of a container image become one root file system: what is above hides what is below (OCI's specification).

A whiteout (`.wh.NAME`) hides NAME below, an opaque one (`.wh..wh..opq`) all that its folder has below. A name that
leads through a link of a layer below means what the link leads to, as where layers are unpacked one after another.
"""

from __future__ import annotations

import contextlib
import copy
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from pileus.model.rootfs import ATTRIBUTE, CAPABILITY, ArchiveEntry, ArchiveMeter, Member, RefusedError

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_LINKS = 40


@dataclass(eq=False)
class _File:
    """A file, folder, link or pipe, as one layer has it; `name` once it was written."""

    layer: int
    member: tarfile.TarInfo
    name: str = ""


@dataclass(eq=False)
class _Node:
    """A name: what it stands for, none for a folder that no layer describes, and what is below it."""

    file: _File | None = None
    children: dict[str, _Node] = field(default_factory=dict)


class Layers:
    """The layers of an image, each a file with a plain tar archive that can be read from anywhere; lowest first."""

    def __init__(self, files: Sequence[BinaryIO], meter: ArchiveMeter) -> None:
        self._meter = meter
        self._root = _Node()
        self._archives: list[tarfile.TarFile] = []
        for number, file in enumerate(files):
            archive = tarfile.open(fileobj=file, mode="r:", tarinfo=Member, encoding="utf-8")  # noqa: SIM115  (`close` closes it)
            self._archives.append(archive)
            self._add(number, archive)

    def write(self, target: tarfile.TarFile) -> ArchiveMeter:
        """Write the root file system to an archive; what it has in all. Raises RefusedError, OSError, TarError."""
        meter = ArchiveMeter()
        for path, node in _walk(self._root, ()):
            if node.file is None:
                continue
            file, name = node.file, "/".join(path)
            meter.entry(self._written(file, name, target))
        return meter

    def _written(self, file: _File, name: str, target: tarfile.TarFile) -> tarfile.TarInfo:
        member = plain(file.member, name)
        if file.name:
            member.type, member.linkname, member.size = tarfile.LNKTYPE, file.name, 0
        if member.isreg():
            target.addfile(member, self._archives[file.layer].extractfile(file.member))
        else:
            target.addfile(member)
        if not member.isdir():
            file.name = file.name or name
        return member

    def _add(self, number: int, archive: tarfile.TarFile) -> None:
        members = []
        for member in archive:
            entry = self._meter.entry(member)
            last = entry.path[-1] if entry.path else ""
            if last.startswith(_WHITEOUT):
                # Below what is no folder there is nothing to hide.
                with contextlib.suppress(RefusedError):
                    self._hide(self._find(entry.path[:-1]), last)
            elif entry.kind != "nothing":
                members.append((member, entry))
        for member, entry in members:
            self._place(number, member, entry)

    def _hide(self, folder: _Node, whiteout: str) -> None:
        if whiteout == _OPAQUE:
            folder.children.clear()
        else:
            folder.children.pop(whiteout.removeprefix(_WHITEOUT), None)

    def _place(self, number: int, member: tarfile.TarInfo, entry: ArchiveEntry) -> None:
        above = self._find(entry.path[:-1])
        name = entry.path[-1]
        if entry.kind == "link":
            target = self._find(entry.target[:-1]).children.get(entry.target[-1]) if entry.target else None
            if target is None or target.file is None or target.file.member.isdir():
                raise RefusedError(f"a layer links '{ascii(name)[1:-1]}' to a file that is not there")
            above.children[name] = _Node(target.file)
        elif entry.kind == "folder" and name in above.children and _is_folder(above.children[name]):
            above.children[name].file = _File(number, member)
        else:
            above.children[name] = _Node(_File(number, member))

    def _find(self, path: tuple[str, ...]) -> _Node:
        """The folder at `path`, made if it is not there; links on the way are followed. Raises RefusedError."""
        names, walked, links = list(reversed(path)), [self._root], 0
        while names:
            name = names.pop()
            if name == "..":
                walked = walked[:-1] or [self._root]
                continue
            node = walked[-1].children.setdefault(name, _Node())
            if node.file is not None and node.file.member.issym():
                links += 1
                if links > _LINKS:
                    raise RefusedError("a layer has links that lead in circles")
                target = node.file.member.linkname
                walked = [self._root] if target.startswith("/") else walked
                names += [part for part in reversed(target.split("/")) if part not in ("", ".")]
            elif _is_folder(node):
                walked.append(node)
            else:
                raise RefusedError(f"a layer has entries below '{ascii(name)[1:-1]}', which is no folder")
        return walked[-1]


def plain(member: tarfile.TarInfo, name: str) -> tarfile.TarInfo:
    """A header of another archive's entry under a name; nothing else is kept than a root file system has."""
    header = copy.copy(member)
    header.name, header.uname, header.gname = name, "", ""
    header.mtime = int(member.mtime)
    capability_key = ATTRIBUTE + CAPABILITY
    header.pax_headers = (
        {capability_key: member.pax_headers[capability_key]} if capability_key in member.pax_headers else {}
    )
    if member.isreg():
        # Also what was sparse: its holes are written out.
        header.type = tarfile.REGTYPE
        header.sparse = None
    else:
        header.size = 0
    return header


def _is_folder(node: _Node) -> bool:
    return node.file is None or node.file.member.isdir()


def _walk(node: _Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], _Node]]:
    """Every name below `node`, in order, each folder before what it has."""
    waiting = [(path, node)]
    while waiting:
        at, current_node = waiting.pop()
        if at:
            yield at, current_node
        waiting += [((*at, name), child) for name, child in sorted(current_node.children.items(), reverse=True)]
