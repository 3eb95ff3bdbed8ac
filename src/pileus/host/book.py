"""The book: what a host never forgets. Orders it holds, removals it was given, and how often it started."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from typing import TYPE_CHECKING, TypeVar

import msgspec
import structlog

from pileus.bus.messages import FORGOTTEN, Removed
from pileus.model.instance import Body
from pileus.model.noun import NEVER, Revision, SeenFault
from pileus.model.provider import Capture
from pileus.model.spec import HostSpec, Spec
from pileus.posix.files import write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

DAMAGED = "damaged"
"""The folder, in that of a book, of files that could not be read: kept for whoever looks for the cause."""

HIGHEST_SUFFIX = ".highest"
"""How the name of the file ends that shows the highest revision, beside the orders: `INCARNATION.COUNTER.highest`."""

REMOVALS = "removed.jsonl"
"""The list of removals, in the folder of a book."""

SpecT = TypeVar("SpecT", bound=Spec)

_SCARCE = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))

log = structlog.get_logger()


class BookEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One order and what has come of it. Without a spec it is a removal; `why` is gone or moved.

    `request` is the id of the last request that the order was sent for; `falls` how often in a row the body went down
    soon after its start, though nobody had asked it to. `kind` is the noun's, `capture` what came of an image's order.
    `backend`, of the provider, and `project` are those of the last spec: a removal has none.
    """

    uuid: str
    revision: Revision
    spec: HostSpec | None = None
    why: str = ""
    body: Body = Body()
    applied: Revision = NEVER
    ever: bool = False
    since: float = 0.0
    fault: SeenFault | None = None
    request: str = ""
    falls: int = 0
    kind: str = "instance"
    capture: Capture | None = None
    backend: str = ""
    project: str = ""


def placed(entry: BookEntry) -> BookEntry:
    """The entry with the backend and the project of its spec; a removal has those of the spec before."""
    if entry.spec is not None:
        return msgspec.structs.replace(entry, backend=entry.spec.backend, project=entry.spec.project)
    return entry if entry.backend else msgspec.structs.replace(entry, backend=entry.kind)


def specs_of(kind: type[SpecT], entries: Iterable[BookEntry]) -> dict[str, SpecT]:
    """The specs of one kind that are held, by uuid; removals have none."""
    return {entry.uuid: entry.spec for entry in entries if isinstance(entry.spec, kind)}


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """`epoch` counts starts; `incarnation` and `highest` are the greatest that any order brought.

    `opening` is the latest of the store in which it was asked.
    """

    epoch: int = 0
    incarnation: int = 0
    opening: int = 0
    highest: Revision = NEVER


def _raised(start: Start, revision: Revision) -> Start:
    if revision <= start.highest and revision[0] <= start.incarnation:
        return start
    return msgspec.structs.replace(
        start, incarnation=max(start.incarnation, revision[0]), highest=max(start.highest, revision)
    )


class Book:
    """A book in memory, which is as lasting as this object: for the stub and for tests."""

    def __init__(self) -> None:
        self.start = Start()
        self.entries: dict[str, BookEntry] = {}
        self.removed: dict[str, Removed] = {}
        self.forgotten: Revision = NEVER
        """The revision through which removals were forgotten: an order through it is refused for what is not held."""

    def begin(self) -> None:
        """Count a start of the agent."""
        self._set_start(msgspec.structs.replace(self.start, epoch=self.start.epoch + 1))

    def begin_later_epoch(self, epoch: int) -> None:
        """Begin an epoch above this one: the book is an old copy, and the cloud has heard of later starts."""
        self._set_start(msgspec.structs.replace(self.start, epoch=max(epoch, self.start.epoch) + 1))

    def raise_highest(self, revision: Revision) -> None:
        """Raise the highest revision and incarnation that were ever seen to those of `revision`.

        An incarnation at once. A revision is in the order, or the removal, that is kept next, and in the name of a file
        beside it; see `note` for the rest.
        """
        raised = _raised(self.start, revision)
        if raised.incarnation != self.start.incarnation:
            self._set_start(raised)
        self.start = raised

    def note(self) -> None:
        """Write down the greatest revision, that of what was refused, too."""
        self._set_start(self.start)

    def enter(self, incarnation: int, opening: int = 0) -> None:
        """Be in this incarnation and this opening of the store from now on, or stay in what is higher.

        Orders of lower ones are refused.
        """
        incarnation, opening = max(incarnation, self.start.incarnation), max(opening, self.start.opening)
        if (incarnation, opening) != (self.start.incarnation, self.start.opening):
            self._set_start(msgspec.structs.replace(self.start, incarnation=incarnation, opening=opening))

    def keep(self, entry: BookEntry) -> None:
        """Hold an order, or what has come of it."""
        entry = placed(entry)
        if self.entries.get(entry.uuid) != entry:
            self._write_entry(entry)
            self.entries[entry.uuid] = entry
            self.start = _raised(self.start, entry.revision)

    def remember(self, uuid: str, removed: Removed) -> None:
        """Remember that this was to be removed; the order for it is no longer held."""
        self._write_removed(uuid, removed)
        self.removed[uuid] = removed
        self.start = _raised(self.start, removed.revision)
        if uuid in self.entries:
            self._erase_entry(uuid)
            del self.entries[uuid]

    def forget(self, through: Revision, limit: int) -> None:
        """Forget the oldest removals through a revision for which the store vouches, until `limit` removals remain."""
        oldest = sorted(self.removed, key=lambda uuid: self.removed[uuid].revision)[: max(0, len(self.removed) - limit)]
        forgotten = {uuid for uuid in oldest if self.removed[uuid].revision <= through}
        retained = {uuid: removed for uuid, removed in self.removed.items() if uuid not in forgotten}
        self._write_kept(max(through, self.forgotten), retained)
        self.removed, self.forgotten = retained, max(through, self.forgotten)
        self.start = _raised(self.start, self.forgotten)

    def _recalled(self, written: Start) -> Start:
        """Return the start as written, raised to the highest revision of the orders and removals."""
        revisions = [entry.revision for entry in self.entries.values()]
        revisions += [removed.revision for removed in self.removed.values()]
        revisions.append(self.forgotten)
        return _raised(written, max(revisions, default=NEVER))

    def _set_start(self, start: Start) -> None:
        self._write_start(start)
        self.start = start

    def _write_start(self, start: Start) -> None: ...

    def _write_entry(self, entry: BookEntry) -> None: ...

    def _erase_entry(self, uuid: str) -> None: ...

    def _write_removed(self, uuid: str, removed: Removed) -> None: ...

    def _write_kept(self, forgotten: Revision, removals: dict[str, Removed]) -> None: ...


class FileBook(Book):
    """A book in a folder: a file for each order (written aside, then renamed) and one list of removals.

    The list grows with each removal, and is written anew when some are forgotten; a first line without a uuid then says
    through which revision.

    An order that cannot be read is set aside, and missing: the host's next report does not name its body, and the
    cloud orders it again. So is what was kept of earlier starts: the host begins above all that its book still shows.
    A process that lacks descriptors or memory raises OSError, and sets nothing aside: a later one reads it.
    The highest revision of the orders and removals is known however little can be read: it is the name of an empty file
    in the orders' folder, which is synced with each order.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._folder = folder
        self._orders = folder / "orders"
        self._orders.mkdir(parents=True, exist_ok=True, mode=0o700)
        begun = self._begun(folder / "start.json", int(now()))
        for path in self._orders.glob("*.new"):
            path.unlink()
        for path in list(self._orders.glob("*.json")):
            try:
                entry = read_entry(path)
            except (OSError, msgspec.MsgspecError) as error:
                _raise_scarce(error)
                self._set_aside(path, error, int(now()))
            else:
                self.entries[entry.uuid] = entry
        self._load_removed()
        self._highest_named = max(named_revisions(self._orders), default=NEVER)
        # Perhaps an older start was lost: epochs go on above all of its, or the cloud would take reports for old.
        self._written = begun or Start(epoch=int(now()))
        self.start = _raised(self._recalled(self._written), self._highest_named)

    def _begun(self, path: Path, now: int) -> Start | None:
        """How it began last; None for a new book, and where that cannot be read any more."""
        if not path.exists():
            return None
        try:
            return msgspec.json.decode(path.read_bytes(), type=Start)
        except (OSError, msgspec.MsgspecError) as error:
            _raise_scarce(error)
            self._set_aside(path, error, now)
            return None

    def _set_aside(self, path: Path, error: Exception, now: int) -> None:
        aside = self._folder / DAMAGED / f"{path.stem}.{now}.json"
        try:
            aside.parent.mkdir(exist_ok=True, mode=0o700)
            path.rename(aside)
        except OSError as kept:
            # It stays where it is, until the same is written there again.
            log.warning("damaged file not set aside", file=str(path), error=str(kept))
        log.error("set aside: it cannot be read", file=str(aside), error=str(error))

    def _load_removed(self) -> None:
        line = msgspec.json.Decoder(tuple[str, Removed])
        with contextlib.suppress(FileNotFoundError), (self._folder / REMOVALS).open("rb") as file:
            for text in file:
                try:
                    uuid, removed = line.decode(text)
                except msgspec.DecodeError:
                    continue  # cut short by a power cut or a full disk; its order is still held
                if uuid:
                    self.removed[uuid] = removed
                else:
                    self.forgotten = removed.revision
        for uuid, removed in self.removed.items():
            entry = self.entries.get(uuid)
            if entry is not None and entry.revision <= removed.revision:
                self._erase_entry(uuid)
                del self.entries[uuid]

    def _write_start(self, start: Start) -> None:
        if start != self._written:
            write_file(self._folder / "start.json", msgspec.json.encode(start))
            self._written = start

    def _name_highest(self, revision: Revision) -> None:
        """Show a revision by a name in the orders' folder, which is lasting as soon as the folder is synced."""
        if revision > self._highest_named:
            # A disk that is too full for a name may have room for what is more important.
            with contextlib.suppress(OSError):
                new = self._orders / "{}.{}{}".format(*revision, HIGHEST_SUFFIX)
                try:
                    (self._orders / "{}.{}{}".format(*self._highest_named, HIGHEST_SUFFIX)).rename(new)
                except FileNotFoundError:
                    new.touch(mode=0o600)
                self._highest_named = revision

    def _write_entry(self, entry: BookEntry) -> None:
        self._name_highest(entry.revision)
        write_file(self._orders / f"{entry.uuid}.json", msgspec.json.encode(entry))

    def _erase_entry(self, uuid: str) -> None:
        (self._orders / f"{uuid}.json").unlink(missing_ok=True)

    def _write_removed(self, uuid: str, removed: Removed) -> None:
        self._name_highest(removed.revision)
        with (self._folder / REMOVALS).open("ab+") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 1))
            # A line that a full disk cut short ends here, or this one would be part of it.
            torn = file.read(1) not in (b"", b"\n")
            file.write(b"\n" * torn + msgspec.json.encode((uuid, removed)) + b"\n")
            file.flush()
            os.fdatasync(file.fileno())

    def _write_kept(self, forgotten: Revision, removals: dict[str, Removed]) -> None:
        self._name_highest(forgotten)
        lines = [("", Removed(revision=forgotten, why=FORGOTTEN)), *removals.items()]
        write_file(self._folder / REMOVALS, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def _raise_scarce(error: Exception) -> None:
    """Raise an error that speaks of this process or machine, and not of the file that it was to read."""
    if isinstance(error, OSError) and error.errno in _SCARCE:
        raise error


def named_revisions(orders: Path) -> list[Revision]:
    """The highest revision as the names in its folder show it; none, or several, where somebody else was at work."""
    revisions = []
    for path in orders.glob(f"*{HIGHEST_SUFFIX}"):
        incarnation, _, counter = path.name.removesuffix(HIGHEST_SUFFIX).partition(".")
        if incarnation.isdecimal() and counter.isdecimal():
            revisions.append((int(incarnation), int(counter)))
    return revisions


def read_entry(path: Path) -> BookEntry:
    """The order in a file of a book's folder. Raises OSError, and MsgspecError for one that is damaged."""
    entry = msgspec.json.decode(path.read_bytes(), type=BookEntry)
    if entry.uuid != path.stem:
        raise msgspec.ValidationError(f"{path} holds the order for {entry.uuid}")
    return placed(entry)
