"""Captures on their host: what is asked of the provider for them, and which instances are kept down meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.host.book import specs_of
from pileus.model.errors import Fault
from pileus.model.noun import SeenFault
from pileus.model.provider import BodyRef, Capture
from pileus.model.spec import ImageSpec, InstanceSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.host.book import Book, BookEntry
    from pileus.model.provider import Provider

SOON = 0.25
"""Seconds until a capture that is being made, or waits for its guest to be down, is looked at again."""


class HostCaptures:
    """The captures that a book orders. `wake` has a body looked at."""

    def __init__(self, provider: Provider, book: Book, now: Callable[[], float]) -> None:
        self._provider = provider
        self._book = book
        self._now = now
        self._ordered = specs_of(ImageSpec, book.entries.values())

    def take(self, entry: BookEntry, spec: ImageSpec) -> BookEntry:
        """From now on `hold` considers this capture; the entry stays as it is."""
        self._ordered[entry.uuid] = spec
        return entry

    def hold(self, instance: str, *, held_down: bool) -> str:
        """The capture for which this instance is to be down now, for it has no moment yet; empty if there is none.

        A guest that is not `held_down` yet is not put down while another capture of it is made, which would lose its
        moment. One that is held stays down: captures of it may have begun.
        """
        pending_capture = ""
        for uuid, spec in list(self._ordered.items()):
            entry = self._book.entries.get(uuid)
            if entry is None or entry.spec is None:
                del self._ordered[uuid]
            elif spec.instance == instance and not _ended(entry):
                if not held_down and _moment(entry) and entry.fault is None:
                    return ""
                if spec.reboot and not _moment(entry):
                    pending_capture = uuid
        return pending_capture

    def step(self, entry: BookEntry, spec: ImageSpec, wake: Callable[[str], None]) -> tuple[BookEntry, float | None]:
        """One step towards a capture. Raises Fault; a permanent one is the capture's end, whatever is ordered later."""
        if entry.capture is not None and entry.capture.state == "failed":
            return msgspec.structs.replace(entry, fault=entry.capture.fault), None
        try:
            return self._step(entry, spec, wake)
        except Fault as fault:
            if not fault.permanent:
                raise
            shown = SeenFault.of(fault, self._now())
            failed = Capture(state="failed", fault=shown)
            return msgspec.structs.replace(entry, capture=failed, fault=shown), None

    def _step(self, entry: BookEntry, spec: ImageSpec, wake: Callable[[str], None]) -> tuple[BookEntry, float | None]:
        ref = BodyRef(kind=spec.KIND, uuid=entry.uuid, revision=entry.revision)
        seen = self._provider.observe(ref)
        capture = seen.capture if seen is not None else None
        if capture is not None and capture.state == "captured":
            return msgspec.structs.replace(entry, capture=capture, applied=entry.revision, fault=None), None
        if entry.capture is not None and entry.capture.state == "captured":
            raise Fault("CaptureLost", "What was captured is no longer there.", permanent=True)
        if spec.KIND not in self._provider.handles:
            raise Fault("Unsupported", "This host captures no disks.", permanent=True)
        source = self._book.entries.get(spec.instance)
        instance = specs_of(InstanceSpec, [source] if source is not None else []).get(spec.instance)
        if source is None or instance is None:
            raise Fault("SourceMissing", f"This host was not ordered the instance {spec.instance}.")
        if spec.reboot and not _moment(entry) and not source.body.held:
            wake(spec.instance)
            return entry, SOON
        try:
            capture = self._made(spec, ref)
            if spec.reboot and _lost(entry, capture):
                if self._unseen(source):
                    wake(spec.instance)
                    return entry, SOON
                _excuse(source, instance.power.n, capture)
        except Fault as fault:
            if spec.reboot and instance.power.state == "running" and not self._keeps(entry, ref):
                # Its guest was put down for this, and is not to be again.
                raise Fault(fault.code, fault.message, permanent=True) from fault
            raise
        entry = msgspec.structs.replace(entry, capture=capture, fault=None)
        if capture is None or capture.state != "captured":
            return entry, SOON
        return msgspec.structs.replace(entry, applied=entry.revision), None

    def _keeps(self, entry: BookEntry, ref: BodyRef) -> bool:
        """Whether a capture that has its moment still has it: nobody is down for it, and it can be tried again."""
        seen = self._provider.observe(ref)
        capture = seen.capture if seen is not None else None
        return bool(_moment(entry)) and not _lost(entry, capture)

    def _unseen(self, source: BookEntry) -> bool:
        """Whether an instance has ended, and its own steps have not looked yet at what ended it."""
        seen = self._provider.observe(BodyRef(kind=source.kind, uuid=source.uuid))
        return source.body.running and (seen is None or not seen.running)

    def _made(self, spec: ImageSpec, ref: BodyRef) -> Capture | None:
        self._provider.ensure(spec)
        seen = self._provider.observe(ref)
        capture = seen.capture if seen is not None else None
        if capture is not None and capture.state == "failed":
            why = capture.fault or SeenFault(code="CaptureMissing", message="The capture failed.")
            raise Fault(why.code, why.message, permanent=why.permanent)
        return capture


def _moment(entry: BookEntry) -> str:
    """The moment that a capture is of; empty while there is none."""
    return entry.capture.moment if entry.capture is not None else ""


def _lost(entry: BookEntry, capture: Capture | None) -> bool:
    """Whether a capture that had its moment is now of another one, or of none yet."""
    now = capture if capture is not None else Capture(state="capturing")
    return _moment(entry) not in ("", now.moment) and now.state == "capturing"


def _excuse(source: BookEntry, n: int, capture: Capture | None) -> None:
    """A moment was lost for which the guest had been put down. Raises Fault unless it went down in order once more.

    The disk of a guest that ended otherwise is not the one asked for. `n` is of the power that is wanted of it.
    """
    fell = source.falls and source.body.satisfied != n
    if fell or capture is None or not capture.moment:
        text = "The instance ended, or could not be kept as it was, while its disk was being captured."
        raise Fault("CaptureInterrupted", text, permanent=True)


def _ended(entry: BookEntry) -> bool:
    """Whether nothing more is done for a capture: it is whole, or will never be."""
    return entry.capture is not None and entry.capture.state in ("captured", "failed")
