"""The provider of captures: what an instance's root disk holds becomes one file, and stays until it is removed.

At one moment only a few are made; each by a thread of its own and by programs that yield to guests. Nothing of a try
that died is used again, but the moment that it was of where somebody still shows that.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import structlog

from pileus.model.errors import Fault
from pileus.model.noun import NEVER
from pileus.model.provider import BodyRef, Capture, SeenBody
from pileus.model.spec import ImageSpec
from pileus.providers.local.capture.folders import About, CaptureFolders
from pileus.providers.local.capture.work import View, Work, need_room
from pileus.providers.local.machine.images import disk_fault

KIND = ImageSpec.KIND

MOST = 2
"""Captures that are written at once."""

LATELY, LONG = 10.0, 120.0
"""Seconds since a capture was asked for last: it still is, and it is no longer."""

log = structlog.get_logger()


class Source(Protocol):
    """The provider of one kind's instances. Called with the instance's lock held; raises Fault and OSError."""

    def view(self, image: ImageSpec) -> View | None:
        """The disk that is to be captured, as it is at a moment from now on; None: ask again soon."""

    def done(self, image: ImageSpec) -> None:
        """Nothing has to be kept for this image any more."""


class Locks:
    """A lock for each instance: what is done to it, and what is captured of it, come one after the other."""

    def __init__(self) -> None:
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self._lock = threading.Lock()

    def of(self, instance: str) -> threading.RLock:
        """That of one instance, by its uuid."""
        with self._lock:
            return self._locks[instance]


class CaptureProvider:
    """Captures on `folders` of what `sources` have, by kind of instance; see the Provider protocol."""

    def __init__(self, folders: CaptureFolders, sources: dict[str, Source], locks: Locks) -> None:
        self.folders = folders
        self._sources = sources
        self._locks = locks
        self._works: dict[str, Work] = {}
        self._asked: dict[str, float] = {}
        self._born = time.monotonic()
        self._slots = threading.BoundedSemaphore(MOST)

    # -- what there is -------------------------------------------------------------------------------------------

    def observe(self, ref: BodyRef) -> SeenBody | None:
        """A capture as it is now; a folder without an order is one too, half made or half removed."""
        if not self.folders.holds(ref.uuid):
            return None
        spec, about = self.folders.spec(ref.uuid), self.folders.about(ref.uuid)
        moment = self.folders.moment(ref.uuid)
        capture = Capture(state="capturing", moment=moment.name if moment is not None else "")
        if about is not None and self.folders.bytes(ref.uuid).exists():
            capture = Capture(state="captured", digest=about.digest, size=about.size, virtual_size=about.virtual_size)
            self._settle(ref.uuid)
        return SeenBody(kind=KIND, uuid=ref.uuid, revision=spec.revision if spec else NEVER, capture=capture)

    def _settle(self, uuid: str) -> None:
        """Let go of everything kept for a capture that has become whole, unless its instance's lock is held now."""
        spec = self.folders.spec(uuid) if uuid in self._works else None
        if spec is None or not self._locks.of(spec.instance).acquire(blocking=False):
            return
        try:
            # Where it cannot be now, the instance's own steps do it.
            with contextlib.suppress(Fault, OSError):
                self._sources[spec.machine].done(spec)
            self._works.pop(uuid, None)
        finally:
            self._locks.of(spec.instance).release()

    def scan(self) -> Iterable[SeenBody]:
        """Every capture's folder."""
        return [seen for uuid in self.folders.uuids() if (seen := self.observe(BodyRef(kind=KIND, uuid=uuid)))]

    def waiting(self, instance: str) -> ImageSpec | None:
        """A capture of the instance whose moment its disk at rest is, else one that is asked for and not whole."""
        now, specs = time.monotonic(), self.folders.waiting(instance)
        for spec in specs:
            moment = self.folders.moment(spec.uuid)
            if moment is not None and moment.at == "rest":
                return spec
        return next((spec for spec in specs if now - self._asked.get(spec.uuid, -math.inf) < LATELY), None)

    def wanted(self, uuid: str) -> bool:
        """Whether the capture may still be asked for, and is not whole."""
        asked_at = max(self._born, self._asked.get(uuid, 0.0))
        return time.monotonic() - asked_at < LONG and self.folders.holds(uuid) and self.folders.about(uuid) is None

    def reading(self, instance: str) -> list[Work]:
        """Return the captures that read the instance's disk now."""
        return [work for work in list(self._works.values()) if work.instance == instance and not work.ended]

    def file(self, uuid: str) -> Path:
        """The bytes of a whole capture. Raises Fault."""
        path = self.folders.bytes(uuid)
        if self.folders.about(uuid) is None or not path.exists():
            raise Fault("CaptureMissing", f"this host has not captured {uuid}")
        return path

    def close(self) -> None:
        """Give up what is being made; the next process makes it anew."""
        for work in list(self._works.values()):
            work.cancel(0.0)

    # -- what is to be -------------------------------------------------------------------------------------------

    def ensure(self, spec: ImageSpec) -> None:
        """One step towards the capture, see the Provider protocol. Raises Fault."""
        if spec.machine not in self._sources:
            raise Fault("Unsupported", f"no capture is made of a {spec.machine}", permanent=True)
        try:
            with self._locks.of(spec.instance):
                self._ensure(spec)
        except OSError as error:
            raise disk_fault(error, "HostDiskFailed", "this host's disk") from error

    def _ensure(self, spec: ImageSpec) -> None:
        stored_spec = self.folders.spec(spec.uuid)
        if stored_spec is not None and spec.revision < stored_spec.revision:
            return
        if stored_spec != spec:
            self.folders.hold(spec)
        source = self._sources[spec.machine]
        self._asked[spec.uuid] = time.monotonic()
        if self.folders.about(spec.uuid) is not None:
            self._works.pop(spec.uuid, None)
            source.done(spec)
            return
        work = self._works.get(spec.uuid)
        if work is not None and not work.ended:
            return
        self._works.pop(spec.uuid, None)
        if work is not None and work.fault is not None:
            self.folders.give_up(spec.uuid)
            source.done(spec)
            raise work.fault
        if sum(not other_work.ended for other_work in self._works.values()) < MOST and not self._another(spec):
            need_room(self.folders.folder(spec.uuid))
            view = source.view(spec)
            if view is not None:
                self.begin(spec, view)

    def _another(self, spec: ImageSpec) -> bool:
        """Whether another capture of the same instance has its moment, and is still wanted: one after the other."""
        others = (other.uuid for other in self.folders.waiting(spec.instance) if other.uuid != spec.uuid)
        return any(self.folders.moment(uuid) is not None and self.wanted(uuid) for uuid in others)

    def begin(self, spec: ImageSpec, view: View) -> None:
        """Begin to write what `view` shows. Raises OSError."""
        part = self.folders.begin(spec.uuid)
        self._works[spec.uuid] = Work(
            spec.instance, view, part, self._slots, lambda size: self._finish(spec, part, size)
        )
        log.info("capture begun", image=spec.ec2_id, instance=spec.instance)

    def _finish(self, spec: ImageSpec, part: Path, virtual_size: int) -> None:
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        about = About(digest.hexdigest(), part.stat().st_size, virtual_size)
        self.folders.keep(spec.uuid, about)
        log.info("capture made", image=spec.ec2_id, instance=spec.instance, bytes=about.size)

    def remove(self, ref: BodyRef) -> None:
        """Give it up, and remove what there is of it; nothing for an order older than its own. Raises Fault."""
        try:
            spec = self.folders.spec(ref.uuid)
            if spec is None:
                self.folders.drop(ref.uuid)
                return
            with self._locks.of(spec.instance):
                if ref.revision != NEVER and ref.revision < spec.revision:
                    return
                work = self._works.get(ref.uuid)
                if work is not None and not work.cancel():
                    raise Fault("CaptureFailed", "the capture is being given up")
                self._works.pop(ref.uuid, None)
                self._asked.pop(ref.uuid, None)
                if (source := self._sources.get(spec.machine)) is not None:
                    source.done(spec)
                self.folders.drop(ref.uuid)
        except OSError as error:
            raise Fault("DiskFailed", f"the capture {ref.uuid} cannot be removed: {error}") from error
