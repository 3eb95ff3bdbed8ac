"""The image cache: each image once per machine, verified, inspected, and shared by every launch and every cloud."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from pileus.model import bounds, disk, diskformat
from pileus.model.errors import Fault
from pileus.posix.files import put_in_place
from pileus.posix.locks import free, locked
from pileus.providers.local.machine import owner

FORMATS = frozenset({"qcow2", "raw"})

log = structlog.get_logger()

_MEMORY = 1 << 30
_CPU_SECONDS = 20
_WAIT = 60.0
_YIELDS = ".yields"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ImageCache:
    """Images by digest in `folder`; `fetch(digest, target)` writes one's bytes to `target` or raises Fault.

    At most `most` bytes are kept, but for those that some cloud's disks lean on: what was used least lately goes first.
    A use is a link in `folder`/.uses/DIGEST to what leans on it, and lasts as long as that: no death leaves one behind.
    A user that yields, such as a template, keeps an image as long as others that go make room enough; then both go.
    An image's lock file was changed last when the image was asked for last.
    """

    def __init__(self, folder: Path, fetch: Callable[[str, Path], None], most: int = bounds.CACHE_BYTES.most) -> None:
        self._folder = folder
        self._fetch = fetch
        self._most = most
        self._uses = Uses(folder)
        self._verified: dict[str, tuple[int, ...]] = {}

    def have(self, digest: str, kind: str, user: Path | None = None, *, yields: bool = False) -> Path:
        """The image's file, brought here first if it is not; waits for another launch that is bringing it.

        `user` is what will lean on it: while that is there the image stays, and is removed only together with a user
        that `yields`. A file that is not what it was when it was verified is verified anew, and brought again when it
        is damaged.

        Raises Fault: ImageCorrupt (not the bytes that `digest` names) and ImageRefused (not a plain image of format
        `kind`), both permanent; ImageUnavailable, HostDiskFull, and whatever `fetch` raises.
        """
        if not _DIGEST.fullmatch(digest) or kind not in FORMATS:
            raise Fault("ImageRefused", f"no image can be {kind} {digest!r}", permanent=True)
        target, brought = self._folder / digest, False
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Every QEMU may read the image that it knows the digest of, and list none.
            owner.give(self._folder, 0, owner.group(), 0o710)
            with locked(self._lock(digest)):
                if user is not None:
                    self._uses.add(digest, user, yields=yields)
                if target.exists():
                    owner.give(target, 0, owner.group(), 0o440)
                if not self._good(target):
                    self._bring(digest, kind, target)
                    brought = True
                with contextlib.suppress(OSError):
                    os.utime(self._lock(digest))
            if brought:
                self._evict(self._most, but=digest)
        except OSError as error:
            raise disk_fault(error, "ImageUnavailable", f"image {digest} cannot be kept") from error
        return target

    def release(self, user: Path) -> None:
        """`user` leans on no image any more."""
        self._uses.release(user)

    def _lock(self, digest: str) -> Path:
        return self._folder / f".{digest}.lock"

    def _good(self, target: Path) -> bool:
        """Whether the image is here and whole; a damaged one is taken away. A guest that runs from it keeps it open."""
        try:
            with target.open("rb") as file:
                identity = _identity(file)
                if self._verified.get(target.name) == identity:
                    return True
                whole = hashlib.file_digest(file, "sha256").hexdigest() == target.name
        except FileNotFoundError:
            return False
        if whole:
            self._verified[target.name] = identity
        else:
            log.warning("the cached image is damaged, and brought again", image=target.name)
            target.unlink(missing_ok=True)
        return whole

    def _bring(self, digest: str, kind: str, target: Path) -> None:
        part = self._folder / f".{digest}.part"
        self._clear(digest)
        try:
            while not self._fetched(digest, part):
                pass
            with part.open("rb") as file:
                if (actual_digest := hashlib.file_digest(file, "sha256").hexdigest()) != digest:
                    raise Fault("ImageCorrupt", f"image {digest} came as {actual_digest}", permanent=True)
                owner.give(part, 0, owner.group(), 0o440)
                inspect(part, kind)
                put_in_place(part, target)
                self._verified[digest] = _identity(file)
        finally:
            part.unlink(missing_ok=True)

    def _fetched(self, digest: str, part: Path) -> bool:
        """Whether the bytes came; False when the disk was full, and is a little less so now."""
        try:
            self._fetch(digest, part)
        except Fault as fault:
            if fault.code != "HostDiskFull":
                raise
            part.unlink(missing_ok=True)
            cached_bytes = sum(path.stat().st_size for path in self._images())
            if not self._evict(cached_bytes - 1):
                raise
            return False
        return True

    def _images(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if _DIGEST.fullmatch(path.name)]

    def _evict(self, most: int, but: str = "") -> int:
        """Forget images that nothing leans on, least lately used first, until `most` bytes are kept; how many went.

        Images on which only yielding users lean come last, and take these along. The image `but` stays: its user has
        not begun to use it.
        """
        sizes = {path: path.stat().st_size for path in self._images()}
        for digest in {match[0] for path in self._folder.glob("*.part*") if (match := _DIGEST.search(path.name))}:
            with free(self._lock(digest)) as mine:
                if mine:
                    self._clear(digest)
        gone = 0
        yielding = {path: self._uses.of(path.name, yielding=True) for path in sizes}
        for path in sorted(sizes, key=lambda path: (bool(yielding[path]), used_at(self._lock(path.name)))):
            if sum(sizes.values()) <= most:
                break
            with free(self._lock(path.name)) as mine:
                if mine and path.name != but and not self._uses.of(path.name, yielding=False):
                    for user in self._uses.of(path.name, yielding=True):
                        shutil.rmtree(user, ignore_errors=True)
                        log.info("removed with its image", image=path.name, user=str(user))
                    path.unlink(missing_ok=True)
                    del sizes[path]
                    gone += 1
                    log.info("image evicted from the cache", image=path.name)
        return gone

    def _clear(self, digest: str) -> None:
        """Remove what downloads left that died; its lock is held."""
        for leftover in self._folder.glob(f"*.{digest}.part*"):
            leftover.unlink(missing_ok=True)


class Uses:
    """Users of what is kept in `folder`, by digest: links in `folder`/`name`, good while their targets exist."""

    def __init__(self, folder: Path, name: str = ".uses") -> None:
        self._folder = folder / name

    def add(self, digest: str, user: Path, *, yields: bool = False) -> None:
        """`user` leans on it from now on, and as long as that is there. Raises OSError."""
        link = self._folder / digest / (_name(user) + _YIELDS * yields)
        link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            link.symlink_to(user)

    def of(self, digest: str, *, yielding: bool = False) -> list[Path]:
        """Return the users that lean on the image, of the yielding ones or of the others; links to missing files go."""
        links = [link for link in self._folder.glob(f"{digest}/*") if (link.suffix == _YIELDS) == yielding]
        for link in links:
            if not link.exists():
                link.unlink(missing_ok=True)
        return [link.readlink() for link in links if link.is_symlink()]

    def release(self, user: Path) -> list[str]:
        """`user`, which may be gone, leans on nothing any more; the digests on which it did."""
        # A pattern that ends in the link's name finds no link whose target is gone.
        links = [link for folder in self._folder.glob("*") if (link := folder / _name(user)).is_symlink()]
        for link in links:
            link.unlink(missing_ok=True)
        return [link.parent.name for link in links]

    def forget(self, digest: str) -> None:
        """Remove the folder of links of a digest, whose lock is held."""
        shutil.rmtree(self._folder / digest, ignore_errors=True)


def _name(user: Path) -> str:
    """The name of a user's links."""
    return hashlib.sha256(os.fsencode(user)).hexdigest()[:32]


def _identity(file: Any) -> tuple[int, ...]:
    """Return an identity of a file that changes with every change of its bytes, except by the disk's own decay."""
    file_stat = os.fstat(file.fileno())
    return (file_stat.st_dev, file_stat.st_ino, file_stat.st_size, file_stat.st_mtime_ns, file_stat.st_ctime_ns)


def used_at(lock: Path) -> float:
    """When what the lock stands for was asked for last; 0 for what never was."""
    try:
        return lock.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def inspect(path: Path, kind: str) -> int:
    """The bytes of virtual disk in the image at `path`, which must be of format `kind` and lean on no other file.

    Images come from strangers: the header is checked first, then qemu-img, which is told the format, may use little
    memory and time, and is nobody. Raises Fault ImageRefused (permanent).
    """
    with path.open("rb") as file:
        try:
            diskformat.virtual_size(file.read(diskformat.HEAD), path.stat().st_size, kind)
        except diskformat.DiskRefusedError as error:
            raise Fault("ImageRefused", f"the image {error}", permanent=True) from error
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
        error_text = done.stderr.decode(errors="replace").replace(name, "image").strip()
        raise Fault("ImageRefused", f"not a {kind} image: {error_text[-300:]}", permanent=True)
    image_info: dict[str, Any] = json.loads(done.stdout)
    details: dict[str, Any] = image_info.get("format-specific", {}).get("data", {})
    for what, leans in (
        ("a backing file", image_info.get("backing-filename") or image_info.get("full-backing-filename")),
        ("a data file", details.get("data-file")),
        ("encryption", image_info.get("encrypted") or details.get("encrypt")),
        ("damage", details.get("corrupt")),
    ):
        if leans:
            raise Fault("ImageRefused", f"the image has {what}", permanent=True)
    size = int(image_info["virtual-size"])
    if not 0 < size <= bounds.VIRTUAL_DISK.most:
        raise Fault("ImageRefused", f"the image has a disk of {size} bytes", permanent=True)
    return size


def disk_fault(error: OSError, code: str, what: str) -> Fault:
    """The Fault for an OSError on this host's disk: HostDiskFull where that is what it says, else `code`."""
    return Fault("HostDiskFull" if disk.trouble(error) == disk.FULL else code, f"{what}: {error}")
