"""Image: a disk, or a root file system, that instances start from."""

from __future__ import annotations

from typing import ClassVar, Literal

from pileus.model.noun import Noun, Part

Kind = Literal["machine", "container"]
Format = Literal["qcow2", "raw", "tar"]


def kind_of(form: str) -> Kind:
    """What a disk that began as an image of this format is the root of."""
    return "container" if form == "tar" else "machine"


class Wanted(Part, frozen=True, kw_only=True):
    """`digest` is the sha256 (hex) of the bytes in the object store, `size` theirs; `virtual_size` the disk's.

    Format `tar` is a root file system with real user ids, perhaps compressed (zstd, gzip, xz); it is kind `container`'s
    only one, and no machine's. `virtual_size` is then that of its unpacked files.
    `traits` are what a host has to have for it.
    """

    digest: str
    size: int
    virtual_size: int
    format: Format = "qcow2"
    kind: Kind = "machine"
    public: bool = False
    login_user: str = "root"
    min_memory: int = 64
    min_disk: int = 1
    architecture: str = "x86_64"
    description: str = ""
    traits: tuple[str, ...] = ()
    gone: bool = False


class Image(Noun, frozen=True, kw_only=True):
    """Public images are seen by every project; private ones by their own."""

    KIND: ClassVar[str] = "image"
    PREFIX: ClassVar[str] = "ami"
    wanted: Wanted
    assigned: None = None
    seen: None = None
