"""Makes templates: boots an image alone, on no network and without anybody's data, until its hook waits.

One at a time on a machine, with next to no weight against the guests' CPUs.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import shutil
import socket
import threading
import time
from pathlib import Path
from typing import Any

import libvirt
import msgspec
import structlog

from pileus.model.errors import Fault
from pileus.model.instance import Power
from pileus.model.spec import InstanceSpec, NicSpec
from pileus.providers.local.images import hook
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import cgroups, kvm, owner, tap
from pileus.providers.local.machine.disk import make
from pileus.providers.local.machine.domain import DiskFile, MachinePaths, MemoryFile, domain_uuid, domain_xml
from pileus.providers.local.machine.hypervisor import Hypervisor
from pileus.providers.local.machine.images import ImageCache
from pileus.providers.local.machine.restore import monitor
from pileus.providers.local.machine.restore.identity import PAGE, GuestIdentity, search, waiting_page
from pileus.providers.local.machine.restore.template import Template, Templates, digest

BOOT = 900.0
"""Seconds that the guest may take until it waits."""

SEND = 30.0

_POLL = 0.1
_TAP = "template"
"""The one TAP of this cloud's one template in the making; no port's is called so."""

_WEIGHT = {"cpu_shares": 2}
_CHUNK = 1 << 16

_log = structlog.get_logger(__name__)


def is_template(domain: str) -> bool:
    """Whether a domain's uuid is that of a template in the making."""
    return domain.startswith(hook.SERIAL)


def model(spec: InstanceSpec, digits: str = "0" * 12) -> InstanceSpec:
    """The spec of a template for machines shaped like `spec`: image and sizes are its own, all else is nobody's.

    `digits`, twelve of them in hexadecimal, make uuid and MAC address the only ones of their kind.
    """
    ident = hook.SERIAL + digits
    disk = msgspec.structs.replace(spec.disks[0], uuid=ident, ec2_id="vol-template")
    nics = [
        NicSpec(
            # Another than the disk's: libvirt tells devices apart by it.
            uuid=ident.replace("ec2", "7c2", 1),
            ec2_id="",
            mac=f"06:{digits[:2]}:{digits[2:4]}:{digits[4:6]}:{digits[6:8]}:{digits[8:10]}",
            address="",
            cidr="",
            gateway="",
            localport="",
            localport_mac="",
            network="",
            mtu=nic.mtu,
        )
        for nic in spec.nics
    ]
    return InstanceSpec(
        uuid=ident,
        ec2_id=f"template-{digits}",
        power=Power(state="running", n=1),
        vcpus=spec.vcpus,
        memory=spec.memory,
        disks=(disk,),
        nics=tuple(nics),
    )


class Freezer:
    """Makes templates for the cloud of `layout`; `stopped` ends it early."""

    def __init__(
        self,
        layout: Layout,
        hypervisor: Hypervisor,
        cache: ImageCache,
        templates: Templates,
        stopped: threading.Event,
    ) -> None:
        self._layout = layout
        self._hypervisor = hypervisor
        self._cache = cache
        self._templates = templates
        self._stopped = stopped

    def make(self, key: str, spec: InstanceSpec) -> None:
        """Make the template unless it is there. Raises Fault and OSError."""
        with self._templates.making():
            if self._templates.find(key) is not None:
                return
            began = time.monotonic()
            aside = self._templates.aside(key, self._layout.digest)
            shape = model(spec, secrets.token_hex(6))
            try:
                state = self._boot(shape, aside)
                mac = shape.nics[0].mac if shape.nics else ""
                folder = self._templates.publish(aside, _described(key, aside, domain_uuid(shape.uuid), mac, state))
                self._cache.have(spec.disks[0].digest, spec.disks[0].format, folder, yields=True)
            finally:
                self._clear(shape, aside)
            _log.info("template made", template=key, seconds=round(time.monotonic() - began, 1))

    def _boot(self, shape: InstanceSpec, aside: Path) -> bytes:
        """Boot `shape` in the folder `aside` until it waits, and stop it for ever: its devices' state."""
        disk = shape.disks[0]
        file = DiskFile(aside / "disk", self._cache.have(disk.digest, disk.format, aside), disk.format)
        make(disk, file)
        user, group = owner.user(shape.uuid), owner.group()
        with (aside / "ram").open("wb") as memory:
            memory.truncate(shape.memory << 20)
        for path in (file.path, aside / "ram"):
            owner.give(path, user, group, 0o600)
        for nic in shape.nics:
            # A plug in no switch: the guest's drivers find what they will find in a copy, and nobody answers.
            tap.make(self._layout.netns, _TAP, nic.mtu)
        paths = MachinePaths(
            folder=aside,
            disks={disk.uuid: file},
            taps={nic.uuid: _TAP for nic in shape.nics},
            owner=(user, group),
            partition=cgroups.partition(self._layout),
            accelerator=kvm.accelerator(),
            memory=MemoryFile(aside / "ram", shared=True),
        )
        call = self._hypervisor.call
        xml = domain_xml(shape, paths, ())
        # It ends with our connection: nobody else knows of it.
        domain = call(self._hypervisor.connection().createXML, xml, libvirt.VIR_DOMAIN_START_AUTODESTROY)
        with contextlib.suppress(Fault):
            call(domain.setSchedulerParametersFlags, _WEIGHT, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        self._await(domain, aside / "console.log")
        call(domain.suspend)
        monitor.without_memory(self._hypervisor, domain)
        state = self._sent(domain, aside / "state.sock", user)
        call(domain.destroy)
        return state

    def _await(self, domain: Any, console: Path) -> None:
        until = time.monotonic() + BOOT
        while not (console.exists() and hook.ANNOUNCEMENT in console.read_bytes()):
            if self._stopped.is_set():
                raise Fault("TemplateUnfinished", "the host stops")
            if time.monotonic() > until or not self._hypervisor.call(domain.isActive):
                raise Fault("TemplateRefused", f"the guest did not come to wait within {BOOT:.0f} s")
            time.sleep(_POLL)

    def _sent(self, domain: Any, path: Path, user: int) -> bytes:
        """Return the state that QEMU, run by `user`, sends."""
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.settimeout(SEND)
            server.bind(str(path))
            server.listen(1)
            owner.give(path, user, owner.group(), 0o600)
            monitor.command(self._hypervisor, domain, "migrate", uri=f"unix:{path}")
            link, _ = server.accept()
        with link:
            link.settimeout(SEND)
            parts = list(iter(lambda: link.recv(_CHUNK), b""))
        monitor.transferred(self._hypervisor, domain, SEND)
        return b"".join(parts)

    def _clear(self, shape: InstanceSpec, aside: Path) -> None:
        """Nothing of the making is left; its folder, once it is the template, is not there any more."""
        with contextlib.suppress(Fault):
            domain = self._hypervisor.domain(domain_uuid(shape.uuid))
            if domain is not None:
                self._hypervisor.call(domain.destroy)
        with contextlib.suppress(Fault):
            tap.remove(self._layout.netns, _TAP)
        shutil.rmtree(aside, ignore_errors=True)


def _described(key: str, aside: Path, ident: str, mac: str, state: bytes) -> Template:
    """The finished folder `aside` as a template: where in it the identity stands that copies exchange."""
    (aside / "state").write_bytes(state)
    for path in set(aside.iterdir()) - {aside / name for name in ("ram", "state", "disk")}:
        path.unlink()
    for path in (aside / "ram", aside / "disk"):
        # Nobody's QEMU comes near what is copied for all.
        owner.give(path, 0, 0, 0o400)
    aside.chmod(0o700)
    with (aside / "ram").open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        os.fsync(file.fileno())
        page = waiting_page(memory)
        _, boot_id = hook.read_page(memory[page : page + PAGE])
        whole = GuestIdentity(uuid=ident, boot_id=boot_id, mac=mac)
        places = search(memory, whole)
        ram_stat = os.fstat(file.fileno())
    return Template(
        key=key,
        page=page,
        places=places,
        state_places=search(state, whole),
        size=ram_stat.st_size,
        changed=ram_stat.st_mtime_ns,
        state=digest(aside / "state"),
        disk=digest(aside / "disk"),
    )
