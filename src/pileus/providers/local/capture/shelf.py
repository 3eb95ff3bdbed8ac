"""Where captures are kept: a folder for each, with its order, its bytes, and what is known of it once it is whole.

The order is written before anything else is made, and goes last; what says that a capture is whole is written last, and
goes first. So whatever a crash leaves is found by its folder, and made again from the start or removed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

import msgspec

from pileus.model.spec import ImageSpec
from pileus.providers.local.machine.images import sync_folder

ORDER, WHOLE, PART, ABOUT = "order.json", "image", "part", "about.json"

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class About(msgspec.Struct, frozen=True):
    """A whole capture: sha256 (hex) and number of its bytes, and the bytes of its disk or of its files unpacked."""

    digest: str
    size: int
    virtual_size: int


class Shelf:
    """The captures in `folder`, by the uuids of their images. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder(self, uuid: str) -> Path:
        """Where everything of one capture is. Raises ValueError for what is no uuid."""
        if not _UUID.fullmatch(uuid):
            raise ValueError(f"not a uuid: {uuid}")
        return self._folder / uuid

    def uuids(self) -> list[str]:
        """Every capture that there is something of."""
        if not self._folder.exists():
            return []
        return sorted(path.name for path in self._folder.iterdir() if _UUID.fullmatch(path.name))

    def holds(self, uuid: str) -> bool:
        """Whether there is anything of it."""
        return self.folder(uuid).exists()

    def spec(self, uuid: str) -> ImageSpec | None:
        """Its order; None where there is none that can be read: half made or half removed."""
        try:
            return msgspec.json.decode((self.folder(uuid) / ORDER).read_bytes(), type=ImageSpec)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def about(self, uuid: str) -> About | None:
        """What is known of a whole capture; None for one that is not."""
        try:
            return msgspec.json.decode((self.folder(uuid) / ABOUT).read_bytes(), type=About)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def waiting(self, instance: str) -> ImageSpec | None:
        """A capture of the instance that is not whole."""
        for uuid in self.uuids():
            if self.about(uuid) is None:
                spec = self.spec(uuid)
                if spec is not None and spec.instance == instance:
                    return spec
        return None

    def bytes(self, uuid: str) -> Path:
        """The file of a whole capture."""
        return self.folder(uuid) / WHOLE

    # -- writing -------------------------------------------------------------------------------------------------

    def hold(self, spec: ImageSpec) -> None:
        """Keep the order, which survives a power cut."""
        folder = self.folder(spec.uuid)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(folder / ORDER, msgspec.json.encode(spec))
        sync_folder(folder.parent)

    def begin(self, uuid: str) -> Path:
        """An empty file to write the bytes to, in place of what an earlier try has left."""
        folder = self.folder(uuid)
        for path in folder.iterdir():
            if path.name != ORDER:
                path.unlink()
        part = folder / PART
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        return part

    def give_up(self, uuid: str) -> None:
        """Nothing is left of a try that failed but its order."""
        with contextlib.suppress(FileNotFoundError):
            for path in self.folder(uuid).iterdir():
                if path.name not in (ORDER, ABOUT, WHOLE):
                    path.unlink(missing_ok=True)

    def keep(self, uuid: str, about: About) -> None:
        """The bytes are whole, and survive a power cut."""
        folder = self.folder(uuid)
        descriptor = os.open(folder / PART, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        (folder / PART).rename(folder / WHOLE)
        _write(folder / ABOUT, msgspec.json.encode(about))

    def drop(self, uuid: str) -> None:
        """Nothing is there of it."""
        folder = self.folder(uuid)
        with contextlib.suppress(FileNotFoundError):
            for name in (ABOUT, WHOLE, PART):
                (folder / name).unlink(missing_ok=True)
            shutil.rmtree(folder)


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all; when this returns it survives a power cut."""
    aside = path.with_suffix(".new")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
