"""Archives for tests, entry by entry."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, **facts: Any) -> tuple[tarfile.TarInfo, bytes]:
    """An entry and its contents; `facts` are attributes of the header (`mode`, `uid`, `linkname` …)."""
    found = tarfile.TarInfo(name)
    found.type, found.size, found.mode = kind, len(data), 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in facts.items():
        setattr(found, key, value)
    return found, data


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    """A symbolic link, or with `tarfile.LNKTYPE` a hard one."""
    return member(name, kind=kind, linkname=target)


INIT = member("sbin/init", b"#!/bin/sh\n", mode=0o755)
"""What makes an archive a system's."""


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    """Write an archive; `mode` as tarfile's (`w:gz` …)."""
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as file:  # type: ignore[call-overload]
        for found, data in members:
            file.addfile(found, io.BytesIO(data))
    return path
