"""The name and needs of a guest image, and the description file that is written beside it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from pileus.model.rootfs import ArchiveMeter, Member

ImageName = Literal["tiny", "debian-12", "tiny-container", "debian-12-container"]

SUFFIXES: Mapping[str, str] = MappingProxyType({"qcow2": ".qcow2", "tar": ".tar.zst"})
"""Format of an image → how its file's name ends."""


class ImageBuildError(RuntimeError):
    """A step of building an image (or of the engine root) failed; the text carries the step's last output."""


@dataclass(frozen=True)
class ImageRecipe:
    """The fixed facts of one image: login user, least memory (MiB), least disk (GiB), and a sentence about it.

    `hook` is the version of the guest hook that the image carries (see `images.hook`), 0 without one.
    """

    name: ImageName
    login_user: str
    min_memory_mib: int
    min_disk_gib: int
    description: str
    architecture: str = "x86_64"
    hook: int = 0
    format: Literal["qcow2", "tar"] = "qcow2"

    @property
    def file(self) -> str:
        """The name of the image's file."""
        return self.name + SUFFIXES[self.format]


@dataclass(frozen=True)
class ImageDescription:
    """The contents of `NAME.json`; sizes in bytes, `sha256` of the image's file in lower-case hex.

    `virtual_size` is the disk's, or what a container's root file system takes once it is unpacked.
    `recipe` is the digest of all that the image was made from here (`recipe_digest`); packages do not count.
    """

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
    hook: int
    recipe: str


def recipe_digest(sources: Traversable, name: ImageName) -> str:
    """The digest of everything below the folder `sources` that makes the image `name`: code, and files for it."""
    others = [other for other in get_args(ImageName) if other != name]
    left_out = tuple(f"files/{other}/" for other in others) + tuple(f"{_module(other)}.py" for other in others)
    digest = hashlib.sha256()
    for path, file in sorted(_files(sources, "")):
        if path.endswith(".pyc") or path.startswith(left_out):
            continue
        content = file.read_bytes()
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def described_recipe(description: Path) -> str:
    """The digest of the recipe that an image was made by, from its description; empty where none is told."""
    try:
        return str(json.loads(description.read_text(encoding="utf-8")).get("recipe", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _module(name: str) -> str:
    """The name of the module that makes an image."""
    return name.replace("-12", "").replace("-", "")


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry


def describe(recipe: ImageRecipe, image: Path, made_from: str) -> ImageDescription:
    """Measure the file `image` and join the result with its recipe, whose digest is `made_from`."""
    with image.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return ImageDescription(
        sha256=digest.hexdigest(),
        size=image.stat().st_size,
        virtual_size=_virtual_size(image) if recipe.format == "qcow2" else _unpacked_size(image),
        recipe=made_from,
        **asdict(recipe),
    )


def _virtual_size(disk: Path) -> int:
    info = subprocess.run(["qemu-img", "info", "--output=json", str(disk)], check=True, capture_output=True, text=True)
    return int(json.loads(info.stdout)["virtual-size"])


def _unpacked_size(archive: Path) -> int:
    """Return the bytes of all files of a root file system. Raises RefusedError for entries that no cloud takes."""
    meter = ArchiveMeter()
    with (
        subprocess.Popen(["zstd", "-dcq", str(archive)], stdout=subprocess.PIPE) as packed,
        tarfile.open(fileobj=packed.stdout, mode="r|", tarinfo=Member, encoding="utf-8") as tar,
    ):
        for member in tar:
            meter.entry(member)
    return meter.bytes


def write_description(description: ImageDescription, path: Path) -> None:
    """Write `description` as indented JSON to `path`."""
    path.write_text(json.dumps(asdict(description), indent=2) + "\n", encoding="utf-8")
