"""Images from the bytes of an upload: inspected before they are believed, kept as objects, and registered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pileus.model import bounds, diskformat
from pileus.model.caller import Caller
from pileus.model.errors import InvalidValue
from pileus.model.image import Architecture, Image, Wanted
from pileus.model.sizes import Description, Ident, Name
from pileus.objects import Incoming, ObjectStore
from pileus.objects.inspection import is_archive, plain
from pileus.rules import image as image_rules
from pileus.rules.core import Core
from pileus.rules.rights import requires
from pileus.verbs import image


class ImageUpload(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of an upload. `digest`: refuse other bytes. `kind`, `format`: as found in the bytes."""

    name: Name
    login_user: Ident = "root"
    kind: Literal["", "machine", "container"] = ""
    format: Literal["", "qcow2", "raw", "tar"] = ""
    public: bool = False
    digest: Ident = ""
    min_memory: Annotated[int, Meta(ge=0, le=1 << 31)] = 64
    min_disk: Annotated[int, Meta(ge=0, le=bounds.DISK.most)] = 1
    architecture: Architecture = "x86_64"
    description: Description = ""


class Disk(msgspec.Struct, frozen=True):
    """The content of an image's bytes: format, and the size in bytes of the disk, or of the files once unpacked."""

    format: Literal["qcow2", "raw", "tar"]
    virtual_size: int

    @property
    def kind(self) -> Literal["machine", "container"]:
        """The kind of instance that runs from it."""
        return "container" if self.format == "tar" else "machine"


_NO_DISK = (
    "is neither a disk (qcow2, or raw with a partition table or a file system) nor an archive (tar, OCI layout); "
    "a raw disk without either is taken with the format 'raw'"
)


@requires("member")
def check(caller: Caller, upload: ImageUpload) -> None:
    """Refuse parameters of an upload before its bytes are read. Raises InvalidValue, Forbidden."""
    image_rules.check_name(upload.name)
    image_rules.check_login(upload.login_user)
    image_rules.allow(caller, public=upload.public)


@requires("member")
def finish(caller: Caller, core: Core, objects: ObjectStore, incoming: Incoming, upload: ImageUpload) -> Image:
    """Inspect the bytes that came in, keep them and register them as an image."""
    incoming.finish()
    if upload.format == "tar" or upload.kind == "container" or is_archive(incoming.path):
        incoming.check()
        with plain(objects, incoming) as (archive, size):
            return _keep(caller, core, archive, upload, Disk("tar", size))
    return _keep(caller, core, incoming, upload, _inspect(incoming.path, raw=upload.format == "raw"))


def _keep(caller: Caller, core: Core, incoming: Incoming, upload: ImageUpload, disk: Disk) -> Image:
    if upload.format and upload.format != disk.format:
        raise InvalidValue(f"The image is {disk.format}, not {upload.format}.", noun="image", reason="format")
    if upload.kind and upload.kind != disk.kind:
        text = f"The image is {disk.format}, which is for a {disk.kind} and not for a {upload.kind}."
        raise InvalidValue(text, noun="image", reason="kind")
    stored = incoming.keep()
    return register(caller, core, upload, disk, stored.digest, stored.size)


@requires("member")
def register(caller: Caller, core: Core, upload: ImageUpload, disk: Disk, digest: str, size: int) -> Image:
    """Register an object that is kept as an image."""
    wanted = Wanted(
        digest=digest,
        size=size,
        virtual_size=disk.virtual_size,
        format=disk.format,
        kind=disk.kind,
        public=upload.public,
        login_user=upload.login_user,
        min_memory=upload.min_memory,
        min_disk=upload.min_disk,
        architecture=upload.architecture,
        description=upload.description,
    )
    return image.register(caller, core, upload.name, wanted)


def _inspect(path: Path, *, raw: bool) -> Disk:
    """The format and size of an untrusted file's disk, by its header alone: no program opens the file.

    InvalidValue for formats other than qcow2 and raw, for qcow2 that hosts do not take, and for what is no disk; `raw`
    says that its owner calls it one.
    """
    with path.open("rb") as file:
        head = file.read(diskformat.HEAD)
    try:
        form = diskformat.sniff(head)
        if form == "raw" and not raw and not diskformat.is_marked(head):
            raise diskformat.DiskRefusedError(_NO_DISK, "format")
        return Disk(form, diskformat.virtual_size(head, path.stat().st_size, form))
    except diskformat.DiskRefusedError as error:
        raise InvalidValue(f"The image {error}.", noun="image", reason=error.reason) from error
