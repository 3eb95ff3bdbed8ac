"""What a guest image is called and needs, and the description file that is written beside it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

ImageName = Literal["tiny", "debian-12"]

_HASH_CHUNK = 1 << 20


class ImageBuildError(RuntimeError):
    """A step of building an image (or of the engine root) failed; the text carries the step's last output."""


@dataclass(frozen=True)
class ImageRecipe:
    """The fixed facts of one image: login user, least memory (MiB), least disk (GiB), and a sentence about it."""

    name: ImageName
    login_user: str
    min_memory_mib: int
    min_disk_gib: int
    description: str
    architecture: str = "x86_64"


@dataclass(frozen=True)
class ImageDescription:
    """The contents of `NAME.json`; sizes in bytes, `sha256` of the qcow2 file in lower-case hex."""

    name: str
    sha256: str
    format: str
    size: int
    virtual_size: int
    login_user: str
    min_memory_mib: int
    min_disk_gib: int
    description: str
    architecture: str


def describe(recipe: ImageRecipe, disk: Path) -> ImageDescription:
    """Measure the qcow2 file `disk` and join the result with its recipe."""
    with disk.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    info = subprocess.run(["qemu-img", "info", "--output=json", str(disk)], check=True, capture_output=True, text=True)
    return ImageDescription(
        sha256=digest.hexdigest(),
        format="qcow2",
        size=disk.stat().st_size,
        virtual_size=int(json.loads(info.stdout)["virtual-size"]),
        **asdict(recipe),
    )


def write_description(description: ImageDescription, path: Path) -> None:
    """Write `description` as indented JSON to `path`."""
    path.write_text(json.dumps(asdict(description), indent=2) + "\n", encoding="utf-8")
