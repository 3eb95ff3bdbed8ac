"""Immutable objects in the file system, named by the sha256 of their bytes.

An object is written to a temporary file, synced, renamed to its name and the folder synced: what was answered is
there after a power cut, and what was not answered leaves nothing but a temporary file that the next start removes.
Its writer holds a lock on that file (flock(2)), which ends with it: a start beside it leaves it alone.

An object's modification time is when it was last kept, used or known to be needed. Only one whose time is long past is
removed as unneeded, under a lock that nobody has who keeps or uses an object: whoever does has that long to name it.
And only one that the present database has known: what there was before it, another one may name, and it stays.

A project that has more unneeded objects than its quota has room for loses those first that nobody has used for longest
(`relieve`): what it deletes makes room on the disk too.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import re
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from pileus.model import bounds, disk
from pileus.model.errors import InvalidValue, NotFound, Unavailable
from pileus.model.image import gibibytes
from pileus.objects.owners import Owners
from pileus.posix import locks
from pileus.posix.files import sync_folder, write_file

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class KnownDatabase(msgspec.Struct, frozen=True):
    """The database that says what is needed: its incarnation and newest line of the journal, and since when it does."""

    incarnation: int
    line: int
    since: float


class Stored(msgspec.Struct, frozen=True):
    """An object that is kept: the sha256 (lower-case hex) and number of its bytes."""

    digest: str
    size: int


def place(root: Path, digest: str) -> Path:
    """Where below `root` the object's bytes are, or would be; NotFound for what is no digest."""
    if not _DIGEST.fullmatch(digest):
        raise NotFound(f"There is no object {digest}.", noun="object", ident=digest)
    return root / digest[:2] / digest


def listed(root: Path) -> Iterator[Stored]:
    """The objects below `root`, in the order of their digests, for whoever only looks."""
    for folder in sorted(root.glob("[0-9a-f][0-9a-f]")):
        for path in sorted(folder.iterdir()):
            if _DIGEST.fullmatch(path.name):
                with contextlib.suppress(FileNotFoundError):
                    yield Stored(path.name, path.stat().st_size)


class ObjectStore:
    """Objects below the folder `root`, which the processes of one cloud share.

    Opening it makes the folder and removes what unfinished writes of processes that ended left behind. Safe to use
    from several threads. `now` gives seconds since the epoch.
    """

    def __init__(self, root: Path, now: Callable[[], float] = time.time) -> None:
        self.root = root
        self._now = now
        self._owners = Owners(root / "owners")
        self._incoming = root / "incoming"
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._incoming.mkdir(mode=0o700, exist_ok=True)
        for leftover in self._incoming.iterdir():
            locks.clear(leftover)

    def incoming(self, expected: str = "", owner: str = "") -> Incoming:
        """Begin an object that comes in parts; with `expected` (a digest) nothing else will be kept.

        `owner` is the uuid of the project that has it stored; empty: nobody's.
        """
        if expected and not _DIGEST.fullmatch(expected):
            raise InvalidValue(f"'{expected}' is no sha256 in lower-case hex.", ident=expected, reason="digest")
        with _disk():
            return Incoming(self, self._incoming / secrets.token_hex(16), expected, owner)

    def put(self, parts: Iterable[bytes], expected: str = "") -> Stored:
        """Keep the bytes of `parts`; InvalidValue when they are not what `expected` says, and then nothing is kept."""
        with self.incoming(expected) as writing:
            for part in parts:
                writing.write(part)
            return writing.keep()

    def has(self, digest: str) -> bool:
        """Whether the object is kept."""
        return self._place(digest).is_file()

    def use(self, digest: str, owner: str = "") -> bool:
        """Whether the object is kept, and stays: whoever asks is about to name it, or knows that it is needed.

        `owner` is as if it had stored it.
        """
        with self._locked(shared=True):
            try:
                self._touch(self._place(digest))
            except FileNotFoundError:
                return False
            if owner:
                self._owners.add(owner, digest)
            return True

    def known(self, ask: Callable[[], tuple[int, int]]) -> float:
        """Since when (seconds since the epoch) the database of which `ask` gives incarnation and newest line is known.

        It is another one, or an older copy, when its incarnation changed or its journal has become shorter.
        """
        path = self.root / "known.json"
        with self._locked():
            incarnation, line = ask()
            database = None
            with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
                database = msgspec.json.decode(path.read_bytes(), type=KnownDatabase)
            same = database is not None and database.incarnation == incarnation and database.line <= line
            since = database.since if database is not None and same else self._now()
            write_file(path, msgspec.json.encode(KnownDatabase(incarnation, line, since)))
        return since

    def sweep(self, needed: Collection[str], unused: float, since: float = -math.inf) -> list[Stored]:
        """Use the objects that are needed, and forget the others that nobody has used for `unused` seconds.

        Objects that nobody has used after `since` stay. Returns those that went. `needed` may be a little old, of much
        less than `unused`. Raises OSError.
        """
        gone, before = [], self._now() - unused
        for stored in self.list():
            path = self._place(stored.digest)
            if stored.digest in needed:
                self.use(stored.digest)
            elif since < _used(path) < before:
                with self._locked():
                    # Perhaps it was used meanwhile.
                    if _used(path) < before and self.delete(stored.digest):
                        gone.append(stored)
        return gone

    def stored(self, owner: str, digest: str) -> int | None:
        """The bytes of an object that is kept and that a project has stored; None otherwise."""
        return self._size(digest) if self._owners.has(owner, digest) else None

    def owned(self) -> dict[str, int]:
        """The GiB that the objects of each project count for, needed or not."""
        return {
            owner: sum(gibibytes(size) for size in map(self._size, digests) if size is not None)
            for owner, digests in self._owners.noted().items()
        }

    def relieve(self, owner: str, needed: Collection[str], room: int, since: float) -> list[Stored]:
        """Forget unneeded objects of a project, beginning with those used least lately, until they count `room` GiB.

        Objects that nobody has used after `since` stay, and so do those that somebody has used lately: whoever stores
        one is to name it. One that another project has stored too stays on that one's account. `needed` was read from
        the database after `since`. Returns what went. Raises OSError.
        """
        before, gone = self._now() - bounds.DELETED_IMAGE.most, []
        unneeded = [(_used(self._place(digest)), digest) for digest in self._owners.noted().get(owner, ())]
        for used, digest in sorted(unneeded, reverse=True):
            size = self._size(digest)
            if size is None:
                self._disown(owner, digest)
            elif digest not in needed and used > since:
                room -= gibibytes(size)
                if room < 0 and used < before and self._disown(owner, digest, before):
                    gone.append(Stored(digest, size))
        return gone

    def _disown(self, owner: str, digest: str, before: float = -math.inf) -> bool:
        """Take an object from a project if it is not kept, or was not used since `before`; whether it is gone now."""
        with self._locked():
            # Perhaps it was stored or used meanwhile.
            exists = self._size(digest) is not None
            if exists and _used(self._place(digest)) >= before:
                return False
            self._owners.remove(owner, digest)
            return exists and not self._owners.of(digest) and self.delete(digest)

    def _size(self, digest: str) -> int | None:
        """The bytes of an object; None where there is none."""
        try:
            return self._place(digest).stat().st_size
        except FileNotFoundError:
            return None

    def path(self, digest: str) -> Path:
        """The file that holds exactly the object's bytes; it never changes. NotFound when there is none."""
        path = self._place(digest)
        if not path.is_file():
            raise NotFound(f"There is no object {digest}.", noun="object", ident=digest)
        return path

    def open(self, digest: str) -> BinaryIO:
        """The object's bytes, for reading; NotFound when there is none."""
        return self.path(digest).open("rb")

    def delete(self, digest: str) -> bool:
        """Forget an object; False when there was none. A reader that has it open reads it to its end."""
        path = self._place(digest)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        sync_folder(path.parent)
        return True

    def list(self) -> Iterator[Stored]:
        """Every object, in the order of their digests."""
        return listed(self.root)

    def _touch(self, path: Path) -> None:
        now = self._now()
        os.utime(path, (now, now))

    def _locked(self, *, shared: bool = False) -> contextlib.AbstractContextManager[None]:
        return locks.locked(self.root / "lock", shared=shared)

    def _place(self, digest: str) -> Path:
        return place(self.root, digest)

    def adopt(self, temporary: Path, digest: str, owner: str) -> None:
        """Give a synced temporary file its name, and its owner. `Incoming.keep` does; nothing else should."""
        path = self._place(digest)
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self.root)
        with self._locked(shared=True):
            if owner:
                self._owners.add(owner, digest)
            self._touch(temporary)
            # Its folder is written through after the lock: nobody who keeps another object waits for that.
            temporary.rename(path)
        sync_folder(path.parent)


class Incoming:
    """An object on its way in: write its parts, then `keep` it. Leaving the block without `keep` forgets it."""

    def __init__(self, store: ObjectStore, temporary: Path, expected: str, owner: str) -> None:
        self._store = store
        self.owner = owner
        self.path = temporary
        self._expected = expected
        self._digest = hashlib.sha256()
        self._file = locks.begin(temporary)
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Either it was written through already, or what it still held is not wanted any more.
        with contextlib.suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)

    def write(self, part: bytes) -> None:
        """Add bytes. Raises Unavailable when the disk does not take them, or has too little room for all else."""
        with _disk():
            room = os.fstatvfs(self._file.fileno())
            if room.f_bavail * room.f_frsize < min(bounds.FREE_DISK.most, room.f_blocks * room.f_frsize // 20):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._file.write(part)
        self._digest.update(part)
        self.size += len(part)

    def finish(self) -> str:
        """The digest of what was written, after writing it through to `path`, where it may be looked at."""
        with _disk():
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._digest.hexdigest()

    def check(self) -> str:
        """The digest of what was written, as `finish`. InvalidValue when it is another than was said."""
        digest = self.finish()
        if self._expected and digest != self._expected:
            text = f"The bytes have the sha256 {digest}, not {self._expected}."
            raise InvalidValue(text, ident=self._expected, reason="digest")
        return digest

    def keep(self) -> Stored:
        """Keep the object; when this returns it survives a power cut. InvalidValue when its digest is another."""
        digest = self.check()
        with _disk():
            # Before it is closed, and its lock is gone.
            self._store.adopt(self.path, digest, self.owner)
        self._file.close()
        return Stored(digest, self.size)


def _used(path: Path) -> float:
    """When an object was used last (seconds since the epoch); for ever to come where there is none."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return math.inf


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    """Raise Unavailable for what the disk cannot do now: it is no mistake of the caller."""
    try:
        yield
    except OSError as error:
        reason = disk.trouble(error)
        if not reason:
            raise
        text = f"The bytes cannot be kept: {disk.WORDS[reason]}. Nothing was kept; ask again later."
        raise Unavailable(text, noun="object", reason=reason) from error
