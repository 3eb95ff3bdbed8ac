"""Which user ids of this machine the containers of a project have: no two projects, of all clouds, share one.

A container's user N is the machine's user BASE + N, who is nobody else's. The state directory keeps each project's
range, and in a folder of all clouds of this machine the link NUMBER leads to that file. A link counts as long as the
file says the same: a process that died between the two, or a state directory that was moved or copied, leaves nothing
that needs mending (as in `pileus.providers.local.prefix`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pileus.model.errors import Fault
from pileus.posix.files import read_file, write_file, write_link
from pileus.posix.locks import alone
from pileus.providers.local.layout import Layout

SIZE = 65536
"""User ids of one project's containers, and as many group ids."""

FIRST, COUNT = 0x78010000, 2046
"""Below 2**31 and beyond what shadow, systemd and our own QEMUs hand out (see `machine.owner`)."""


def base(layout: Layout, project: str) -> int:
    """The machine's user that is root in the containers of `project`, from the first time on. Raises Fault, OSError."""
    file = layout.containers / ".ranges" / hashlib.sha256(project.encode()).hexdigest()[:32]
    stored_number = _kept(file)
    if stored_number is not None and _leads(layout.ranges / str(stored_number), file):
        return FIRST + stored_number * SIZE
    with alone(layout.ranges, mode=0o755):
        # Another cloud may hold the number by now, where this state directory is a copy.
        number = (
            stored_number
            if stored_number is not None and not _taken(layout.ranges / str(stored_number), stored_number)
            else _free(layout.ranges)
        )
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_file(file, f"{number}\n".encode())
        link = layout.ranges / str(number)
        if not _leads(link, file):
            write_link(link, file)
        return FIRST + number * SIZE


def free(layout: Layout) -> None:
    """Give up what this cloud holds. Idempotent."""
    if layout.ranges.is_dir():
        with alone(layout.ranges, mode=0o755):
            for link in layout.ranges.iterdir():
                if link.is_symlink() and link.readlink().is_relative_to(layout.containers):
                    link.unlink()


def _free(folder: Path) -> int:
    for number in range(COUNT):
        link = folder / str(number)
        if not _taken(link, number):
            link.unlink(missing_ok=True)
            return number
    raise Fault("RangesExhausted", f"{COUNT} projects have containers on this machine", permanent=True)


def _taken(link: Path, number: int) -> bool:
    return link.is_symlink() and _kept(link.readlink()) == number


def _leads(link: Path, file: Path) -> bool:
    return link.is_symlink() and link.readlink() == file


def _kept(file: Path) -> int | None:
    """The number in `file`; None where there is none. It may be anybody's by now: no link, no pipe."""
    try:
        number = int(read_file(file, 16) or b"")
    except ValueError:
        return None
    return number if number in range(COUNT) else None
