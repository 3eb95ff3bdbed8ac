"""The provider of machines: one libvirt domain per instance, with its folder of disks and its TAPs.

The domain's definition carries the spec, and is made before the TAPs and removed after them: whatever a crash
leaves half made is found by the domain or by its folder, and made whole or removed by the same call again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import libvirt

from pileus.model import bounds
from pileus.model.errors import Fault
from pileus.model.host import ProviderLimits
from pileus.model.noun import NEVER
from pileus.model.provider import BodyRef, Cause, SeenBody
from pileus.model.spec import ImageSpec, InstanceSpec
from pileus.model.statistics import Statistics
from pileus.providers.local.capture.work import View
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import cgroups, console, ending, kvm, owner, screenshot, statistics
from pileus.providers.local.machine.capture import MachineCaptures
from pileus.providers.local.machine.disk import Disks
from pileus.providers.local.machine.domain import (
    NAMESPACE,
    PREFIX,
    MachinePaths,
    Mark,
    domain_uuid,
    domain_xml,
    mark_xml,
    read_mark,
)
from pileus.providers.local.machine.hotplug import Hotplug
from pileus.providers.local.machine.hypervisor import GONE, INVALID, Hypervisor, tolerating
from pileus.providers.local.machine.images import ImageCache, disk_fault
from pileus.providers.local.machine.restore.freezer import is_template
from pileus.providers.local.machine.restore.launch import Restores
from pileus.providers.local.machine.restore.template import Template
from pileus.providers.local.moving import NOTHING, Moving, between
from pileus.providers.local.stopping import Stopping
from pileus.providers.local.wire import Wire

KIND = InstanceSpec.KIND

ROOM = 16 << 20
"""Bytes that have to be free for a guest that stood still on a full disk to go on."""

_ASK = 10.0
_METADATA = libvirt.VIR_DOMAIN_METADATA_ELEMENT
_CONFIG = libvirt.VIR_DOMAIN_AFFECT_CONFIG
_RESUMABLE = (
    [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR],
    [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER],
)
"""State and reason of a guest that stands still though nobody of ours stopped it: its host's disk was full."""


class MachineProvider:
    """Instances as QEMU guests under this cloud's libvirtd; see the Provider protocol. Needs root.

    `fetch(digest, target)` writes an image's bytes to `target` or raises Fault; `templates` is how many bytes may be
    kept for booting by restore (see `restore`), 0 for never; `cache_bytes` of images are kept. Of the methods' Faults,
    those about libvirtd (HypervisorUnavailable) and the network's daemons pass by themselves; each says whether it is
    permanent.
    """

    limits = ProviderLimits(kinds=("machine",))

    def __init__(
        self,
        layout: Layout,
        fetch: Callable[[str, Path], None],
        wire: Wire,
        templates: int = 0,
        cache_bytes: int = bounds.CACHE_BYTES.most,
    ) -> None:
        self._layout = layout
        self._wire = wire
        cache = ImageCache(layout.cache, fetch, cache_bytes)
        self._disks = Disks(layout, cache)
        self._hypervisor = Hypervisor(layout)
        self._call = self._hypervisor.call
        self._hotplug = Hotplug(layout, self._hypervisor, wire)
        self._restores = Restores(layout, self._hypervisor, cache, self._disks, templates)
        self.captures = MachineCaptures(layout, self._hypervisor, self._disks)
        self._instances: dict[str, str] = {}
        self._stopping = Stopping(self._disks.folder)

    # -- what there is -------------------------------------------------------------------------------------------

    def observe(self, ref: BodyRef) -> SeenBody | None:
        """The instance's domain; a folder without one is a body too, half made or half removed. Raises Fault."""
        domain = self._hypervisor.domain(domain_uuid(ref.uuid))
        if domain is not None:
            with tolerating(GONE):
                return self._seen(domain, ref.uuid)
        return SeenBody(kind=KIND, uuid=ref.uuid) if self._disks.folder(ref.uuid).exists() else None

    def scan(self) -> Iterable[SeenBody]:
        """Every domain of this libvirtd, those of others by the domain's own uuid, and folders without one."""
        seen = []
        for domain in self._hypervisor.call(self._hypervisor.connection().listAllDomains):
            with tolerating(GONE):
                if not is_template(domain.UUIDString()):
                    seen.append(self._seen(domain, domain.UUIDString()))
        seen_uuids = {body.uuid for body in seen}
        folders = self._layout.instances.iterdir() if self._layout.instances.exists() else ()
        seen += [SeenBody(kind=KIND, uuid=path.name) for path in folders if path.name not in seen_uuids]
        return seen

    def watch(self, report: Callable[[BodyRef], None]) -> None:
        """Report instances whose domain starts, ends or changes, from a thread of its own."""

        def changed(domain: str) -> None:
            uuid = self._instances.get(domain) or self._find(domain)
            if uuid is not None:
                report(BodyRef(kind=KIND, uuid=uuid))

        self._hypervisor.watch(changed)

    def console_log(self, uuid: str) -> Path:
        """The file that all output of the serial line goes to, over all starts; absent before the first one.

        Its beginning may be a hole of zero bytes, once a guest has said a lot.
        """
        return self._disks.folder(uuid) / "console.log"

    def serial(self, uuid: str) -> Path:
        """The socket of the serial line, where QEMU serves one client at a time while the machine runs."""
        return self._disks.folder(uuid) / "tty.sock"

    def screenshot(self, uuid: str) -> bytes:
        """The instance's screen as PNG. Raises Fault, GONE where there is no machine, INVALID for one that is off."""
        domain = self._hypervisor.domain(domain_uuid(uuid))
        if domain is None:
            raise Fault(GONE, f"There is no machine {uuid}.")
        return screenshot.taken(self._hypervisor, domain)

    def statistics(self, specs: Iterable[InstanceSpec]) -> tuple[Statistics, ...]:
        """Return the resource use of these machines; each says so where libvirtd does not answer."""
        return statistics.measure(self._layout, self._hypervisor, self._disks, specs)

    def close(self) -> None:
        """Let go of libvirtd; guests run on."""
        self._restores.stop()
        self._hypervisor.close()

    # -- what is to be -------------------------------------------------------------------------------------------

    def ensure(self, spec: InstanceSpec) -> None:
        """One step towards `spec`, see the Provider protocol; a spec older than the body's own does nothing.

        Of a domain that runs packets a second and NICs follow, and its spec is written anew; other sizes and disks come
        with its next start. Raises Fault.
        """
        try:
            self._ensure(spec)
        except OSError as error:
            raise disk_fault(error, "HostDiskFailed", "this host's disk") from error

    def _ensure(self, spec: InstanceSpec) -> None:
        domain = self._hypervisor.domain(domain_uuid(spec.uuid))
        mark = self._mark(domain) if domain is not None else None
        if mark is not None and spec.revision < mark.spec.revision:
            return
        console.trim(self.console_log(spec.uuid))
        active = domain is not None and self._active(domain)
        if active and self._restores.pending(spec.uuid):
            # Left by a crash: half a copy, which never ran. It may end by itself meanwhile.
            with tolerating(INVALID):
                self._call(domain.destroy)
            active = False
        self._restores.tidy(spec.uuid)
        if active:
            self._ensure_active(domain, spec, mark)
        elif not spec.power.keep:
            self._ensure_off(spec, mark)

    def _ensure_active(self, domain: Any, spec: InstanceSpec, mark: Mark | None) -> None:
        if spec.power.state == "stopped" or self._stopping.begun(spec.uuid):
            # A stop that the guest heard of cannot be taken back: it ends before the next start. And it comes before
            # all else, which a QEMU that hangs would keep from being done.
            self._stop(domain, spec.uuid)
        elif (state := self._call(domain.state)) in _RESUMABLE:
            self._resume(domain, spec, full=state[1] == libvirt.VIR_DOMAIN_PAUSED_IOERROR)
        self.captures.tidy(domain, spec.uuid)
        moving = between(mark.spec, spec, mark.moving) if mark is not None else NOTHING
        for nic in spec.nics:
            if nic not in moving.new:
                self._wire.bound(nic, spec.allowance.packets)
        if mark is None or mark.spec != spec:
            made_volumes = mark.made if mark is not None else frozenset[str]()
            left = frozenset[str]()
            if mark is not None and moving.uuids:
                left = self._replug(domain, spec, mark, moving)
            self._write_mark(domain, Mark(spec, made_volumes, left))

    def _replug(self, domain: Any, spec: InstanceSpec, mark: Mark, moving: Moving) -> frozenset[str]:
        """Change the NICs of a domain that runs; the ports that are left to its next start, as it is being stopped."""
        if moving.uuids != mark.moving:
            self._write_mark(domain, Mark(mark.spec, mark.made, moving.uuids))
        self._hotplug.cut(moving.gone)
        if spec.power.state == "stopped" or self._stopping.begun(spec.uuid):
            return moving.uuids
        self._hotplug.plug(domain, moving.new, spec.allowance.packets)
        self._hotplug.unplug(domain, moving.gone)
        return frozenset()

    def _write_mark(self, domain: Any, mark: Mark) -> None:
        words = (_METADATA, mark_xml(mark), PREFIX, NAMESPACE)
        try:
            self._call(domain.setMetadata, *words, _CONFIG | libvirt.VIR_DOMAIN_AFFECT_LIVE)
        except Fault as fault:
            if fault.code != INVALID:
                raise
            # It went down meanwhile.
            self._call(domain.setMetadata, *words, _CONFIG)

    def _resume(self, domain: Any, spec: InstanceSpec, *, full: bool) -> None:
        """Have a guest that stands still go on; one whose disk was `full`, once there is room for what it writes."""
        folder = self._disks.folder(spec.uuid)
        free = shutil.disk_usage(folder).free
        if full and free < ROOM:
            raise Fault(
                "HostDiskFull",
                f"the guest stands still, for its host's disk is full ({free >> 20} MiB are free at {folder}); "
                "it goes on by itself once there is room",
            )
        self.captures.resume(domain, spec)

    def _stop(self, domain: Any, uuid: str) -> None:
        """Press the power button, and again; cut the power once the guest has had its time since the first."""
        if self._stopping.overdue(uuid):
            self._call(domain.destroy)
        elif self._stopping.due(uuid):
            power_button = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
            with tolerating(INVALID):
                self._call(domain.shutdownFlags, power_button, seconds=_ASK)

    def _ensure_off(self, spec: InstanceSpec, mark: Mark | None) -> None:
        old = mark.made if mark is not None else frozenset[str]()
        self._restores.undo(spec)
        fresh = not old and not self._disks.folder(spec.uuid).exists()
        template = self._restores.choose(spec) if fresh else None
        self._disks.ensure(spec, old, template.disk_file if template is not None else None)
        if mark is not None and mark.spec == spec and spec.power.state == "stopped":
            return
        self._disks.write_config_drive(spec)
        made_volumes = old | {disk.uuid for disk in spec.disks}
        paths = MachinePaths(
            folder=self._disks.folder(spec.uuid),
            disks=self._disks.files(spec),
            taps={nic.uuid: self._layout.tap(nic.uuid) for nic in spec.nics},
            owner=(owner.user(spec.uuid), owner.group()),
            partition=cgroups.partition(self._layout),
            accelerator=kvm.accelerator(),
        )
        for port in ports_of(mark) - paths.taps.keys():
            self._wire.unplug(port)
        connection = self._hypervisor.connection()
        domain = self._call(connection.defineXML, domain_xml(spec, paths, made_volumes))
        self._instances[domain_uuid(spec.uuid)] = spec.uuid
        for nic in spec.nics:
            self._wire.plug(nic, spec.allowance.packets)
        if spec.power.state == "running":
            ending.trim(self._layout, spec.ec2_id)
            self._stopping.started(spec.uuid)
            if template is None or not self._restored(domain, spec, template, paths, made_volumes):
                self._start(domain, spec)

    def _restored(
        self, domain: Any, spec: InstanceSpec, template: Template, paths: MachinePaths, made_volumes: frozenset[str]
    ) -> bool:
        """Whether the instance runs as a copy of `template`; if not it is off, and as if there had been none."""
        try:
            self._restores.start(spec, template, paths, made_volumes)
        except (Fault, OSError) as error:
            with tolerating(INVALID):
                self._call(domain.destroy)
            self._restores.failed(spec, template, error)
            return False
        return True

    def _start(self, domain: Any, spec: InstanceSpec) -> None:
        try:
            self.captures.start(domain, spec)
        except Fault as fault:
            if fault.code == INVALID and self._active(domain):
                return
            raise

    def remove(self, ref: BodyRef) -> None:
        """End the domain at once; its TAPs, definition, log and folder go. Raises Fault while one of them stays.

        Does nothing for an order older than the body; one without a revision is no older than any.
        """
        domain = self._hypervisor.domain(domain_uuid(ref.uuid))
        if domain is not None:
            mark = self._mark(domain)
            if mark is not None and ref.revision != NEVER and ref.revision < mark.spec.revision:
                return
            with tolerating(GONE):
                if self._active(domain):
                    with tolerating(INVALID):
                        self._call(domain.destroy)
                for port in ports_of(mark):
                    self._wire.unplug(port)
                self._call(domain.undefine)
            ending.forget(self._layout, domain.name())
        self._disks.remove(ref.uuid)
        self._instances.pop(domain_uuid(ref.uuid), None)
        self._stopping.forget(ref.uuid)

    # -- captures ------------------------------------------------------------------------------------------------

    def view(self, image: ImageSpec) -> View | None:
        """The root disk of an instance, to be captured; see `capture.provider.Source`."""
        domain = self._hypervisor.domain(domain_uuid(image.instance))
        mark = self._mark(domain) if domain is not None else None
        if mark is None or image.disk not in mark.made:
            raise Fault("SourceMissing", f"this host has no disk {image.disk} of an instance {image.instance}")
        if self._restores.pending(image.instance):
            return None
        return self.captures.view(image, mark.spec, domain)

    def done(self, image: ImageSpec) -> None:
        """Nothing has to be kept for this image any more."""
        if self.captures.of(image.instance) == image.uuid:
            self.captures.end(self._hypervisor.domain(domain_uuid(image.instance)), image.instance)

    # -- domains -------------------------------------------------------------------------------------------------

    def _active(self, domain: Any) -> bool:
        return bool(self._call(domain.isActive))

    def _mark(self, domain: Any) -> Mark | None:
        return mark_of(self._hypervisor, domain)

    def _seen(self, domain: Any, uuid: str) -> SeenBody:
        mark = self._mark(domain)
        if mark is None:
            return SeenBody(kind=KIND, uuid=uuid, running=self._active(domain))
        self._instances[domain.UUIDString()] = mark.spec.uuid
        running = self._active(domain)
        return SeenBody(
            kind=KIND,
            uuid=mark.spec.uuid,
            revision=mark.spec.revision,
            running=running,
            cause="" if running else self._cause(mark.spec),
        )

    def _cause(self, spec: InstanceSpec) -> Cause:
        cause = ending.cause(self._layout, spec.ec2_id)
        # It went down because it was asked to.
        return "other" if cause == "guest" and self._stopping.begun(spec.uuid) else cause

    def _find(self, domain: str) -> str | None:
        """The instance whose domain has this uuid, where libvirtd can say; else None."""
        if is_template(domain):
            return None
        try:
            libvirt_domain = self._hypervisor.domain(domain)
            mark = self._mark(libvirt_domain) if libvirt_domain is not None else None
        except Fault:
            return None
        return mark.spec.uuid if mark is not None else None


def ports_of(mark: Mark | None) -> frozenset[str]:
    """The ports (uuids) whose NICs a domain may have."""
    return mark.moving | {nic.uuid for nic in mark.spec.nics} if mark is not None else frozenset()


def mark_of(hypervisor: Hypervisor, domain: Any) -> Mark | None:
    """Our mark on a domain; None for one that is not ours. Raises Fault."""
    try:
        return read_mark(hypervisor.call(domain.metadata, _METADATA, NAMESPACE, _CONFIG))
    except Fault as fault:
        if isinstance(fault.__cause__, libvirt.libvirtError):
            code = fault.__cause__.get_error_code()
            if code == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
                return None
        raise
