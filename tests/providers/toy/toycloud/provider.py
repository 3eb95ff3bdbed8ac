"""Bodies that are entries of a dictionary."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import msgspec

from pileus.model import statistics
from pileus.model.errors import Fault
from pileus.model.host import ProviderLimits
from pileus.model.noun import NEVER
from pileus.model.provider import BodyRef, Recalled, SeenBody
from pileus.model.spec import InstanceSpec, PortSpec
from pileus.model.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pileus.model.noun import Revision
    from pileus.model.provider import Access, Channel, Channels
    from pileus.model.spec import Spec


class ToyProvider:
    """Instances, and networks of all kinds; the log of an instance is its name."""

    handles = frozenset({"instance", "router", "network", "port", "securitygroup", "floatingip"})
    limits = ProviderLimits(kinds=("machine",))

    def __init__(self, channels: Channels | None = None) -> None:
        self._channels = channels
        self._bodies: dict[tuple[str, str], tuple[Spec, SeenBody]] = {}
        self._removed: dict[tuple[str, str], Revision] = {}
        self._since: dict[str, float] = {}
        self._lock = threading.Lock()
        self._report: Callable[[BodyRef], None] = lambda _ref: None

    def observe(self, ref: BodyRef) -> SeenBody | None:
        """The body."""
        entry = self._bodies.get((ref.kind, ref.uuid))
        return entry[1] if entry else None

    def scan(self) -> Iterable[SeenBody]:
        """Every body."""
        with self._lock:
            return [seen for _, seen in self._bodies.values()]

    def recall(self) -> Iterable[Recalled]:
        """Every order and removal."""
        with self._lock:
            held = [
                Recalled(kind=kind, uuid=uuid, revision=spec.revision, record=spec.record)
                for (kind, uuid), (spec, _) in self._bodies.items()
            ]
            gone = [
                Recalled(kind=kind, uuid=uuid, revision=revision, gone=True)
                for (kind, uuid), revision in self._removed.items()
            ]
            return held + gone

    def ensure(self, spec: Spec) -> None:
        """Be as the spec says, unless that is older than the body or its removal."""
        key = (spec.KIND, spec.uuid)
        with self._lock:
            old = self._bodies[key][1] if key in self._bodies else None
            if old is None and spec.revision <= self._removed.get(key, NEVER) != NEVER:
                return
            if old is not None and spec.revision < old.revision:
                return
            groups = (*spec.groups, "drop") if isinstance(spec, PortSpec) else ()
            seen = SeenBody(kind=spec.KIND, uuid=spec.uuid, revision=spec.revision, groups=groups)
            if isinstance(spec, InstanceSpec):
                was = old is not None and old.running
                running = was if spec.power.keep else spec.power.state == "running"
                if running and not was:
                    self._since[spec.uuid] = time.monotonic()
                cause = "" if running else old.cause if old is not None and not was else "other"
                seen = msgspec.structs.replace(seen, running=running, up=running, cause=cause)
            self._bodies[key] = (spec, seen)

    def remove(self, ref: BodyRef) -> None:
        """Be gone, unless the body is newer."""
        key = (ref.kind, ref.uuid)
        with self._lock:
            self._removed[key] = max(self._removed.get(key, NEVER), ref.revision)
            entry = self._bodies.get(key)
            if entry is not None and (ref.revision == NEVER or entry[1].revision <= ref.revision):
                del self._bodies[key]

    def watch(self, report: Callable[[BodyRef], None]) -> None:
        """Hint at guests that end themselves."""
        self._report = report

    def open(self, ref: BodyRef, channel: Channel, port: int = 0) -> Access:
        """The log, or figures."""
        if self._channels is None or channel not in ("log", "stats"):
            raise Fault("Unsupported", f"A toy has no channel '{channel}'.")
        data = statistics.encode(self.statistics(ref.uuid)) if channel == "stats" else f"{ref.uuid} plays\n".encode()
        return self._channels.offer(lambda link: link.sendall(data))

    def statistics(self, uuid: str = "") -> tuple[Statistics, ...]:
        """The use of one instance, or of all."""
        with self._lock:
            held = [(spec, seen) for spec, seen in self._bodies.values() if uuid in ("", spec.uuid)]
        return tuple(
            Statistics(
                uuid=spec.uuid,
                id=spec.ec2_id,
                project=spec.project,
                running=seen.running,
                vcpus=spec.vcpus,
                cpu_seconds=time.monotonic() - self._since[spec.uuid] if seen.running else 0.0,
                memory_bytes=1 << 20 if seen.running else 0,
                memory_limit_bytes=spec.memory << 20,
                disk_allocated_bytes=4096,
                disk_size_bytes=sum(disk.size for disk in spec.disks) << 30,
            )
            for spec, seen in held
            if isinstance(spec, InstanceSpec)
        )

    def end_guest(self, uuid: str) -> None:
        """Have a guest shut itself down."""
        with self._lock:
            spec, seen = self._bodies["instance", uuid]
            self._bodies["instance", uuid] = (spec, msgspec.structs.replace(seen, running=False, cause="guest"))
        self._report(BodyRef(kind="instance", uuid=uuid))
