"""What LXC is told of a container."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec
import pytest

from pileus.model.allowance import Allowance
from pileus.providers.local.container import seccomp
from pileus.providers.local.container.configuration import (
    ContainerPaths,
    configuration,
    io_max,
    limits,
    processes_of,
    throttle,
)
from tests.providers.local.machine import specs

PLACES = ContainerPaths(
    root=Path("/stage/root"),
    folder=Path("/state/containers/one"),
    seccomp=Path("/state/containers/one/seccomp"),
    base=0x78010000,
    interfaces={specs.nic().uuid: "ctr1", "b": "ctr2"},
    hook="true",
    files=65536,
    group="pileus-1.partition",
    unified=False,
    figures=Path("/stage/figures"),
    empty=Path("/stage/empty"),
    drive=Path("/stage/drive"),
)


def told(places: ContainerPaths = PLACES, **changes: int) -> dict[str, list[str]]:
    """The configuration's values by name."""
    spec = msgspec.structs.replace(specs.instance(machine="container", nics=(specs.nic(),)), **changes)
    found: dict[str, list[str]] = {}
    for line in configuration(spec, places).splitlines():
        name, _, value = line.partition(" = ")
        found.setdefault(name, []).append(value)
    return found


def test_a_container_is_nobody_on_its_machine() -> None:
    """Every user of its own is one of its project's range; nothing is inherited from files of the machine's."""
    said = told()
    assert said["lxc.idmap"] == ["u 0 2013331456 65536", "g 0 2013331456 65536"]
    assert "lxc.include" not in said
    assert {"sys_module", "sys_rawio", "sys_time", "mknod", "syslog"} <= set(said["lxc.cap.drop"][0].split())
    assert said["lxc.seccomp.profile"] == ["/state/containers/one/seccomp"]
    assert said["lxc.cgroup.devices.deny"] == ["a"]
    assert all(line.startswith("c ") for line in said["lxc.cgroup.devices.allow"]), "and no disk at all"
    assert said["lxc.prlimit.core"] == ["1"], "not 0, with which a dump's handler would run as the machine's root"


def test_its_processes_are_what_its_flavor_allows() -> None:
    spec = specs.instance(machine="container", nics=(), allowance=Allowance(processes=1500))
    assert limits(spec, unified=True)["pids.max"] == limits(spec, unified=False)["pids.max"] == "1500"


def test_its_disk_is_bounded_as_its_flavor_says() -> None:
    spec = specs.instance(machine="container", nics=(), allowance=Allowance(iops=500, throughput=2))
    assert io_max(spec, "7:3") == "7:3 riops=500 wiops=500 rbps=2097152 wbps=2097152"
    assert throttle(spec, "7:3") == {
        "blkio.throttle.read_iops_device": "7:3 500",
        "blkio.throttle.write_iops_device": "7:3 500",
        "blkio.throttle.read_bps_device": "7:3 2097152",
        "blkio.throttle.write_bps_device": "7:3 2097152",
    }
    boundless = specs.instance(machine="container", nics=())
    assert (io_max(boundless, "7:3"), throttle(boundless, "7:3")) == ("", {})


def test_its_size_is_a_limit_on_both_versions_of_cgroups() -> None:
    first = told(vcpus=2, memory=256)
    assert first["lxc.cgroup.memory.limit_in_bytes"] == [str(256 << 20)]
    assert first["lxc.cgroup.cpu.cfs_quota_us"] == ["200000"]
    assert first["lxc.cgroup.pids.max"] == ["256"]
    second = told(_unified(), vcpus=2, memory=256)
    assert second["lxc.cgroup2.memory.max"] == [str(256 << 20)]
    assert second["lxc.cgroup2.memory.swap.max"] == ["0"]
    assert second["lxc.cgroup2.cpu.max"] == ["200000 100000"]
    assert not any(name.startswith("lxc.cgroup.") and "dir" not in name for name in second)


def _unified() -> ContainerPaths:
    return ContainerPaths(**{**vars(PLACES), "unified": True})


@pytest.mark.parametrize("unified", [False, True])
def test_what_changes_while_it_runs_is_what_it_started_with(*, unified: bool) -> None:
    places = ContainerPaths(**{**vars(PLACES), "unified": unified})
    said = told(places, vcpus=2, memory=512)
    prefix = "lxc.cgroup2" if unified else "lxc.cgroup"
    spec = specs.instance(vcpus=2, memory=512)
    assert all(said[f"{prefix}.{name}"] == [value] for name, value in limits(spec, unified=unified).items())


def test_its_group_is_among_the_guests() -> None:
    """So that all guests have their share together; and its own root cannot change what is above its own group."""
    said = told()
    ident = specs.instance().ec2_id
    assert said["lxc.cgroup.dir.container"] == [f"pileus-1.partition/{ident}"]
    assert said["lxc.cgroup.dir.monitor"] == [f"pileus-1.partition/{ident}.monitor"]
    assert said["lxc.cgroup.dir.container.inner"] == ["guest"]


def test_interfaces_come_with_their_addresses() -> None:
    said = told()
    assert said["lxc.net.0.type"] == ["phys"]
    assert said["lxc.net.0.link"] == ["ctr1"]
    assert said["lxc.net.0.ipv4.address"] == ["10.98.0.5/24 10.98.0.255"]
    assert said["lxc.net.0.ipv4.gateway"] == ["10.98.0.1"]
    spec = specs.instance(nics=(specs.nic(), specs.nic(uuid="b", index=1, address="10.98.0.6")))
    assert "lxc.net.1.name = eth1" in configuration(spec, PLACES)
    wide = specs.instance(nics=(specs.nic(ipv6=("fd00::5", "fd00::6")),))
    assert configuration(wide, PLACES).count("lxc.net.0.ipv6.address = fd00::") == 2
    assert configuration(spec, PLACES).count("ipv4.gateway") == 1


def test_one_without_interfaces_has_a_network_of_its_own() -> None:
    """And not the machine's, which LXC would give it if nothing were said."""
    assert "lxc.net.0.type = empty" in configuration(specs.instance(), PLACES)


def test_open_files_are_as_many_as_this_machine_allows() -> None:
    assert told(ContainerPaths(**{**vars(PLACES), "files": 20000}))["lxc.prlimit.nofile"] == ["1024:20000"]
    spec = specs.instance(machine="container", nics=(), allowance=Allowance(files=300))
    assert "lxc.prlimit.nofile = 300:300\n" in configuration(spec, PLACES)


def test_the_profile_refuses_by_name() -> None:
    lines = seccomp.profile().splitlines()
    assert lines[:2] == ["2", "denylist"]
    assert "bpf errno 1" in lines
    assert "open_by_handle_at errno 1" in lines
    assert "io_setup errno 38" in lines
    refused = {line.split("[0,")[1].split(",")[0] for line in lines if line.startswith("socket errno 97 [0,")}
    assert not refused & {str(int(family)) for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)}
    assert "socket errno 97 [0,17,SCMP_CMP_GT]" in lines, "AF_VSOCK, and all that come after it"
    assert len(set(lines)) == len(lines)


def test_lxcfs_is_no_condition_of_a_start() -> None:
    """Its files are bound where there are such, one by one: never all of it, which has everybody's."""
    said = [line for line in told()["lxc.mount.entry"] if line.startswith("/stage/figures/")]
    assert "/stage/figures/proc/meminfo proc/meminfo none bind,optional 0 0" in said
    assert all(line.endswith(" none bind,optional 0 0") for line in said)
    assert {line.split()[1].partition("/")[0] for line in said} == {"proc", "sys"}


def test_what_tells_of_the_machine_is_covered() -> None:
    others = [line.split() for line in told()["lxc.mount.entry"] if not line.startswith("/stage/figures/")]
    assert {"sys/block", "sys/devices/virtual/block", "proc/cmdline"} <= {place for _, place, *_ in others}
    assert all("ro" in options.split(",") for _, _, _, options, *_ in others)


@pytest.mark.parametrize(("memory", "most"), [(64, 256), (1000, 1000), (64 << 10, 4096)])
def test_a_larger_container_has_more_processes(memory: int, most: int) -> None:
    assert processes_of(specs.instance(machine="container", nics=(), memory=memory)) == most
