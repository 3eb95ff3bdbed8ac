"""Templates: guests that stand still just before they become somebody, as files that copies are made from.

A template is a folder that appears whole and is never changed: `ram` and `state` (QEMU's memory and devices), `disk`
(what the guest wrote on its image until then), and `template.json`. No user's data is in it: it was booted from an
image alone, on no network.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from pathlib import Path

import msgspec

from pileus.model.errors import Fault
from pileus.posix.files import sync_file, sync_folder
from pileus.posix.locks import alone
from pileus.providers.local.machine import owner
from pileus.providers.local.machine.restore.identity import Findings

ABOUT = "template.json"
_STALE = 3600.0


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `template.json`.

    `places` in memory and `state_places` in the devices' state hold the identity, `page` is where the hook waits.
    Sizes in bytes; `state` and `disk` are sha256, `changed` is the memory file's time of change in ns: what differs
    is damaged.
    """

    key: str
    page: int
    places: Findings
    state_places: Findings
    size: int
    changed: int
    state: str
    disk: str
    folder: str = ""

    @property
    def ram_file(self) -> Path:
        """The memory, as large as the guest's; copies map it privately."""
        return Path(self.folder) / "ram"

    @property
    def state_file(self) -> Path:
        """The devices' state, as QEMU sends it."""
        return Path(self.folder) / "state"

    @property
    def disk_file(self) -> Path:
        """The root disk: an overlay of the image, which each copy gets a copy of."""
        return Path(self.folder) / "disk"


class Templates:
    """The templates in `folder`, of all clouds of this machine, in at most `limit` bytes."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit

    def find(self, key: str) -> Template | None:
        """The template with this key if it is there and sound; one that is not sound is removed."""
        folder = self._folder / key
        if not folder.exists():
            return None
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            template = msgspec.json.decode((folder / ABOUT).read_bytes(), type=Template)
            template = msgspec.structs.replace(template, folder=str(folder))
            if template.key == key and _sound(template):
                os.utime(folder / ABOUT)
                return template
        self.discard(key)
        return None

    def aside(self, key: str, cloud: str) -> Path:
        """A new, empty folder in which `cloud` (its digest) makes the template; what was left there is removed."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The template's own QEMU passes through.
        owner.give(self._folder, 0, owner.group(), 0o710)
        aside = self._folder / f".{key}.{cloud}"
        shutil.rmtree(aside, ignore_errors=True)
        for other in self._folder.glob(".*.*"):
            # Of a cloud that is no more: none takes that long.
            if time.time() - other.stat().st_mtime > _STALE:
                shutil.rmtree(other, ignore_errors=True)
        aside.mkdir(mode=0o700)
        owner.give(aside, 0, owner.group(), 0o710)
        return aside

    def publish(self, aside: Path, template: Template) -> Path:
        """Make the finished folder `aside` the template, in place of others that were used longer ago; see `making`.

        Its folder from now on.

        Raises Fault where it alone exceeds the limit; OSError.
        """
        needed = _allocated(aside)
        if needed > self._limit:
            raise Fault("TemplateRefused", f"the template takes {needed} bytes, and all may take {self._limit}")
        described = aside / ABOUT
        described.write_bytes(msgspec.json.encode(template))
        for name in ("ram", "state", "disk", ABOUT):
            sync_file(aside / name)
        sync_folder(aside)
        self._make_room(needed, template.key)
        self.discard(template.key)
        folder = aside.rename(self._folder / template.key)
        sync_folder(self._folder)
        return folder

    def discard(self, key: str) -> None:
        """Remove a template; guests have copies. Idempotent."""
        shutil.rmtree(self._folder / key, ignore_errors=True)

    def making(self) -> contextlib.AbstractContextManager[None]:
        """One template is made at a time on this machine; waits for another."""
        return alone(self._folder, ".making")

    def _make_room(self, needed: int, key: str) -> None:
        others = sorted((folder for folder in self._folders() if folder.name != key), key=_last_used)
        used = sum(_allocated(folder) for folder in others)
        for folder in others:
            if used + needed <= self._limit:
                return
            used -= _allocated(folder)
            self.discard(folder.name)

    def _folders(self) -> list[Path]:
        if not self._folder.exists():
            return []
        return [
            folder for folder in self._folder.iterdir() if not folder.name.startswith(".") and (folder / "ram").exists()
        ]


def digest(path: Path) -> str:
    """The sha256 of a small file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sound(template: Template) -> bool:
    ram = template.ram_file.stat()
    return (
        (ram.st_size, ram.st_mtime_ns) == (template.size, template.changed)
        and digest(template.state_file) == template.state
        and digest(template.disk_file) == template.disk
    )


def _allocated(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir() if path.is_file())


def _last_used(folder: Path) -> float:
    try:
        return (folder / ABOUT).stat().st_mtime
    except FileNotFoundError:
        return 0.0
