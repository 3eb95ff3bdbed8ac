"""The guest hook: a program in our images that lets a booted guest become a template for others.

A guest whose SMBIOS serial number begins with `SERIAL` does everything that is the same in all guests, and then runs
`await-identity`, which waits in memory, with a page that the host finds and fills in each copy of the guest.
"""

from __future__ import annotations

import struct
from importlib import resources
from pathlib import Path

from pileus.providers.local.images.archive import execute

VERSION = 1
"""Of the page below; a template made by one version is of no use to another."""

SERIAL = "ec2fffff-ffff-4fff-8fff-"
"""The prefix of a template's SMBIOS uuid and serial number; twelve random digits follow."""

ANNOUNCEMENT = b"pileus: a template awaits its identity"
"""The line on the guest's console once it waits."""

MAGIC = bytes(byte | 0x80 for byte in b"pileus: an identity belongs here")
"""The first bytes of the page."""

SEED = 64
"""Bytes of randomness that each copy is given."""

_VERSION_AT, _BOOT_ID_AT, _GIVEN_AT = 32, 40, 80


def read_page(page: bytes) -> tuple[int, str]:
    """The version and the boot id (36 characters, or empty) that the waiting program wrote into its page."""
    (version,) = struct.unpack_from("<Q", page, _VERSION_AT)
    return version, page[_BOOT_ID_AT : _BOOT_ID_AT + 36].rstrip(b"\0").decode("ascii", "replace")


def given(nanoseconds: int, seed: bytes) -> tuple[int, bytes]:
    """Where in the page, and what, the host writes to let the guest go on: the time since 1970, and `SEED` bytes."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return _GIVEN_AT, struct.pack(f"<Qqq{SEED}s", 1, seconds, rest, seed)


def install(target: Path) -> None:
    """Compile the program to `target`, leaning on no library of the guest's. Raises `ImageBuildError`."""
    compiled("hook", target)


def compiled(source: str, target: Path) -> None:
    """Compile all of the folder `source` of our files to the program `target`; see `install`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with resources.as_file(resources.files(__package__).joinpath("files", source)) as folder:
        execute(["gcc", "-O2", "-static", "-s", "-o", target, *sorted(folder.glob("*.c"))])
    target.chmod(0o755)
