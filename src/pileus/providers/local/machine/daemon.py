"""This cloud's own libvirtd: described as data, started, checked and stopped; guests outlive it.

It runs in the cloud's network namespace with private folders in place of /etc/libvirt, /var/lib/libvirt and the
like, so that several clouds, and libvirt's own service, share the machine without meeting.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import struct
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pileus.model.errors import Fault
from pileus.posix import processes
from pileus.posix.locks import alone
from pileus.providers.local.engine import unixsocket
from pileus.providers.local.engine.daemons import Daemon
from pileus.providers.local.layout import SHARED, Layout
from pileus.providers.local.machine import cgroups, kvm, owner

NAME = "libvirtd"

_SCRIPT = Path(__file__).with_name("libvirtd.sh")
_DRIVER = "libvirt_driver_qemu.so"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_FOLDERS = {"etc": 0o700, "var": 0o711, "run": 0o700, "log": 0o700, "sock": 0o700, "drivers": 0o700, "mount": 0o700}
"""libvirtd's own folders. QEMU passes through `var`, and is kept off it elsewhere by the folder that all are in."""

_READY = 60.0
_STOP = 5.0
_PATIENCE = 2.0
LONGEST = 107 - len("/instances//agent.sock") - 36
"""Bytes of a state directory's path: the sockets of an instance must fit into a unix address (unix(7))."""

_HELLO = struct.pack(">7I", 28, 0x20008086, 1, 66, 0, 1, 0)
"""Asks for the ways to authenticate, the first call of every client (libvirt's src/rpc/virnetprotocol.x and
src/remote/remote_protocol.x: length, program, version, procedure 66, call, serial, status)."""

_LIBVIRTD_CONF = """\
listen_tls = 0
listen_tcp = 0
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
unix_sock_ro_perms = "0700"
unix_sock_dir = "{sock}"
host_uuid = "{host}"
# A request about a guest that hangs holds its worker: there must be others.
max_workers = 64
max_client_requests = 64
log_level = 3
log_filters = "4:util.json 4:rpc 4:remote 4:event 4:qemu.qemu_domain"
log_outputs = "3:file:{log}"
"""

# Guests are confined by seccomp, dropped capabilities, the device cgroup and a user for each (owner.py): whoever makes
# a file gives it away, so libvirt has to change none, and remembers none that several clouds share.
# Where QEMU can tell which CPU features it lacks, libvirt asks for each feature by itself at every start: dozens of
# questions that each wait for the scheduler, which takes seconds on a busy machine. Without that it asks two.
_QEMU_CONF = """\
user = "{account}"
group = "{account}"
clear_emulator_capabilities = 1
seccomp_sandbox = 1
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
stdio_handler = "file"
capability_filters = [ "cpu-unavailable-features" ]
"""


def libvirtd(layout: Layout) -> Daemon:
    """The daemon, for whoever starts it; `prepare` comes first. Raises Fault when libvirt is not installed."""
    places = ("lib/*/libvirt", "lib64/libvirt", "lib/libvirt")
    driver_paths = [path for place in places for path in Path("/usr").glob(f"{place}/connection-driver/{_DRIVER}")]
    if not driver_paths:
        raise Fault("HypervisorMissing", "libvirt's QEMU driver is not installed; bin/setup does it", permanent=True)
    private = layout.libvirt
    return Daemon(
        name=NAME,
        argv=(
            "nsenter",
            f"--net=/run/netns/{layout.netns}",
            "unshare",
            "--mount",
            "--propagation=private",
            "/bin/sh",
            str(_SCRIPT),
            str(private),
            str(layout.state),
            str(SHARED),
            str(layout.cache),
            str(driver_paths[0].parent),
            kvm.accelerator(),
        ),
        ready=lambda: answers(layout),
        pidfile=_pidfile(layout),
        output=private / "libvirtd.out",
        at=_socket(layout),
        question=_HELLO.decode("latin-1"),
    )


def prepare(layout: Layout) -> None:
    """Make folders, configuration and cgroups; forget the guests of an earlier boot; find out whether KVM works.

    Idempotent. Raises Fault.
    """
    if len(os.fsencode(layout.state)) > LONGEST:
        raise Fault("StatePathTooLong", f"{layout.state} is longer than {LONGEST} bytes", permanent=True)
    private = layout.libvirt
    folders = {private: 0o700, layout.instances: 0o711, **{private / name: mode for name, mode in _FOLDERS.items()}}
    for folder, mode in folders.items():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(mode)
    # One that was there already may be closed, as mktemp(1) makes them: QEMUs, each a user of its own, pass through it.
    layout.state.chmod(stat.S_IMODE(layout.state.stat().st_mode) | 0o011)
    host = uuid.uuid5(uuid.NAMESPACE_URL, str(layout.state))
    _write(
        private / "etc" / "libvirtd.conf",
        _LIBVIRTD_CONF.format(sock=private / "sock", host=host, log=private / "libvirtd.log"),
    )
    account, number = owner.GROUP, owner.GROUP_ID
    _write(private / "etc" / "qemu.conf", _QEMU_CONF.format(account=account))
    line = f"{account}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin"
    _write(private / "passwd", _with_line("/etc/passwd", line))
    _write(private / "group", _with_line("/etc/group", f"{account}:x:{number}:"))
    boot = _BOOT.read_text()
    marker = private / "boot"
    if not marker.exists() or marker.read_text() != boot:
        # libvirt trusts /run to be empty after a boot, and would end whatever has its guests' process numbers now.
        shutil.rmtree(private / "run")
        (private / "run").mkdir(mode=0o700)
        _write(marker, boot)
    cgroups.prepare(layout)
    kvm.settle()


def up(layout: Layout) -> None:
    """Start libvirtd unless it runs, and return when it answers. Raises Fault; needs root and the namespace."""
    with _alone(layout):
        prepare(layout)
        if why := libvirtd(layout).start(_READY):
            raise Fault("HypervisorFailed", why)


def down(layout: Layout) -> None:
    """Stop libvirtd; guests run on, and the next one finds them. Without guests their cgroup goes, too."""
    if not layout.libvirt.exists():
        return
    with _alone(layout):
        daemon_pid = pid(layout)
        if daemon_pid is not None:
            # Guests do not need it: one that hangs is ended the hard way.
            processes.stop(daemon_pid, _STOP)
    if not guests(layout):
        cgroups.remove(layout)


def pid(layout: Layout) -> int | None:
    """The running libvirtd's process, or None."""
    return processes.owner(_pidfile(layout))


def guests(layout: Layout) -> list[str]:
    """The names of the domains whose QEMU runs, whether or not libvirtd does."""
    return sorted(_processes(layout))


def end_guests(layout: Layout) -> None:
    """End every guest's QEMU, at once and for all; disks and definitions stay."""
    pids = _processes(layout)
    if pids:
        with ThreadPoolExecutor(max_workers=min(16, len(pids))) as pool:
            list(pool.map(lambda number: processes.stop(number, _STOP), pids.values()))


def answers(layout: Layout) -> bool:
    """Whether libvirtd answers a request in time; one that hangs only accepts connections."""
    return unixsocket.answers(_socket(layout), _HELLO, _PATIENCE)


def _socket(layout: Layout) -> Path:
    return layout.libvirt / "sock" / "libvirt-sock"


def _pidfile(layout: Layout) -> Path:
    return layout.libvirt / "libvirtd.pid"


def _processes(layout: Layout) -> dict[str, int]:
    """Domain name → QEMU's process, from the pid files that libvirt writes; stale files are passed over."""
    pids = {}
    for path in (layout.libvirt / "run" / "qemu").glob("*.pid"):
        with contextlib.suppress(OSError, ValueError):
            number = int(path.read_text())
            # A zombie's command line is empty, and another process does not name the domain.
            if f"guest={path.stem}," in Path(f"/proc/{number}/cmdline").read_text():
                pids[path.stem] = number
    return pids


def _alone(layout: Layout) -> contextlib.AbstractContextManager[None]:
    return alone(layout.libvirt, "daemon.lock")


def _with_line(path: str, line: str) -> str:
    text = Path(path).read_text()
    return text if f"\n{owner.GROUP}:" in text else f"{text.rstrip()}\n{line}\n"


def _write(path: Path, text: str) -> None:
    """In place: a running libvirtd's mounts hold the file, not its name."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
