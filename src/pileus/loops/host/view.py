"""A host's book as others may read it: nothing is written, and the host may run meanwhile."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from pileus.bus.messages import Removed
from pileus.loops.host.book import DAMAGED, Entry, Start, read_entry
from pileus.model.noun import Revision
from pileus.model.spec import ImageSpec, InstanceSpec
from pileus.model.views import Held, HostView


def read(folder: Path) -> HostView:
    """The book in `folder`; empty where there is none. What changes meanwhile is as before or as after.

    Raises OSError, and MsgspecError where an order is damaged that the host did not set aside yet.
    """
    start = Start()
    with contextlib.suppress(FileNotFoundError):
        start = msgspec.json.decode((folder / "start.json").read_bytes(), type=Start)
    kept = _entries(folder / "orders")
    entries = [entry for entry in kept if entry.kind == InstanceSpec.KIND]
    return HostView(
        orders={
            entry.uuid: Held(
                uuid=entry.uuid,
                revision=entry.revision,
                spec=entry.spec if isinstance(entry.spec, InstanceSpec) else None,
                body=entry.body,
                applied=entry.applied,
            )
            for entry in entries
        },
        removed=_removed(folder / "removed.jsonl"),
        highest=start.highest,
        newest=max((entry.since for entry in entries), default=0.0),
        captures=tuple(entry.uuid for entry in kept if entry.kind == ImageSpec.KIND),
        damaged=tuple(sorted(path.name for path in (folder / DAMAGED).glob("*.json"))),
    )


def _entries(folder: Path) -> list[Entry]:
    found = []
    for path in folder.glob("*.json"):
        with contextlib.suppress(FileNotFoundError):
            found.append(read_entry(path))
    return found


def _removed(path: Path) -> dict[str, Revision]:
    line = msgspec.json.Decoder(tuple[str, Removed])
    found: dict[str, Revision] = {}
    with contextlib.suppress(FileNotFoundError):
        for text in path.read_bytes().splitlines():
            # A line that is just being written, or was when the machine lost power.
            with contextlib.suppress(msgspec.DecodeError):
                uuid, removed = line.decode(text)
                if removed.why == "gone":
                    found[uuid] = removed.revision
    return found
