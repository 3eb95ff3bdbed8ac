"""Images on their way in: looked at before they are believed, kept as objects, registered by a verb."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pileus.app.rootfs import is_archive, plain
from pileus.faces.rest.documents import document
from pileus.model import bounds
from pileus.model.caller import Caller
from pileus.model.errors import InvalidValue
from pileus.model.image import Image, Wanted
from pileus.model.sizes import Description, Ident, Name
from pileus.objects import Incoming, ObjectStore
from pileus.verbs import image
from pileus.verbs.core import Core

_SECONDS = 20
_BOUNDED = ("prlimit", f"--as={1 << 30}", f"--cpu={_SECONDS}", "--fsize=0")
"""What the process that looks into an untrusted file may use: address space and CPU time; it writes nothing."""

LARGEST_DISK = 16 << 40
"""Bytes of a virtual disk: more than any real image, less than what makes tools misbehave."""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """What the query of an upload says. `digest`: refuse other bytes. `kind`, `format`: as found in the bytes."""

    name: Name
    login_user: Ident = "root"
    kind: Literal["", "machine", "container"] = ""
    format: Literal["", "qcow2", "raw", "tar"] = ""
    public: bool = False
    digest: Ident = ""
    min_memory: Annotated[int, Meta(ge=0, le=1 << 31)] = 64
    min_disk: Annotated[int, Meta(ge=0, le=bounds.DISK.most)] = 1
    architecture: Annotated[str, Meta(max_length=32)] = "x86_64"
    description: Description = ""


class Disk(msgspec.Struct, frozen=True):
    """What an image's bytes are: their format, and the size in bytes of the disk, or of the files once unpacked."""

    format: Literal["qcow2", "raw", "tar"]
    virtual_size: int

    @property
    def kind(self) -> Literal["machine", "container"]:
        """What runs from it."""
        return "container" if self.format == "tar" else "machine"


def read(query: dict[str, str]) -> Upload:
    """The query as an upload; InvalidValue naming what is wrong."""
    unknown = sorted(query.keys() - {field.name for field in msgspec.structs.fields(Upload)})
    if unknown:
        raise InvalidValue(f"Unknown parameter '{unknown[0]}'.", ident=unknown[0], reason="query")
    try:
        asked = msgspec.convert(query, Upload, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidValue(f"The query is not what an upload takes: {error}", reason="query") from error
    image.check_name(asked.name)
    image.check_login(asked.login_user)
    return asked


def finish(caller: Caller, core: Core, objects: ObjectStore, incoming: Incoming, asked: Upload) -> dict[str, Any]:
    """Inspect what came in, keep it and register it: the image's document."""
    incoming.finish()
    if asked.format == "tar" or asked.kind == "container" or is_archive(incoming.path):
        incoming.check()
        with plain(objects, incoming) as (archive, size):
            return _keep(caller, core, archive, asked, Disk("tar", size))
    return _keep(caller, core, incoming, asked, inspect(incoming.path))


def _keep(caller: Caller, core: Core, incoming: Incoming, asked: Upload, disk: Disk) -> dict[str, Any]:
    if asked.format and asked.format != disk.format:
        raise InvalidValue(f"The image is {disk.format}, not {asked.format}.", noun="image", reason="format")
    if asked.kind and asked.kind != disk.kind:
        text = f"The image is {disk.format}, which is for a {disk.kind} and not for a {asked.kind}."
        raise InvalidValue(text, noun="image", reason="kind")
    stored = incoming.keep()
    return document(register(caller, core, asked, disk, stored.digest, stored.size))


def register(caller: Caller, core: Core, asked: Upload, disk: Disk, digest: str, size: int) -> Image:
    """Register an object that is kept as an image."""
    wanted = Wanted(
        digest=digest,
        size=size,
        virtual_size=disk.virtual_size,
        format=disk.format,
        kind=disk.kind,
        public=asked.public,
        login_user=asked.login_user,
        min_memory=asked.min_memory,
        min_disk=asked.min_disk,
        architecture=asked.architecture,
        description=asked.description,
    )
    return image.register(caller, core, asked.name, wanted)


def inspect(path: Path) -> Disk:
    """What the untrusted file holds, found in a process with little memory and time.

    InvalidValue for formats other than qcow2 and raw, and for qcow2 that names any other file.
    """
    found = _info(path)
    form, size = found.get("format"), found.get("virtual-size")
    if form not in ("qcow2", "raw") or not isinstance(size, int) or size <= 0:
        raise InvalidValue(f"The image is {form}; qcow2 and raw are taken.", noun="image", reason="format")
    if size > LARGEST_DISK:
        text = f"The image has a disk of {size} bytes; {LARGEST_DISK} are taken."
        raise InvalidValue(text, noun="image", reason="size")
    details = (found.get("format-specific") or {}).get("data") or {}
    if any(key.startswith(("backing", "full-backing")) for key in found) or details.get("data-file"):
        raise InvalidValue(
            "The image refers to another file; only images that are whole by themselves are taken.",
            noun="image",
            reason="reference",
        )
    if details.get("corrupt"):
        raise InvalidValue("The image says of itself that it is corrupt.", noun="image", reason="corrupt")
    return Disk(form, size)


def _info(path: Path) -> dict[str, Any]:
    if shutil.which("qemu-img") is None:
        return _sniff(path)
    try:
        done = subprocess.run(
            [*_BOUNDED, "qemu-img", "info", "--output=json", "--force-share", str(path)],
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired as late:
        raise InvalidValue("Looking into the image takes too long.", noun="image", reason="inspection") from late
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().replace(str(path), "it")[-200:]
        raise InvalidValue(f"The image cannot be read: {said}", noun="image", reason="inspection")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _sniff(path: Path) -> dict[str, Any]:
    """Without qemu-img: a raw image is its size; qcow2 cannot be judged."""
    with path.open("rb") as file:
        magic = file.read(4)
    form = "qcow2, and qemu-img is not installed" if magic == b"QFI\xfb" else "raw"
    return {"format": form, "virtual-size": path.stat().st_size}
