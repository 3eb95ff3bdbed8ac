"""A host's book as others may read it: nothing is written, and the host may run meanwhile."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from pileus.bus.messages import Removed
from pileus.host.book import DAMAGED, BookEntry, Start, named_revisions, read_entry, specs_of
from pileus.model.spec import ImageSpec, InstanceSpec
from pileus.model.views import BookView, Held


def read(folder: Path) -> BookView:
    """The book in `folder`; empty where there is none. Entries that change meanwhile are as before or as after.

    Raises OSError, and MsgspecError where an order is damaged that the host did not set aside yet.
    """
    start = Start()
    with contextlib.suppress(FileNotFoundError):
        start = msgspec.json.decode((folder / "start.json").read_bytes(), type=Start)
    entries, removed = _entries(folder / "orders"), _removed(folder / "removed.jsonl")
    specs = specs_of(InstanceSpec, entries)
    shown = [start.highest, *named_revisions(folder / "orders")]
    shown += [*(entry.revision for entry in entries), *(removal.revision for _, removal in removed)]
    return BookView(
        orders={
            entry.uuid: Held(
                uuid=entry.uuid,
                revision=entry.revision,
                spec=specs.get(entry.uuid),
                body=entry.body,
                applied=entry.applied,
            )
            for entry in entries
            if entry.kind == InstanceSpec.KIND
        },
        removed={uuid: removal.revision for uuid, removal in removed if removal.why == "gone"},
        highest=max(shown),
        newest=max((entry.since for entry in entries), default=0.0),
        captures=tuple(entry.uuid for entry in entries if entry.kind == ImageSpec.KIND),
        damaged=tuple(sorted(path.name for path in (folder / DAMAGED).glob("*.json"))),
    )


def _entries(folder: Path) -> list[BookEntry]:
    entries = []
    for path in folder.glob("*.json"):
        with contextlib.suppress(FileNotFoundError):
            entries.append(read_entry(path))
    return entries


def _removed(path: Path) -> list[tuple[str, Removed]]:
    line = msgspec.json.Decoder(tuple[str, Removed])
    removals: list[tuple[str, Removed]] = []
    with contextlib.suppress(FileNotFoundError):
        for text in path.read_bytes().splitlines():
            # A line that is just being written, or was when the machine lost power.
            with contextlib.suppress(msgspec.DecodeError):
                removals.append(line.decode(text))
    return removals
