"""The image cache: each image once per machine, verified, inspected, and shared by every launch and every cloud."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pileus.model.errors import Fault
from pileus.providers.local.machine import owner

LARGEST = 16 << 40
"""Bytes of a virtual disk: more than any real image, less than what makes tools misbehave."""

FORMATS = frozenset({"qcow2", "raw"})

_MEMORY = 1 << 30
_CPU_SECONDS = 20
_WAIT = 60.0
_CHUNK = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ImageCache:
    """Images by digest in `folder`; `fetch(digest, target)` writes one's bytes to `target` or raises Fault."""

    def __init__(self, folder: Path, fetch: Callable[[str, Path], None]) -> None:
        self._folder = folder
        self._fetch = fetch

    def have(self, digest: str, kind: str) -> Path:
        """The image's file, brought here first if it is not; waits for another launch that is bringing it.

        Raises Fault: ImageCorrupt (not the bytes that `digest` names) and ImageRefused (not a plain image of format
        `kind`), both permanent; ImageUnavailable, HostDiskFull, and whatever `fetch` raises.
        """
        if not _DIGEST.fullmatch(digest) or kind not in FORMATS:
            raise Fault("ImageRefused", f"no image can be {kind} {digest!r}", permanent=True)
        target = self._folder / digest
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Every QEMU may read the image that it knows the digest of, and list none.
            owner.give(self._folder, 0, owner.group(), 0o710)
            if target.exists():
                owner.give(target, 0, owner.group(), 0o440)
                return target
            with locked(self._folder / f".{digest}.lock"):
                if not target.exists():
                    self._bring(digest, kind, target)
        except OSError as error:
            raise disk_fault(error, "ImageUnavailable", f"image {digest} cannot be kept") from error
        return target

    def _bring(self, digest: str, kind: str, target: Path) -> None:
        part = self._folder / f".{digest}.part"
        part.unlink(missing_ok=True)
        try:
            self._fetch(digest, part)
            with part.open("rb") as file:
                if (found := _sha256(file)) != digest:
                    raise Fault("ImageCorrupt", f"image {digest} came as {found}", permanent=True)
                owner.give(part, 0, owner.group(), 0o440)
                inspect(part, kind)
                os.fsync(file.fileno())
            part.rename(target)
            sync_folder(self._folder)
        finally:
            part.unlink(missing_ok=True)


def inspect(path: Path, kind: str) -> int:
    """The bytes of virtual disk in the image at `path`, which must be of format `kind` and lean on no other file.

    Images come from strangers: qemu-img is told the format, may use little memory and time, and is nobody. Raises Fault
    ImageRefused (permanent).
    """
    limits = ["prlimit", f"--as={_MEMORY}", f"--cpu={_CPU_SECONDS}", "--core=0"]
    try:
        with path.open("rb") as file:
            # By its descriptor: whoever looks into it may not pass the folders on the way to it.
            name = f"/proc/self/fd/{file.fileno()}"
            done = subprocess.run(
                [*limits, "qemu-img", "info", "--output=json", "-f", kind, name],
                capture_output=True,
                check=False,
                timeout=_WAIT,
                pass_fds=[file.fileno()],
                **owner.nobody(),
            )
    except subprocess.TimeoutExpired as error:
        raise Fault("ImageRefused", "the image cannot be inspected in time", permanent=True) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").replace(name, "image").strip()
        raise Fault("ImageRefused", f"not a {kind} image: {said[-300:]}", permanent=True)
    found: dict[str, Any] = json.loads(done.stdout)
    details: dict[str, Any] = found.get("format-specific", {}).get("data", {})
    for what, leans in (
        ("a backing file", found.get("backing-filename") or found.get("full-backing-filename")),
        ("a data file", details.get("data-file")),
        ("encryption", found.get("encrypted") or details.get("encrypt")),
        ("damage", details.get("corrupt")),
    ):
        if leans:
            raise Fault("ImageRefused", f"the image has {what}", permanent=True)
    size = int(found["virtual-size"])
    if not 0 < size <= LARGEST:
        raise Fault("ImageRefused", f"the image has a disk of {size} bytes", permanent=True)
    return size


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock at `path` against other threads, processes and clouds; the file stays."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_fault(error: OSError, code: str, what: str) -> Fault:
    """The Fault for an OSError on this host's disk: HostDiskFull where that is what it says, else `code`."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return Fault("HostDiskFull" if full else code, f"{what}: {error}")


def _sha256(file: Any) -> str:
    found = hashlib.sha256()
    while part := file.read(_CHUNK):
        found.update(part)
    return found.hexdigest()
