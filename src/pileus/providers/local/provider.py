"""The provider that `pileus host run` runs: machines by libvirt, containers by LXC, what they reach, their bytes."""

from __future__ import annotations

import os
import re
import shutil
import socket
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from pileus.model import bounds, statistics
from pileus.model.errors import Fault
from pileus.model.host import Capacity, ProviderLimits
from pileus.model.provider import BodyRef
from pileus.model.spec import ImageSpec, InstanceSpec
from pileus.providers.local import sessions
from pileus.providers.local.capture.folders import CaptureFolders
from pileus.providers.local.capture.provider import CaptureProvider, Locks, Source
from pileus.providers.local.container import monitor
from pileus.providers.local.container.bases import Bases
from pileus.providers.local.container.nic import VethWire
from pileus.providers.local.container.provider import ContainerProvider
from pileus.providers.local.guestnet import stream
from pileus.providers.local.guestnet.server import GuestNet
from pileus.providers.local.machine.kvm import accelerator
from pileus.providers.local.machine.provider import MachineProvider
from pileus.providers.local.machine.wire import TapWire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pileus.model.provider import Access, Channel, Channels, SeenBody, Stream
    from pileus.model.spec import Spec
    from pileus.model.statistics import Statistics
    from pileus.providers.local.guestnet.upstream import Servers
    from pileus.providers.local.layout import Layout

_CHUNK = 1 << 20
HOST_SHARE = 1024
"""MiB of memory that are never given to guests."""


CPUINFO = Path("/proc/cpuinfo")
FLAGS = ("sse4_2", "aes", "avx", "avx2", "avx512f", "sha_ni", "vmx", "svm", "sev")
"""Flags of the processor that programs are built for, or that guests may use themselves."""


class LocalProvider:
    """One machine's instances. `start` before use, `stop` after; guests run on without it.

    `servers` are asked for the names that are no guest's; `templates` is how many bytes may be kept for booting by
    restore, 0 for never.
    """

    handles: ClassVar[frozenset[str]] = frozenset({"instance", "image"})

    def __init__(
        self,
        layout: Layout,
        fetch: Callable[[str, Path], None],
        channels: Channels,
        respond: Any,
        servers: Servers = tuple,
        *,
        templates: int = 0,
        cache_bytes: int = bounds.CACHE_BYTES.most,
        cache_entries: int = bounds.CACHE_ENTRIES.most,
    ) -> None:
        self._layout = layout
        self._channels = channels
        self._machine = MachineProvider(layout, fetch, TapWire(layout), templates, cache_bytes)
        bases = Bases(layout.bases, fetch, cache_bytes, cache_entries, cloud=layout.containers)
        self._container = ContainerProvider(layout, bases, VethWire(layout))
        sources: dict[str, Source] = {"machine": self._machine, "container": self._container}
        self._locks = Locks()
        self._captures = CaptureProvider(CaptureFolders(layout.captures), sources, self._locks)
        self._parts: dict[str, MachineProvider | ContainerProvider | CaptureProvider] = {
            ImageSpec.KIND: self._captures,
            "container": self._container,
            "machine": self._machine,
        }
        """The part that has the bodies of each backend."""
        self._machine.captures.lookup = self._container.captures.lookup = self._captures
        self._sessions = sessions.Sessions(layout, self._machine, self._container)
        self._specs: dict[str, InstanceSpec] = {}
        self._guestnet = GuestNet(layout, lambda: self._specs, respond, servers=servers)
        self._started = False

    @property
    def limits(self) -> ProviderLimits:
        """The limits of this machine; containers need features that not every machine has."""
        kinds = self._machine.limits.kinds + (self._container.limits.kinds if monitor.available() else ())
        return ProviderLimits(kinds=kinds, captures=kinds)

    def start(self) -> None:
        """Serve metadata, names and the loopback listeners."""
        self._guestnet.start()
        self._started = True

    def stop(self) -> None:
        """Stop serving."""
        self._started = False
        self._guestnet.stop()
        for part in self._parts.values():
            part.close()

    def serve(self, specs: Iterable[InstanceSpec]) -> None:
        """Serve exactly these instances from now on."""
        self._specs = {spec.uuid: spec for spec in specs}
        if self._started:
            self._guestnet.sync(self._specs.values())

    def observe(self, ref: BodyRef) -> SeenBody | None:
        """The domain, container or capture as it is now."""
        seen = self._part(ref).observe(ref)
        if seen is None or not seen.running:
            self._guestnet.down(ref.uuid)
            return seen
        spec = self._specs.get(ref.uuid)
        return msgspec.structs.replace(seen, up=spec is None or self._guestnet.up(spec))

    def scan(self) -> Iterable[SeenBody]:
        """Every domain of this cloud's libvirtd, every container, and every capture."""
        return chain.from_iterable(part.scan() for part in self._parts.values())

    def ensure(self, spec: Spec) -> None:
        """One step towards the domain, container or capture that `spec` describes."""
        with self._locks.of(spec.uuid):
            self._parts[spec.backend].ensure(spec)  # type: ignore[arg-type]  # each backend's specs are of one class

    def remove(self, ref: BodyRef) -> None:
        """One step towards no domain, container or capture, disk, console or interface of it."""
        with self._locks.of(ref.uuid):
            self._part(ref).remove(ref)

    def watch(self, report: Callable[[BodyRef], None]) -> None:
        """Pass libvirt's events on, containers' ends, and that guests have come up."""
        self._guestnet.arrived = lambda uuid: report(BodyRef(kind=InstanceSpec.KIND, uuid=uuid))
        self._machine.watch(report)
        self._container.watch(report)

    def _part(self, ref: BodyRef) -> MachineProvider | ContainerProvider | CaptureProvider:
        """Return the part that has the body, or that would know of its absence; instances have two backends."""
        return self._parts.get(ref.kind) or self._holder(ref.uuid)

    def _holder(self, uuid: str) -> ContainerProvider | MachineProvider:
        """Return the provider that has the instance's body, or that would know of its absence."""
        return self._container if self._container.holds(uuid) else self._machine

    def open(self, ref: BodyRef, channel: Channel, port: int = 0) -> Access:
        """A channel to a guest, or to a capture's bytes; see the Provider protocol."""
        if channel == "stats":
            data = statistics.encode(self.statistics(ref.uuid))
            return self._channels.offer(lambda link: link.sendall(data))
        if channel == "bytes" and ref.kind == ImageSpec.KIND:
            file = self._captures.file(ref.uuid)
            return self._channels.offer(lambda link: _send(file, link))
        if channel == "log" and ref.kind != ImageSpec.KIND:
            path = self._holder(ref.uuid).console_log(ref.uuid)
            return self._channels.offer(lambda link: link.sendall(tail(path)))
        if channel == "screenshot" and ref.kind != ImageSpec.KIND and not self._container.holds(ref.uuid):
            picture = self._machine.screenshot(ref.uuid)
            return self._channels.offer(lambda link: link.sendall(picture))
        spec = self._specs.get(ref.uuid)
        if channel in ("exec", "console", "follow") and spec is not None:
            return self._channels.offer(self._sessions.open(spec, channel))
        if channel == "connect" and spec is not None and spec.nics:
            try:
                guest = stream.dial(self._layout, spec.nics[0], port)
            except OSError as error:
                raise Fault("NotReachable", f"The guest does not answer on port {port}: {error}") from error
            return self._channels.offer(lambda link: _splice(link, guest))
        raise Fault("Unsupported", f"There is no channel '{channel}' to {ref.uuid}.")

    def statistics(self, uuid: str = "") -> tuple[Statistics, ...]:
        """Return the use of one instance, or of all."""
        specs = [spec for spec in self._specs.values() if uuid in ("", spec.uuid)]
        machines = [spec for spec in specs if spec.machine == "machine"]
        containers = [spec for spec in specs if spec.machine == "container"]
        return self._machine.statistics(machines) + self._container.statistics(containers)


def tail(path: Path) -> bytes:
    """The last 64 KiB of a log; nothing when there is none yet."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - bounds.CONSOLE_OUTPUT.most))
            return file.read(bounds.CONSOLE_OUTPUT.most)
    except FileNotFoundError:
        return b""


def _send(path: Path, link: Stream) -> None:
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            link.sendall(data)


def _splice(link: Stream, guest: socket.socket) -> None:
    """Copy both ways until both sides have ended; closing is the channel's, and the guest's side is closed here."""
    user = socket.socket(fileno=os.dup(link.fileno()))
    with guest, user:
        sessions.splice(user, guest)


def capacity(layout: Layout) -> Capacity:
    """Return the capacity of this machine: processors, MiB of memory, GiB of disk at the instances' disks."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    layout.instances.mkdir(parents=True, exist_ok=True, mode=0o711)
    disk = shutil.disk_usage(layout.instances).total >> 30
    return Capacity(vcpus=os.cpu_count() or 1, memory=max(0, total - HOST_SHARE), disk=disk)


def traits() -> tuple[str, ...]:
    """Return this machine's traits: its accelerator (`kvm` or `tcg`), `arch:NAME`, and `cpu:FLAG` for FLAGS it has."""
    flags = re.search(r"^flags\s*: (.*)$", CPUINFO.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
    there = set(flags.group(1).split()) if flags else set()
    return (accelerator(), f"arch:{os.uname().machine}", *(f"cpu:{flag}" for flag in FLAGS if flag in there))
