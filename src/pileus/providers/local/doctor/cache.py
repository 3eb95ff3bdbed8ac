"""The image cache: parts that nobody fetches, and files of a size that their images do not have."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pileus.model.finding import Finding
from pileus.posix import locks
from pileus.providers.local.layout import Layout

KIND = "cached image"


def files(layout: Layout) -> dict[str, int]:
    """Bytes of every file in the cache, by name; locks left out. Raises OSError."""
    sizes = {}
    for path in layout.cache.iterdir() if layout.cache.exists() else ():
        with contextlib.suppress(FileNotFoundError):
            if path.suffix != ".lock":
                sizes[path.name] = path.stat().st_size
    return sizes


def compare(layout: Layout, sizes: Mapping[str, int], images: Mapping[str, int]) -> Iterator[Finding]:
    """Yield faults of the files in `sizes`; `images` maps digests to bytes as registered. Other clouds' are theirs."""
    for name, size in sizes.items():
        if name.endswith(".part") and not locks.is_locked(_lock(layout.cache, name)):
            yield Finding(code="CacheLeaked", kind=KIND, ident=name, detail=f"{size} bytes")
        if size != images.get(name, size):
            detail = f"{size} bytes of {images[name]}"
            yield Finding(code="CacheWrong", kind=KIND, ident=name, detail=detail)


def remove(layout: Layout, name: str) -> None:
    """Remove a part, unless somebody began to fetch that image meanwhile."""
    with locks.free(_lock(layout.cache, name)) as mine:
        if mine:
            (layout.cache / name).unlink(missing_ok=True)


def _lock(cache: Path, name: str) -> Path:
    """The lock of the image of which `name` is a part."""
    return cache / name.replace(".part", ".lock")
