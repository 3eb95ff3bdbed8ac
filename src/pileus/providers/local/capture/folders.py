"""Where captures are kept: a folder for each, with its order, its bytes, and what is known of it once it is whole.

The order is written before anything else is made, and goes last; what says that a capture is whole is written last, and
goes first. So whatever a crash leaves is found by its folder, and removed, or made again: of the same moment where that
can still be seen.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from pileus.model.ids import new_uuid
from pileus.model.spec import ImageSpec
from pileus.posix.files import put_in_place, sync_folder, write_file

ORDER, WHOLE, PART, ABOUT, MOMENT = "order.json", "image", "part", "about.json", "moment.json"

COPY = "copy"
"""Beside the bytes: what a source keeps of the disk as it was at the moment."""

_T = TypeVar("_T")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class About(msgspec.Struct, frozen=True):
    """A whole capture: sha256 (hex) and number of its bytes, and the bytes of its disk or of its files unpacked."""

    digest: str
    size: int
    virtual_size: int


class Moment(msgspec.Struct, frozen=True):
    """The moment of a capture. At `rest`: the instance is off, and stays off until somebody keeps its disk as it is.

    `kept`: whatever the instance does, somebody shows its disk as it was; `by` says who, in the words of its source.
    """

    name: str
    at: Literal["rest", "kept"]
    by: str = ""


class CaptureFolders:
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
        return self._read(uuid, ORDER, ImageSpec)

    def about(self, uuid: str) -> About | None:
        """Return the description of a whole capture; None for a capture that is not whole."""
        return self._read(uuid, ABOUT, About)

    def moment(self, uuid: str) -> Moment | None:
        """The moment of a capture; None where there is none yet, or none that can be read."""
        return self._read(uuid, MOMENT, Moment)

    def _read(self, uuid: str, name: str, kind: type[_T]) -> _T | None:
        try:
            return msgspec.json.decode((self.folder(uuid) / name).read_bytes(), type=kind)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def waiting(self, instance: str) -> list[ImageSpec]:
        """The captures of the instance that are not whole."""
        specs = [self.spec(uuid) for uuid in self.uuids() if self.about(uuid) is None]
        return [spec for spec in specs if spec is not None and spec.instance == instance]

    def bytes(self, uuid: str) -> Path:
        """The file of a whole capture."""
        return self.folder(uuid) / WHOLE

    # -- writing -------------------------------------------------------------------------------------------------

    def hold(self, spec: ImageSpec) -> None:
        """Keep the order, which survives a power cut."""
        folder = self.folder(spec.uuid)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_file(folder / ORDER, msgspec.json.encode(spec))
        sync_folder(folder.parent)

    def rest(self, uuid: str) -> None:
        """The moment of this capture is now, and lasts while the instance is off; it survives a power cut."""
        moment = self.moment(uuid)
        if moment is None or moment.at != "rest":
            self._fix(uuid, Moment(new_uuid(), "rest"))

    def kept(self, uuid: str, by: str = "") -> None:
        """Somebody shows the disk as it was at the moment of this capture, or as it is now; survives a power cut."""
        moment = self.moment(uuid)
        name = moment.name if moment is not None and moment.at == "rest" else new_uuid()
        self._fix(uuid, Moment(name, "kept", by))

    def lose(self, uuid: str) -> None:
        """Nobody shows the disk as it was at the moment of this capture any more."""
        (self.folder(uuid) / MOMENT).unlink(missing_ok=True)

    def _fix(self, uuid: str, moment: Moment) -> None:
        write_file(self.folder(uuid) / MOMENT, msgspec.json.encode(moment))

    def begin(self, uuid: str) -> Path:
        """An empty file to write the bytes to, in place of what a try has left; what is of the moment stays."""
        folder = self.folder(uuid)
        kept_names = {ORDER} if self.moment(uuid) is None else {ORDER, MOMENT, COPY}
        for path in folder.iterdir():
            if path.name not in kept_names:
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
        put_in_place(folder / PART, folder / WHOLE)
        write_file(folder / ABOUT, msgspec.json.encode(about))
        # Not before: who dies in between has it written again.
        (folder / COPY).unlink(missing_ok=True)

    def drop(self, uuid: str) -> None:
        """Nothing is there of it."""
        folder = self.folder(uuid)
        with contextlib.suppress(FileNotFoundError):
            for name in (ABOUT, WHOLE, PART):
                (folder / name).unlink(missing_ok=True)
            shutil.rmtree(folder)
