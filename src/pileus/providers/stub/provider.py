"""Bodies that only pretend to run; everything else is as with a real provider."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec

from pileus.model import statistics
from pileus.model.errors import Fault
from pileus.model.execution import CHUNK, FrameKind, FrameReader, decode_command, encode
from pileus.model.host import ProviderLimits
from pileus.model.noun import NEVER
from pileus.model.provider import BodyRef, Capture, Recalled, SeenBody
from pileus.model.spec import ImageSpec, InstanceSpec, PortSpec
from pileus.model.statistics import NicStatistics, Statistics
from pileus.providers.stub.records import Records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pileus.model.noun import Revision
    from pileus.model.provider import Access, Channel, Channels, Stream
    from pileus.model.spec import Spec

_RATE = 10_000
"""Bytes and, a hundredth of it, packets that a pretended guest receives in a second; it sends half as much."""

_BUSY = 0.05
"""How much of a processor it uses."""


_KINDS = ("machine", "container")

_HOSTS = frozenset({InstanceSpec.KIND, ImageSpec.KIND})
"""The kinds of specs that hosts are ordered: their own books keep those orders."""


class StubProvider:
    """`latency` seconds pass before anything is done. `faults` is asked before each call (name, uuid) and may raise.

    A pretended guest has come up as soon as it runs; with `slow_guests` only when `come_up` is called. With `database`
    it is the network engine of several processes, whose bodies are in that file.
    """

    handles = frozenset(
        {"instance", "image", "router", "network", "port", "securitygroup", "floatingip", "transitgateway"}
    )
    limits = ProviderLimits(kinds=_KINDS, pause=True, live_migrate=True, hot_plug=True, captures=_KINDS)

    def __init__(
        self,
        *,
        latency: float = 0.0,
        channels: Channels | None = None,
        faults: Callable[[str, str], None] | None = None,
        slow_guests: bool = False,
        database: Path | None = None,
    ) -> None:
        self._records = Records(database) if database is not None else None
        self.bodies: dict[tuple[str, str], SeenBody] = {}
        self.specs: dict[tuple[str, str], Any] = {}
        self.logs: dict[str, list[str]] = {}
        self.captures: dict[str, bytes] = {}
        self.removed: dict[tuple[str, str], Revision] = {}
        self._since: dict[str, float] = {}
        self._latency = latency
        self._channels = channels
        self._faults = faults
        self._slow_guests = slow_guests
        self._watchers: list[Callable[[BodyRef], None]] = []
        self._lock = threading.Lock()
        self._kinds: dict[str, Callable[[Any, SeenBody | None, SeenBody], SeenBody]] = {
            InstanceSpec.KIND: self._power,
            ImageSpec.KIND: self._captured,
            PortSpec.KIND: _joined,
        }

    def observe(self, ref: BodyRef) -> SeenBody | None:
        """The pretended body."""
        self._before("observe", ref.uuid)
        if self._records is not None:
            return self._records.observe(ref)
        return self.bodies.get((ref.kind, ref.uuid))

    def scan(self) -> Iterable[SeenBody]:
        """Every pretended body."""
        self._before("scan", "")
        if self._records is not None:
            return self._records.scan()
        with self._lock:
            return list(self.bodies.values())

    def recall(self) -> Iterable[Recalled]:
        """Return the records of the specs, and of the removals."""
        self._before("scan", "")
        if self._records is not None:
            return self._records.recall()
        with self._lock:
            spec_records = [
                Recalled(kind=kind, uuid=uuid, revision=spec.revision, record=spec.record)
                for (kind, uuid), spec in self.specs.items()
                if kind not in _HOSTS
            ]
            gone = [
                Recalled(kind=kind, uuid=uuid, revision=revision, gone=True)
                for (kind, uuid), revision in self.removed.items()
                if kind not in _HOSTS
            ]
            return spec_records + gone

    def ensure(self, spec: Spec) -> None:
        """Be as `spec` says, after the latency; what is older than the body or than its removal does nothing."""
        self._before("ensure", spec.uuid)
        if self._records is not None:
            self._records.ensure(spec, self._body(spec, None))
            return
        key = (spec.KIND, spec.uuid)
        with self._lock:
            old = self.bodies.get(key)
            if old is not None and spec.revision < old.revision:
                return
            if old is None and spec.revision <= self.removed.get(key, NEVER) != NEVER:
                return
            self.bodies[key] = self._body(spec, old)
            self.specs[key] = spec

    def _body(self, spec: Spec, old: SeenBody | None) -> SeenBody:
        seen = SeenBody(kind=spec.KIND, uuid=spec.uuid, revision=spec.revision)
        return self._kinds[spec.KIND](spec, old, seen) if spec.KIND in self._kinds else seen

    def _power(self, spec: InstanceSpec, old: SeenBody | None, seen: SeenBody) -> SeenBody:
        was = old is not None and old.running
        running = was if spec.power.keep else spec.power.state == "running"
        if running and not was:
            self.logs.setdefault(spec.uuid, []).append(f"{spec.ec2_id} starts as {spec.hostname}")
            self._since[spec.uuid] = time.monotonic()
        if was and not running:
            self.logs.setdefault(spec.uuid, []).append(f"{spec.ec2_id} stops")
        cause = old.cause if old is not None and not running and not was else ("" if running else "other")
        up = running and ((was and old is not None and old.up) or not self._slow_guests)
        return msgspec.structs.replace(seen, running=running, up=up, cause=cause)

    def _captured(self, spec: ImageSpec, old: SeenBody | None, seen: SeenBody) -> SeenBody:
        """A disk that is pretended to hold what its instance is and has done."""
        if old is not None and old.capture is not None and old.capture.state == "captured":
            return msgspec.structs.replace(seen, capture=old.capture)
        source = self.specs.get((InstanceSpec.KIND, spec.instance))
        disks = source.disks if source is not None else ()
        gib = next((disk.size for disk in disks if disk.uuid == spec.disk), None)
        if gib is None:
            raise Fault("SourceMissing", f"This host has no disk {spec.disk} of an instance {spec.instance}.")
        data = "\n".join([spec.disk, *self.logs.get(spec.instance, []), ""]).encode()
        self.captures[spec.uuid] = data
        digest = hashlib.sha256(data).hexdigest()
        return msgspec.structs.replace(
            seen, capture=Capture(state="captured", digest=digest, size=len(data), virtual_size=gib << 30)
        )

    def remove(self, ref: BodyRef) -> None:
        """Be gone, unless the body is newer than the order."""
        self._before("remove", ref.uuid)
        if self._records is not None:
            self._records.remove(ref)
            return
        with self._lock:
            key = (ref.kind, ref.uuid)
            old = self.bodies.get(key)
            self.removed[key] = max(self.removed.get(key, NEVER), ref.revision)
            if old is not None and (ref.revision == NEVER or old.revision <= ref.revision):
                del self.bodies[key]
                self.specs.pop(key, None)
                self.logs.pop(ref.uuid, None)
                self._since.pop(ref.uuid, None)
                self.captures.pop(ref.uuid, None)

    def watch(self, report: Callable[[BodyRef], None]) -> None:
        """Hint at guests that end themselves."""
        self._watchers.append(report)

    def open(self, ref: BodyRef, channel: Channel, port: int = 0) -> Access:
        """The log is what the body did, `bytes` what was captured; `connect` and `console` echo; there is no screen.

        A command of `exec` prints its words, and its input after them.
        """
        self._before("open", ref.uuid)
        if self._channels is None or channel == "screenshot":
            raise Fault("Unsupported", f"The stub has no channel '{channel}'.")
        if channel in ("bytes", "stats"):
            data = self.captures.get(ref.uuid) if channel == "bytes" else statistics.encode(self.statistics(ref.uuid))
            if data is None:
                raise Fault("CaptureMissing", f"This host has not captured {ref.uuid}.")
            return self._channels.offer(lambda link: link.sendall(data))
        if channel == "exec":
            return self._channels.offer(_execute)
        if channel in ("log", "follow"):
            text = "\n".join([*self.logs.get(ref.uuid, []), ""]).encode()
            return self._channels.offer(lambda link: link.sendall(text))
        return self._channels.offer(_echo)

    def statistics(self, uuid: str = "") -> tuple[Statistics, ...]:
        """Pretended figures of one instance, or of all: those of guests that run grow with time."""
        with self._lock:
            keys = [key for key in self.specs if key[0] == InstanceSpec.KIND and uuid in ("", key[1])]
            return tuple(self._measure(self.specs[key], running=self.bodies[key].running) for key in keys)

    def _measure(self, spec: InstanceSpec, *, running: bool) -> Statistics:
        seconds = time.monotonic() - self._since[spec.uuid] if running else 0.0
        size = sum(disk.size for disk in spec.disks) << 30
        received = int(seconds * _RATE)
        return Statistics(
            uuid=spec.uuid,
            id=spec.ec2_id,
            project=spec.project,
            running=running,
            vcpus=spec.vcpus,
            cpu_seconds=seconds * _BUSY,
            memory_bytes=(spec.memory << 20) // 4 if running else 0,
            memory_limit_bytes=spec.memory << 20,
            disk_read_bytes=received,
            disk_written_bytes=received // 2,
            disk_allocated_bytes=size // 8,
            disk_size_bytes=size,
            nics=tuple(
                NicStatistics(
                    id=nic.ec2_id,
                    received_bytes=received,
                    received_packets=received // 100,
                    sent_bytes=received // 2,
                    sent_packets=received // 200,
                )
                for nic in spec.nics
            ),
        )

    def come_up(self, uuid: str) -> None:
        """Have a pretended guest come up, and hint at it."""
        with self._lock:
            self.bodies["instance", uuid] = msgspec.structs.replace(self.bodies["instance", uuid], up=True)
        for watcher in self._watchers:
            watcher(BodyRef(kind="instance", uuid=uuid))

    def end_guest(self, uuid: str, cause: str = "guest") -> None:
        """Have a pretended guest shut itself down, or (cause other) die."""
        with self._lock:
            body = self.bodies.get(("instance", uuid))
            if body is None or not body.running:
                return
            self.bodies[("instance", uuid)] = msgspec.structs.replace(body, running=False, cause=cause)
        for watcher in self._watchers:
            watcher(BodyRef(kind="instance", uuid=uuid))

    def _before(self, call: str, uuid: str) -> None:
        if self._latency:
            time.sleep(self._latency)
        if self._faults is not None:
            self._faults(call, uuid)


def _joined(spec: PortSpec, _old: SeenBody | None, seen: SeenBody) -> SeenBody:
    """A port in its groups, and in the group that drops what no group admits."""
    return msgspec.structs.replace(seen, groups=tuple(sorted((*spec.groups, "drop"))))


def _echo(link: Stream) -> None:
    while data := link.recv(65536):
        link.sendall(data)


def _execute(link: Stream) -> None:
    """Pretend to run the command of the first frame: its output is its words, then its input; its status is 0."""
    reader, words = FrameReader(), b""
    while data := link.recv(CHUNK):
        for kind, content in reader.feed(data):
            if kind is FrameKind.COMMAND:
                words = " ".join(decode_command(content).words).encode() + b"\n"
                link.sendall(encode(FrameKind.OUTPUT, words))
            elif kind is FrameKind.INPUT and content:
                link.sendall(encode(FrameKind.OUTPUT, content))
            elif kind is FrameKind.INPUT:
                link.sendall(encode(FrameKind.EXIT, b"\0"))
                return
