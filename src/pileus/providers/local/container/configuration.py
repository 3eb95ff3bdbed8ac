"""A container's spec as LXC's configuration (lxc.container.conf(5)); all of it, nothing of the machine's defaults."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from pileus.model import allowance, bounds
from pileus.model.spec import InstanceSpec
from pileus.providers.local.container import views
from pileus.providers.local.container.ranges import SIZE

CONFIG_DRIVE = "config-drive"
"""A container's folder, below its root, with the contents of a configuration drive."""

FILES = 1024
"""Open files of one process, until it asks for more."""

_PERIOD = 100_000
"""Microseconds in which a container has its processors' time."""

_WEIGHT = 1024
"""`cpu.shares` of one processor."""

_REFUSED = (
    *("audit_control", "audit_read", "block_suspend", "bpf", "lease", "mac_admin", "mac_override", "mknod", "perfmon"),
    *("sys_module", "sys_rawio", "sys_time", "syslog", "wake_alarm"),
)
"""Capabilities (capabilities(7)) that not even the container's own root has over what is the container's."""

_DEVICES = ("1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:1", "5:2", "136:*")
"""null, zero, full, random, urandom, tty, console, ptmx, and the terminals."""

_MIB = 1 << 20


@dataclass(frozen=True)
class ContainerPaths:
    """Where on this host the parts of one container are.

    `interfaces` by port; `group` is the guests' cgroup, `hook` a command; `files` how many a process may have open;
    `figures` is where lxcfs's file system is, if there is one, `empty` an empty file, `drive` a configuration drive.
    """

    root: Path
    folder: Path
    seccomp: Path
    base: int
    interfaces: dict[str, str]
    hook: str
    files: int
    group: str
    unified: bool
    figures: Path
    empty: Path
    drive: Path


def configuration(spec: InstanceSpec, paths: ContainerPaths) -> str:
    """The text of the configuration file."""
    lines = [
        f"lxc.rootfs.path = dir:{paths.root}",
        f"lxc.uts.name = {spec.hostname or spec.ec2_id}",
        f"lxc.idmap = u 0 {paths.base} {SIZE}",
        f"lxc.idmap = g 0 {paths.base} {SIZE}",
        f"lxc.seccomp.profile = {paths.seccomp}",
        f"lxc.cap.drop = {' '.join(_REFUSED)}",
        # A profile by name needs a module that this machine may not have: what confines is what is listed here.
        "lxc.apparmor.profile = unconfined",
        "lxc.mount.auto = cgroup:mixed proc:mixed sys:mixed",
        "lxc.autodev = 1",
        "lxc.tty.max = 0",
        f"lxc.pty.max = {bounds.CONTAINER_TERMINALS.most}",
        f"lxc.console.logfile = {paths.folder / 'console.log'}",
        f"lxc.hook.start-host = {paths.hook}",
        "lxc.environment = container=lxc",
        _files(spec, paths),
        *_config_drive(spec, paths),
        # With 0 a handler that the machine pipes dumps to would run all the same (core(5)), as the machine's root.
        "lxc.prlimit.core = 1",
        *views.entries(paths.figures),
        *views.covers(paths.empty),
        *_interfaces(spec, paths),
        *_group(spec, paths),
    ]
    return "".join(f"{line}\n" for line in lines)


def _config_drive(spec: InstanceSpec, paths: ContainerPaths) -> list[str]:
    """The folder in which cloud-init looks for a configuration drive that is no disk."""
    if not spec.config_drive:
        return []
    return [f"lxc.mount.entry = {paths.drive} {CONFIG_DRIVE} none bind,ro,nodev,nosuid,noexec,create=dir 0 0"]


def _files(spec: InstanceSpec, paths: ContainerPaths) -> str:
    most = min(spec.allowance.files or bounds.CONTAINER_FILES.most, paths.files)
    return f"lxc.prlimit.nofile = {min(FILES, most)}:{most}"


def limits(spec: InstanceSpec, *, unified: bool) -> dict[str, str]:
    """Return the settings of the container's cgroup, by file: memory without swap, processors, processes."""
    memory = spec.memory * _MIB
    processes = processes_of(spec)
    if unified:
        return {
            "memory.max": f"{memory}",
            "memory.swap.max": "0",
            "cpu.max": f"{spec.vcpus * _PERIOD} {_PERIOD}",
            "cpu.weight": f"{min(100 * spec.vcpus, 10000)}",
            "pids.max": f"{processes}",
        }
    return {
        "memory.limit_in_bytes": f"{memory}",
        "cpu.cfs_period_us": f"{_PERIOD}",
        "cpu.cfs_quota_us": f"{spec.vcpus * _PERIOD}",
        "cpu.shares": f"{_WEIGHT * spec.vcpus}",
        "pids.max": f"{processes}",
    }


def io_max(spec: InstanceSpec, device: str) -> str:
    """The bounds of the container's disk, the block device MAJOR:MINOR, for `io.max` of version 2; empty for none."""
    iops, throughput = spec.allowance.iops, spec.allowance.throughput * _MIB
    bounded = {"riops": iops, "wiops": iops, "rbps": throughput, "wbps": throughput}
    words = [f"{name}={value}" for name, value in bounded.items() if value]
    return " ".join([device, *words]) if words else ""


def throttle(spec: InstanceSpec, device: str) -> dict[str, str]:
    """The bounds of the container's disk, the block device MAJOR:MINOR, by file of a cgroup of version 1."""
    bounded = {"iops": spec.allowance.iops, "bps": spec.allowance.throughput * _MIB}
    return {
        f"blkio.throttle.{way}_{unit}_device": f"{device} {value}"
        for unit, value in bounded.items()
        for way in ("read", "write")
        if value
    }


def processes_of(spec: InstanceSpec) -> int:
    """How many processes and threads the container may have."""
    return spec.allowance.processes or allowance.default(spec.vcpus, spec.memory).processes


def _group(spec: InstanceSpec, paths: ContainerPaths) -> list[str]:
    prefix = "lxc.cgroup2" if paths.unified else "lxc.cgroup"
    devices = [f"{prefix}.devices.allow = c {device} rwm" for device in _DEVICES]
    return [
        f"lxc.cgroup.dir.container = {paths.group}/{spec.ec2_id}",
        f"lxc.cgroup.dir.monitor = {paths.group}/{spec.ec2_id}.monitor",
        "lxc.cgroup.dir.container.inner = guest",
        f"{prefix}.devices.deny = a",
        *devices,
        *(f"{prefix}.{name} = {value}" for name, value in limits(spec, unified=paths.unified).items()),
    ]


def _interfaces(spec: InstanceSpec, paths: ContainerPaths) -> list[str]:
    lines = []
    for at, nic in enumerate(spec.nics):
        own, cidr = f"lxc.net.{at}", ipaddress.IPv4Network(nic.cidr)
        lines += [
            f"{own}.type = phys",
            f"{own}.link = {paths.interfaces[nic.uuid]}",
            f"{own}.name = eth{nic.index}",
            f"{own}.flags = up",
            f"{own}.ipv4.address = {nic.address}/{cidr.prefixlen} {cidr.broadcast_address}",
            # What else is on the link, and the way out, is told by router advertisements.
            *(f"{own}.ipv6.address = {address}/128" for address in nic.ipv6),
        ]
        if at == 0:
            lines.append(f"{own}.ipv4.gateway = {nic.gateway}")
    return lines or ["lxc.net.0.type = empty"]
