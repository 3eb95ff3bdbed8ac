"""Bases: what containers' root file systems begin as, each unpacked once per machine and shared by every launch.

A base belongs to root with the users that its archive names, in a folder that nobody else may pass; containers see it
read-only, under users of their own, by mounts that the runtime makes.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, TypeVar

import msgspec
import structlog

from pileus.model import bounds
from pileus.model.errors import Fault
from pileus.model.rootfs import UnpackedSize
from pileus.model.threads import once
from pileus.posix.files import sync_folder
from pileus.posix.locks import free, locked
from pileus.providers.local.container.unpack import FULL, REFUSED
from pileus.providers.local.machine import owner
from pileus.providers.local.machine.images import Uses, disk_fault, used_at

log = structlog.get_logger()

_T = TypeVar("_T")
_MEMORY = 1 << 30
_CPU_SECONDS = 900
_WAIT = float(bounds.INSPECTION_SECONDS_IN_ALL.most)
_TIDY = 3600.0
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LEFT = re.compile(r"\.(tar|part|gone)\b")
_PACKERS = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
}
"""First bytes of a compressed archive → what decompresses it."""


class Bases:
    """Unpacked root file systems by digest in `folder`; `fetch(digest, target)` writes an archive or raises Fault.

    At most `most` bytes and `entries` files, folders and links are kept, but for bases that some container leans on:
    the base used least lately goes first, and a base that nobody asked for during `CACHE_IDLE` goes, too. A base of
    more than `CACHE_TREE` files, folders and links goes with the last container that leans on it. Several
    clouds may share a folder: `cloud` is a folder of the cloud that asks, which exists as long as the cloud does. A
    base is whole or not there, also after a power cut.
    """

    def __init__(
        self,
        folder: Path,
        fetch: Callable[[str, Path], None],
        most: int = bounds.CACHE_BYTES.most,
        entries: int = bounds.CACHE_ENTRIES.most,
        *,
        cloud: Path | None = None,
    ) -> None:
        self._folder = folder
        self._fetch = fetch
        self._most = most
        self._entries = entries
        self._cloud = cloud
        self._uses = Uses(folder)
        self._clouds = Uses(folder, ".clouds")
        self._tidied = -_TIDY

    def path(self, digest: str, user: Path | None = None) -> Path:
        """The root folder of the image `digest`, made first if it is not; waits for another launch that is making it.

        `user` is what will lean on it (a container's folder): while that is there the base stays. Nothing may ever be
        written below it. Raises Fault: ImageCorrupt (not the bytes that `digest` names) and ImageRefused (nothing to be
        unpacked), both permanent; ImageUnavailable, HostDiskFull, and whatever `fetch` raises.
        """
        if not _DIGEST.fullmatch(digest):
            raise Fault("ImageRefused", f"no image can be {digest!r}", permanent=True)
        unpacked = False
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locked(self._lock(digest)):
                if user is not None:
                    self._uses.add(digest, user)
                if self._cloud is not None:
                    self._clouds.add(digest, self._cloud)
                if not self.root(digest).is_dir():
                    self._make(digest)
                    unpacked = True
                with contextlib.suppress(OSError):
                    os.utime(self._lock(digest))
            if unpacked:
                self._evict(self._fits, but=digest)
        except OSError as error:
            raise disk_fault(error, "ImageUnavailable", f"image {digest} cannot be unpacked") from error
        return self.root(digest)

    def root(self, digest: str) -> Path:
        """Where the base of the image is, or would be."""
        return self._folder / digest / "rootfs"

    def release(self, user: Path) -> None:
        """`user` leans on no base any more; a large base goes with its last user, in a thread: it takes seconds."""
        for digest in self._large().intersection(self._uses.release(user)):
            once("base-removal", functools.partial(self._drop, digest))

    def tidy(self) -> None:
        """Remove bases that nothing leans on: large ones, and those that nobody used for `CACHE_IDLE`.

        Looks once an hour. Raises OSError.
        """
        if time.monotonic() - self._tidied < _TIDY:
            return
        self._tidied = time.monotonic()
        latest = time.time() - bounds.CACHE_IDLE.most
        locks = [path for path in self._folder.glob(".*.lock") if used_at(path) < latest]
        for digest in self._large().union(path.name[1 : -len(".lock")] for path in locks):
            self._drop(digest)

    def forget(self, cloud: Path) -> None:
        """Remove bases that nothing leans on, and that no cloud but `cloud` asked for. Raises OSError."""
        self._clouds.release(cloud)
        for digest in self._trees():
            if not self._clouds.of(digest):
                self._drop(digest)

    def _lock(self, digest: str) -> Path:
        return self._folder / f".{digest}.lock"

    def _make(self, digest: str) -> None:
        archive, part = self._folder / f".{digest}.tar", self._folder / f".{digest}.part"
        self._clear(digest)
        began = time.monotonic()
        try:
            self._with_room(lambda: self._fetch(digest, archive))
            with archive.open("rb") as file:
                if (actual_digest := hashlib.file_digest(file, "sha256").hexdigest()) != digest:
                    raise Fault("ImageCorrupt", f"image {digest} came as {actual_digest}", permanent=True)
                tree = self._with_room(lambda: _unpack(file, part, _free_entries(self._folder)))
            (part / "about.json").write_bytes(msgspec.json.encode(tree))
            _sync_all(part)
            part.rename(self._folder / digest)
            sync_folder(self._folder)
            log.info("image unpacked", image=digest, bytes=tree.bytes, seconds=round(time.monotonic() - began, 1))
        finally:
            self._clear(digest)

    def _with_room(self, work: Callable[[], _T]) -> _T:
        """Return the result of `work`; on a full disk evict bases that nothing leans on, and call it again."""
        while True:
            try:
                return work()
            except Fault as fault:
                if fault.code != "HostDiskFull" or not self._evict(functools.partial(_fewer, len(self._trees()))):
                    raise

    def _trees(self) -> dict[str, UnpackedSize]:
        """The size of every base, by digest."""
        trees = {}
        for path in self._folder.glob("*/about.json"):
            if _DIGEST.fullmatch(path.parent.name):
                with contextlib.suppress(OSError, msgspec.DecodeError):
                    trees[path.parent.name] = msgspec.json.decode(path.read_bytes(), type=UnpackedSize)
        return trees

    def _large(self) -> set[str]:
        """The digests of bases that do not stay after their last use."""
        return {digest for digest, tree in self._trees().items() if tree.entries > bounds.CACHE_TREE.most}

    def _fits(self, trees: Collection[UnpackedSize]) -> bool:
        """Whether bases of these sizes are within the bounds."""
        return sum(tree.bytes for tree in trees) <= self._most and sum(tree.entries for tree in trees) <= self._entries

    def _evict(self, enough: Callable[[Collection[UnpackedSize]], bool], but: str = "") -> int:
        """Remove bases that nothing leans on, least lately used first, until the rest is `enough`; how many went."""
        leftover_names = (path.name for path in self._folder.iterdir() if _LEFT.search(path.name))
        for digest in {match[0] for name in leftover_names if (match := _DIGEST.search(name))}:
            with free(self._lock(digest)) as mine:
                if mine:
                    self._clear(digest)
        trees, gone = self._trees(), 0
        for digest in sorted(trees, key=lambda digest: used_at(self._lock(digest))):
            if enough(trees.values()):
                break
            if digest != but and self._drop(digest):
                del trees[digest]
                gone += 1
        return gone

    def _drop(self, digest: str) -> bool:
        """Remove a base, its lock included, unless something leans on it or uses it now; whether it went."""
        with free(self._lock(digest)) as mine:
            if not mine or self._uses.of(digest):
                return False
            with contextlib.suppress(FileNotFoundError):
                (self._folder / digest).rename(self._folder / f".{digest}.gone")
                log.info("base removed", image=digest)
            self._clear(digest)
            self._uses.forget(digest)
            self._clouds.forget(digest)
            self._lock(digest).unlink(missing_ok=True)
        return True

    def _clear(self, digest: str) -> None:
        """Remove what was left half made or half removed; its lock is held."""
        for leftover in self._folder.glob(f"*.{digest}.tar*"):
            leftover.unlink(missing_ok=True)
        for leftover in (self._folder / f".{digest}.part", self._folder / f".{digest}.gone"):
            if leftover.exists():
                remove_tree(leftover)


def _fewer(number: int, trees: Collection[UnpackedSize]) -> bool:
    return len(trees) < number


def remove_tree(folder: Path) -> None:
    """Remove a folder from a stranger's archive, however deep it is. Raises OSError."""
    done = subprocess.run(
        ["rm", "-rf", "--one-file-system", "--", folder], check=False, capture_output=True, text=True, errors="replace"
    )
    if done.returncode:
        raise OSError(f"{folder} cannot be removed: {done.stderr.strip()[-300:]}")


def _free_entries(folder: Path) -> int:
    """The files that may be made in the file system of `folder`, so that `FREE_INODES` of its inodes stay free."""
    filesystem = os.statvfs(folder)
    if not filesystem.f_files:
        return bounds.ARCHIVE_ENTRIES.most
    return max(0, filesystem.f_favail - filesystem.f_files * bounds.FREE_INODES.most // 100)


def _unpack(file: IO[bytes], part: Path, room: int) -> UnpackedSize:
    """Unpack the archive, of at most `room` entries, to `part`/rootfs.

    Raises Fault ImageRefused (permanent), HostDiskFull, ImageUnavailable.
    """
    if part.exists():
        remove_tree(part)
    part.mkdir(mode=0o700)
    root = part / "rootfs"
    root.mkdir(mode=0o755)
    root.chmod(0o755)
    try:
        with decompressed(file) as stream:
            done = subprocess.run(
                [
                    *_bounds(f"--fsize={bounds.ARCHIVE_BYTES.most}"),
                    sys.executable,
                    "-I",
                    "-m",
                    f"{__package__}.unpack",
                    root,
                    str(room),
                ],
                stdin=stream,
                capture_output=True,
                check=False,
                timeout=_WAIT,
                env={"LC_ALL": "C.UTF-8"},
            )
    except subprocess.TimeoutExpired as error:
        raise Fault("ImageRefused", "the image cannot be unpacked in time", permanent=True) from error
    last_line = (done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"])[-1]
    if done.returncode == FULL:
        raise Fault("HostDiskFull", f"{part.parent} has no room for the image: {last_line}")
    if done.returncode == REFUSED or done.returncode < 0:
        raise Fault("ImageRefused", f"the image cannot be unpacked: {last_line}", permanent=True)
    if done.returncode:
        raise Fault("ImageUnavailable", f"the image is not unpacked: {last_line}")
    return msgspec.json.decode(done.stdout, type=UnpackedSize)


@contextlib.contextmanager
def decompressed(file: IO[bytes]) -> Iterator[int]:
    """Yield a descriptor of `file`'s decompressed bytes; the decompressor runs as nobody's user with little memory.

    Raises Fault ImageUnavailable where what decompresses it is not installed.
    """
    file.seek(0)
    head = file.read(8)
    file.seek(0)
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    packer = next((name for magic, name in _PACKERS.items() if head.startswith(magic)), None)
    if packer is None:
        yield file.fileno()
        return
    if shutil.which(packer) is None:
        raise Fault("ImageUnavailable", f"the image needs the program {packer}, which is not installed")
    with subprocess.Popen(
        [*_bounds("--fsize=0"), packer, "-dc"],
        stdin=file.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        **owner.nobody(),
    ) as process:
        try:
            yield process.stdout.fileno() if process.stdout else -1
        finally:
            # Who reads has seen the archive's end, or does not want more of it.
            process.kill()


def _bounds(*more: str) -> list[str]:
    # A large image gives way to whatever else the host does.
    return ["nice", "prlimit", f"--as={_MEMORY}", f"--cpu={_CPU_SECONDS}", "--core=0", "--nofile=64", *more]


def _sync_all(folder: Path) -> None:
    """Have all that is in the file system of `folder` survive a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor):
            raise OSError(ctypes.get_errno(), f"{folder} cannot be synced")
    finally:
        os.close(descriptor)
