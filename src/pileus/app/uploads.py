"""Images on their way in: looked at before they are believed, kept as objects, registered by a verb."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from pileus.app.rootfs import is_archive, plain
from pileus.faces.rest.documents import document
from pileus.model import bounds, diskformat
from pileus.model.caller import Caller
from pileus.model.errors import InvalidValue
from pileus.model.image import Architecture, Image, Wanted
from pileus.model.sizes import Description, Ident, Name
from pileus.objects import Incoming, ObjectStore
from pileus.verbs import image
from pileus.verbs.core import Core


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of an upload's query. `digest`: refuse other bytes. `kind`, `format`: as found in the bytes."""

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


class Begun:
    """The bytes of one upload under way, counted in `of_projects` inside the block, beside others of its project."""

    def __init__(self, of_projects: Counter[str], project: str) -> None:
        self._of_projects = of_projects
        self._project = project
        self._size = 0

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Count its bytes no more."""
        self._of_projects[self._project] -= self._size
        if not self._of_projects[self._project]:
            del self._of_projects[self._project]

    def more(self, size: int) -> None:
        """Count `size` more bytes."""
        self._size += size
        self._of_projects[self._project] += size

    @property
    def of_project(self) -> int:
        """The bytes of all uploads of the project that are under way."""
        return self._of_projects[self._project]


def read(query: dict[str, str]) -> Upload:
    """The query as an upload; InvalidValue naming what is wrong."""
    unknown = sorted(query.keys() - {field.name for field in msgspec.structs.fields(Upload)})
    if unknown:
        raise InvalidValue(f"Unknown parameter '{unknown[0]}'.", ident=unknown[0], reason="query")
    try:
        upload = msgspec.convert(query, Upload, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidValue(f"The query is not what an upload takes: {error}", reason="query") from error
    image.check_name(upload.name)
    image.check_login(upload.login_user)
    return upload


def finish(caller: Caller, core: Core, objects: ObjectStore, incoming: Incoming, upload: Upload) -> dict[str, Any]:
    """Inspect what came in, keep it and register it: the image's document."""
    incoming.finish()
    if upload.format == "tar" or upload.kind == "container" or is_archive(incoming.path):
        incoming.check()
        with plain(objects, incoming) as (archive, size):
            return _keep(caller, core, archive, upload, Disk("tar", size))
    return _keep(caller, core, incoming, upload, inspect(incoming.path))


def _keep(caller: Caller, core: Core, incoming: Incoming, upload: Upload, disk: Disk) -> dict[str, Any]:
    if upload.format and upload.format != disk.format:
        raise InvalidValue(f"The image is {disk.format}, not {upload.format}.", noun="image", reason="format")
    if upload.kind and upload.kind != disk.kind:
        text = f"The image is {disk.format}, which is for a {disk.kind} and not for a {upload.kind}."
        raise InvalidValue(text, noun="image", reason="kind")
    stored = incoming.keep()
    return document(register(caller, core, upload, disk, stored.digest, stored.size))


def register(caller: Caller, core: Core, upload: Upload, disk: Disk, digest: str, size: int) -> Image:
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


def inspect(path: Path) -> Disk:
    """The format and size of an untrusted file's disk, by its header alone: no program opens the file.

    InvalidValue for formats other than qcow2 and raw, and for qcow2 that hosts do not take.
    """
    with path.open("rb") as file:
        head = file.read(diskformat.HEAD)
    try:
        form = diskformat.sniff(head)
        return Disk(form, diskformat.virtual_size(head, path.stat().st_size, form))
    except diskformat.DiskRefusedError as error:
        raise InvalidValue(f"The image {error}.", noun="image", reason=error.reason) from error
