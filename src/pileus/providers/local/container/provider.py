"""The provider of containers: one folder per instance, with its disk, its order and what LXC is told.

The order is written before anything else is made, and goes last: whatever a crash leaves half made is found by its
folder, and made whole or removed by the same call again. Mounts and loop devices end with the monitor that they are
for.
"""

from __future__ import annotations

import contextlib
import resource
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from pileus.model.errors import Fault
from pileus.model.host import ProviderLimits
from pileus.model.noun import NEVER
from pileus.model.provider import BodyRef, SeenBody
from pileus.model.spec import ImageSpec, InstanceSpec
from pileus.model.statistics import Statistics
from pileus.providers.local.capture.work import View
from pileus.providers.local.container import (
    configuration,
    disk,
    guests,
    identity,
    kernel,
    lxcfs,
    ranges,
    seccomp,
    statistics,
    views,
)
from pileus.providers.local.container import order as orders
from pileus.providers.local.container.bases import Bases
from pileus.providers.local.container.capture import ContainerCaptures
from pileus.providers.local.container.housekeeping import Housekeeping
from pileus.providers.local.container.idmap import Maps
from pileus.providers.local.container.monitor import ExitWatcher, Monitor
from pileus.providers.local.container.nic import VethWire
from pileus.providers.local.container.order import ContainerOrder
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import cgroups, console
from pileus.providers.local.machine.images import disk_fault
from pileus.providers.local.moving import Moving, between
from pileus.providers.local.stopping import Stopping

KIND = InstanceSpec.KIND

FORMAT = "tar"
"""Of the images that containers begin as."""

log = structlog.get_logger()


class ContainerProvider:
    """Instances as unprivileged containers of LXC; see the Provider protocol. Needs root.

    `bases` has their images. Each Fault says whether it is permanent.
    """

    limits = ProviderLimits(kinds=("container",))

    def __init__(self, layout: Layout, bases: Bases, wire: VethWire) -> None:
        self._layout = layout
        self._bases = bases
        self._wire = wire
        self._maps = Maps()
        self.captures = ContainerCaptures(layout, bases, self._maps)
        self._exits = ExitWatcher()
        self._housekeeping = Housekeeping(layout, bases.tidy)
        self._stopping = Stopping(self.folder)

    # -- what there is -------------------------------------------------------------------------------------------

    def folder(self, uuid: str) -> Path:
        """Where everything of one container is."""
        return self._layout.containers / uuid

    def holds(self, uuid: str) -> bool:
        """Whether there is anything of a container for this instance."""
        return self.folder(uuid).exists()

    def observe(self, ref: BodyRef) -> SeenBody | None:
        """The container as it is now; a folder without an order is a body too, half made or half removed."""
        if not self.holds(ref.uuid):
            return None
        order = orders.read(self.folder(ref.uuid))
        if order is None:
            return SeenBody(kind=KIND, uuid=ref.uuid)
        monitor = guests.monitor(self._layout, order.spec)
        # First whether it runs: an end in between would be one that nobody wrote down.
        running = monitor.running()
        cause = "" if running else monitor.cause()
        if cause == "guest" and self._stopping.begun(ref.uuid):
            cause = "other"
        return SeenBody(kind=KIND, uuid=ref.uuid, revision=order.spec.revision, running=running, cause=cause)

    def scan(self) -> Iterable[SeenBody]:
        """Every container's folder."""
        self._housekeeping.wake()
        return [seen for uuid in orders.folders(self._layout) if (seen := self.observe(BodyRef(kind=KIND, uuid=uuid)))]

    def watch(self, report: Callable[[BodyRef], None]) -> None:
        """Report containers that end, from a thread of its own; those that ran before included."""

        def ended(uuid: str) -> None:
            report(BodyRef(kind=KIND, uuid=uuid))
            self._housekeeping.wake()

        self._exits.tell(ended)
        self._housekeeping.start()
        for spec in (order.spec for order in orders.orders(self._layout)):
            number = guests.monitor(self._layout, spec).pid()
            if number is not None:
                self._exits.add(spec.uuid, number)

    def console_log(self, uuid: str) -> Path:
        """The file that all output of the console goes to, over all starts; absent before the first one."""
        return self.folder(uuid) / "console.log"

    def statistics(self, specs: Iterable[InstanceSpec]) -> tuple[Statistics, ...]:
        """Return the resource use of these containers."""
        return statistics.measure(self._layout, specs)

    def close(self) -> None:
        """Watch no more; containers run on."""
        self._housekeeping.stop()
        self._exits.stop()
        self._maps.close()

    # -- what is to be -------------------------------------------------------------------------------------------

    def ensure(self, spec: InstanceSpec) -> None:
        """One step towards `spec`, see the Provider protocol; a spec older than the body's own does nothing.

        Of a container that runs, memory, processors, packets a second and NICs follow at once; other disks come with
        its next start. Raises Fault.
        """
        if len(spec.disks) != 1 or spec.disks[0].format != FORMAT:
            raise Fault("Unsupported", "a container has one disk, from an image of format 'tar'", permanent=True)
        try:
            order = orders.read(self.folder(spec.uuid))
            if order is not None and spec.revision < order.spec.revision:
                return
            console.trim(self.console_log(spec.uuid))
            if order is not None and (monitor := guests.monitor(self._layout, order.spec)).running():
                self._ensure_active(monitor, spec, order)
            elif not spec.power.keep:
                self._ensure_off(spec, order)
        except OSError as error:
            raise disk_fault(error, "HostDiskFailed", "this host's disk") from error

    def _ensure_active(self, monitor: Monitor, spec: InstanceSpec, order: ContainerOrder) -> None:
        self.captures.tidy(order.spec)
        if spec.power.state == "stopped" or self._stopping.begun(spec.uuid):
            # A stop that the guest heard of cannot be taken back: it ends before the next start.
            if self._stopping.overdue(spec.uuid):
                monitor.cut()
            elif self._stopping.due(spec.uuid):
                monitor.ask()
        limits = configuration.limits(spec, unified=cgroups.unified())
        if configuration.limits(order.spec, unified=cgroups.unified()) != limits:
            cgroups.limit(self._layout, spec.ec2_id, limits)
        moving = between(order.spec, spec, order.moving)
        for nic in spec.nics:
            if nic not in moving.new:
                self._wire.bound(nic, spec.allowance.packets)
        left = self._replug(monitor, spec, order, moving) if moving.uuids else ()
        if order != (now := ContainerOrder(spec, self._settled(spec, order.made), left)):
            orders.write(self.folder(spec.uuid), now)
            self._housekeeping.wake()

    def _replug(self, monitor: Monitor, spec: InstanceSpec, order: ContainerOrder, moving: Moving) -> tuple[str, ...]:
        """Change the NICs of a container that runs; the ports that are left to its next start, as it is being stopped.

        Those that go need no consent of the container's: their pairs are removed.
        """
        begun = tuple(sorted(moving.uuids))
        if begun != order.moving:
            orders.write(self.folder(spec.uuid), ContainerOrder(order.spec, order.made, begun))
        for port in moving.gone:
            self._wire.unplug(port)
        if spec.power.state == "stopped" or self._stopping.begun(spec.uuid):
            return begun
        init = monitor.init()
        if init is None:
            raise Fault("ContainerFailed", "the container has no first process now to give an interface to")
        for nic in moving.new:
            self._wire.give(nic, spec.allowance.packets, init)
        return ()

    def _ensure_off(self, spec: InstanceSpec, order: ContainerOrder | None) -> None:
        made_volumes = order.made if order is not None else ()
        root, folder = spec.disks[0], self.folder(spec.uuid)
        there = (folder / disk.NAME).exists()
        if root.uuid in made_volumes and not there:
            raise Fault("DiskLost", f"{folder} no longer holds the disk of {root.ec2_id}")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        image = self._bases.path(root.digest, folder) if root.digest else None
        if order is not None and order.spec == spec and spec.power.state == "stopped" and root.uuid in made_volumes:
            return
        for port in (order.ports if order is not None else frozenset()) - {nic.uuid for nic in spec.nics}:
            self._wire.unplug(port)
        orders.write(folder, ContainerOrder(spec, made_volumes), lasting=bool(made_volumes))
        if spec.power.state == "running" and root.uuid in made_volumes and self.captures.starting(spec):
            return
        # What was not said to be made may be what a power cut left of it, but not once the container has run.
        if root.uuid not in made_volumes and not (there and guests.monitor(self._layout, spec).ran()):
            disk.make(folder / disk.NAME, root.size, self._layout.containers / _BLANKS)
        if spec.power.state == "running":
            self._start(spec, image)
        if root.uuid not in made_volumes:
            # Only now: a disk takes its time, and until here nobody was told of this one.
            orders.write(folder, ContainerOrder(spec, self._settled(spec, made_volumes)))

    def _settled(self, spec: InstanceSpec, made_volumes: tuple[str, ...]) -> tuple[str, ...]:
        """The volumes that are made for good, the disk included, which is from here on."""
        if spec.disks[0].uuid not in made_volumes:
            disk.settle(self.folder(spec.uuid) / disk.NAME)
        return (spec.disks[0].uuid,)

    def _start(self, spec: InstanceSpec, image: Path | None) -> None:
        folder, stage, monitor = self.folder(spec.uuid), disk.Stage(), guests.monitor(self._layout, spec)
        base = ranges.base(self._layout, spec.project)
        if monitor.ran():
            # A monitor that was killed leaves things, and LXC wants to make them itself.
            guests.end(self._layout, spec)
        paths = configuration.ContainerPaths(
            root=stage.root,
            folder=folder,
            seccomp=folder / "seccomp",
            base=base,
            interfaces={nic.uuid: self._wire.plug(nic, spec.allowance.packets) for nic in spec.nics},
            hook=monitor.hook,
            files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            group=cgroups.group(self._layout),
            unified=cgroups.unified(),
            figures=stage.figures,
            empty=stage.empty,
            drive=stage.drive,
        )
        (folder / "seccomp").write_text(seccomp.profile())
        (folder / "config").write_text(configuration.configuration(spec, paths))
        users, figures = self._maps.namespace(base), lxcfs.tree(self._layout)

        def mount() -> None:
            device = disk.assemble(folder / disk.NAME, image, base, users, stage)
            _bound_disk(folder, spec, device, unified=paths.unified)
            if not (stage.disk / _KNOWN).exists():
                identity.write(stage.root, spec, base)
                (stage.disk / _KNOWN).touch()
            if spec.config_drive:
                identity.write_config_drive(stage.drive, spec, base)
            hand_out(base, stage)
            views.make_empty(stage.empty)
            views.stage(figures, stage.figures)

        self._stopping.started(spec.uuid)
        keep = [folder, stage.at, *([image] if image is not None else [])]
        number = monitor.start(self._layout.netns, mount, keep, stage.at)
        self._exits.add(spec.uuid, number)
        self._housekeeping.wake()
        log.info("container started", instance=spec.ec2_id)

    def remove(self, ref: BodyRef) -> None:
        """End the container at once; its NICs, cgroups and folder go. Raises Fault while one of them stays.

        Does nothing for an order older than the body; one without a revision is no older than any.
        """
        if not self.holds(ref.uuid):
            return
        order = orders.read(self.folder(ref.uuid))
        if order is not None:
            if ref.revision != NEVER and ref.revision < order.spec.revision:
                return
            guests.end(self._layout, order.spec)
            for port in order.ports:
                self._wire.unplug(port)
        folder = self.folder(ref.uuid)
        stray = Monitor(folder, folder.name)
        if stray.running():
            # Its order was damaged.
            stray.cut()
            raise Fault("ContainerFailed", f"the container in {folder} is being ended")
        try:
            with contextlib.suppress(FileNotFoundError):
                # Its order last: by it the rest is found again.
                for path in sorted(folder.iterdir(), key=lambda path: path.name == orders.NAME):
                    path.unlink()
                shutil.rmtree(folder)
            self._bases.release(folder)
        except OSError as error:
            raise Fault("DiskFailed", f"{folder} cannot be removed: {error}") from error
        self._stopping.forget(ref.uuid)

    # -- captures ------------------------------------------------------------------------------------------------

    def view(self, image: ImageSpec) -> View | None:
        """The root of an instance, to be captured; see `capture.provider.Source`."""
        order = orders.read(self.folder(image.instance))
        if order is None or image.disk not in order.made:
            raise Fault("SourceMissing", f"this host has no disk {image.disk} of an instance {image.instance}")
        return self.captures.view(image, order.spec)

    def done(self, image: ImageSpec) -> None:
        """Nothing has to be kept for this image any more."""
        self.captures.done(image)


_BLANKS = ".blanks"
"""The folder of empty disks, beside the containers'."""

_KNOWN = "known"
"""Beside a disk's upper folder: the container was told who it is."""


def _bound_disk(folder: Path, spec: InstanceSpec, device: str, *, unified: bool) -> None:
    """Have LXC, or its hook, hold the container to its flavor's bounds of the disk `device`, MAJOR:MINOR."""
    files = {} if unified else configuration.throttle(spec, device)
    (folder / "throttle").write_text("".join(f"{file} {value}\n" for file, value in files.items()))
    if unified and (value := configuration.io_max(spec, device)):
        with (folder / "config").open("a") as config:
            config.write(f"lxc.cgroup2.io.max = {value}\n")


def hand_out(base: int, stage: disk.Stage) -> None:
    """Let the programs that LXC maps users by see that root may use this range: in this mount namespace alone."""
    line = stage.at / "users"
    line.write_text(f"root:{base}:{ranges.SIZE}\n")
    for path in (Path("/etc/subuid"), Path("/etc/subgid")):
        if path.exists():
            kernel.mount(str(line), path, flags=kernel.BIND)
