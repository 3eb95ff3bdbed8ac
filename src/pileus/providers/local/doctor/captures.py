"""Captures that nobody asks for any more: they go when the cloud has them, and take space until then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pileus.model.finding import Finding
from pileus.providers.local.capture.folders import CaptureFolders
from pileus.providers.local.doctor.expected import Expected
from pileus.providers.local.layout import Layout


def captures(layout: Layout) -> list[str]:
    """The uuids of all captures that there is something of. Raises OSError."""
    return CaptureFolders(layout.captures).uuids()


def compare(expected: Expected, layout: Layout, uuids: Iterable[str]) -> Iterator[Finding]:
    """Captures that no order names."""
    for uuid in uuids:
        if uuid not in expected.host.captures:
            removed, path = uuid in expected.host.removed, str(layout.captures / uuid)
            yield Finding(code="CaptureLeaked" if removed else "CaptureUnknown", kind="image", ident=uuid, detail=path)


def remove(layout: Layout, uuid: str) -> None:
    """Remove one whose removal is known. Raises OSError."""
    CaptureFolders(layout.captures).drop(uuid)
