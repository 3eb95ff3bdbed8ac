"""The machine's requirements: programs, the network engine, KVM, the datapath, a user for the cloud."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

from pileus.model.errors import Fault
from pileus.model.finding import Finding
from pileus.providers.local.container import lxcfs, monitor
from pileus.providers.local.doctor import kernellimits
from pileus.providers.local.engine import root
from pileus.providers.local.engine.chassis import CLOUD_GROUP
from pileus.providers.local.engine.daemons import datapath
from pileus.providers.local.guestnet import packetrate
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import kvm
from pileus.providers.local.machine.daemon import LONGEST, libvirtd

KIND = "machine"

PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "libvirtd": "libvirt-daemon",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "prlimit": "util-linux",
    "mmdebstrap": "mmdebstrap",
    "extlinux": "extlinux",
    "ssh": "openssh-client",
    "lxc-start": "lxc",
    "newuidmap": "uidmap",
    "mke2fs": "e2fsprogs",
}
"""The programs that are called, with the Debian package that has each."""

_PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TUN = Path("/dev/net/tun")


def facts() -> dict[str, str]:
    """Return the facts of this machine in words, by name: KVM, datapath, versions of the network engine, and more."""
    verdict = kvm.kept()
    if verdict is None:
        works = "not tried since the machine booted: the next `pileus up` does"
    else:
        works = f"used: {verdict.why}" if verdict.works else f"not used, instances are emulated: {verdict.why}"
    kind = "the kernel's" if datapath() == "system" else "in user space: the kernel has no openvswitch module"
    versions = ", ".join(root.installed().values()) or "none"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return {
        "KVM": works,
        "datapath": kind,
        "network engine": f"{versions} ({root.ROOT})",
        "kernel limits": kernellimits.capacity(memory),
    }


def compare(layout: Layout) -> Iterator[Finding]:
    """Yield the faults of this machine: requirements that it lacks."""
    for program, package in PROGRAMS.items():
        if shutil.which(program, path=_PLACES) is None:
            yield Finding(code="PackageMissing", kind=KIND, ident=program, detail=f"Debian's package {package} has it")
    try:
        libvirtd(layout)
    except Fault as fault:
        yield Finding(code="PackageMissing", kind=KIND, ident="libvirt's QEMU driver", detail=fault.message)
    if not root.is_built() or any(_old(name) for name in root.LEAST):
        detail = ", ".join(root.installed().values()) or f"nothing at {root.ROOT}"
        yield Finding(code="EngineMissing", kind=KIND, ident="engine", detail=detail)
    if len(os.fsencode(layout.state)) > LONGEST:
        detail = f"{len(os.fsencode(layout.state))} bytes, of {LONGEST} at most"
        yield Finding(code="StatePathTooLong", kind=KIND, ident=str(layout.state), detail=detail)
    if monitor.available() and not lxcfs.available():
        yield Finding(code="FiguresMissing", kind=KIND, ident=lxcfs.NAME, detail="no /dev/fuse, or no lxcfs")
    if not _TUN.exists():
        yield Finding(code="TunMissing", kind=KIND, ident=str(_TUN))
    if reason := packetrate.refusal():
        yield Finding(code="PacketsUnbounded", kind=KIND, ident="packets", detail=reason)
    try:
        pwd.getpwnam(CLOUD_GROUP)
    except KeyError:
        yield Finding(code="UserMissing", kind=KIND, ident=CLOUD_GROUP)


def _old(name: str) -> bool:
    return root.parse_version(root.installed().get(name, "")) < root.LEAST[name]
