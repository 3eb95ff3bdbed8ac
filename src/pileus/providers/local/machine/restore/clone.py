"""Copies a template: a paused domain is given the template's devices and memory, an identity, and fresh randomness."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import libvirt

from pileus.model.errors import Fault
from pileus.model.spec import InstanceSpec
from pileus.providers.local.engine import unixsocket
from pileus.providers.local.images import hook
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import owner
from pileus.providers.local.machine.domain import domain_uuid
from pileus.providers.local.machine.hypervisor import Hypervisor
from pileus.providers.local.machine.restore import monitor
from pileus.providers.local.machine.restore.identity import GuestIdentity, GuestMemory, exchanged
from pileus.providers.local.machine.restore.template import Template

LOAD = 20.0
"""Seconds that QEMU may take to read half a megabyte of state."""

TAKE = 20.0
"""Seconds within which a guest that runs again takes what it was given; it needs a hundredth of one."""

_POLL = 0.01


def identity_of(spec: InstanceSpec) -> GuestIdentity:
    """Return the identity of the copy for `spec`; its boot id is a new one."""
    mac = spec.nics[0].mac.lower() if spec.nics else ""
    return GuestIdentity(uuid=domain_uuid(spec.uuid), boot_id=str(uuid.uuid4()), mac=mac)


class Clone:
    """One domain on its way from a template to a guest; `folder` is its own for that time.

    All methods raise Fault and OSError.
    """

    def __init__(
        self, layout: Layout, hypervisor: Hypervisor, template: Template, spec: InstanceSpec, folder: Path
    ) -> None:
        self.folder = folder
        self.memory = folder / "ram"
        self._layout = layout
        self._hypervisor = hypervisor
        self._template = template
        self._spec = spec
        self._identity = identity_of(spec)
        self._domain: Any = None

    def prepare(self) -> None:
        """Copy the template's memory for the guest's QEMU alone: what several could write, each could write for all.

        Where the file system shares blocks, this costs nothing.
        """
        self.clear()
        self.folder.mkdir(mode=0o700)
        copy = ["cp", "--reflink=auto", "--sparse=auto", str(self._template.ram_file), str(self.memory)]
        done = subprocess.run(copy, capture_output=True, text=True, check=False, timeout=LOAD)
        if done.returncode:
            raise Fault("RestoreFailed", f"the template's memory was not copied: {done.stderr.strip()}")
        user, group = owner.user(self._spec.uuid), owner.group()
        owner.give(self.memory, user, group, 0o600)
        owner.give(self.folder, user, group, 0o700)

    def clear(self) -> None:
        """No file is left; QEMU keeps the memory that it has mapped."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def load(self, xml: str) -> None:
        """Start the domain that `xml` defines, paused, and load the template's state."""
        call, socket = self._hypervisor.call, self.folder / "state"
        paused = libvirt.VIR_DOMAIN_START_PAUSED
        self._domain = call(self._hypervisor.connection().createXML, xml, paused)
        monitor.without_memory(self._hypervisor, self._domain)
        monitor.command(self._hypervisor, self._domain, "migrate-incoming", uri=f"unix:{socket}")
        state = exchanged(self._template.state_file.read_bytes(), self._template.state_places, self._identity)
        with unixsocket.connect(socket, LOAD) as stream:
            stream.sendall(state)
        monitor.transferred(self._hypervisor, self._domain, LOAD)

    def become(self) -> None:
        """Exchange the template's identity for the copy's own, and give it randomness and the time."""
        with self._memory() as memory:
            memory.exchange(self._template.places, self._identity)
            offset, gift = hook.given(time.time_ns(), secrets.token_bytes(hook.SEED))
            memory.write(self._template.page + offset, gift)

    def run(self) -> None:
        """Let it run, and see that it has taken what it was given: it wipes the page once its randomness is its own.

        Its kernel may have put something else there since; what stood there at first is gone all the same.
        """
        self._hypervisor.call(self._domain.resume)
        until = time.monotonic() + TAKE
        with self._memory() as memory:
            while memory.read(self._template.page, len(hook.MAGIC)) == hook.MAGIC:
                if time.monotonic() > until:
                    raise Fault("RestoreFailed", f"{self._spec.ec2_id} did not go on within {TAKE:.0f} s")
                time.sleep(_POLL)

    def _memory(self) -> GuestMemory:
        pid = self._layout.libvirt / "run" / "qemu" / f"{self._spec.ec2_id}.pid"
        return GuestMemory(int(pid.read_text()), self.memory)
