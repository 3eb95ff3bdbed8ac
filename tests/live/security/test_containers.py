"""Escapes: what root in a container tries against the machine, its kernel, and other containers."""

from __future__ import annotations

import contextlib
import errno
import io
import re
import socket
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pileus.app.build import BUILT
from pileus.model import allowance, bounds
from pileus.model.flavor import CONTAINERS
from pileus.providers.local.container import guests as running
from pileus.providers.local.machine import cgroups
from tests.live.cloud import KINDS, until
from tests.live.security.probe import Somebody, reached
from tests.live.security.test_host import NOBODY, everything

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.cloud import LiveCloud

pytestmark = [pytest.mark.cost(30)]

CONTAINER = KINDS[1]
REFUSED = {str(number) for number in (errno.EPERM, errno.EACCES, errno.ENOSYS)}
PROGRAM = Path(__file__).with_name("escapes.c")
LIMITS = Path(__file__).with_name("limits.c")
MOST = allowance.default(1, CONTAINERS[CONTAINER.flavor][1]).processes
"""Processes that a container of its flavor may have."""

HOSTS = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/panic",
    "/proc/sys/vm/overcommit_memory",
)
"""What is the whole machine's in /proc/sys."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that makes the system calls, for this machine and for every container."""
    made = tmp_path_factory.mktemp("escapes") / "escapes"
    subprocess.run(["gcc", "-O1", "-static", "-o", made, PROGRAM], check=True)
    return made


@pytest.fixture(scope="module")
def limits_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that takes as much as it gets of what the kernel shares among containers."""
    made = tmp_path_factory.mktemp("limits") / "limits"
    subprocess.run(["gcc", "-O1", "-static", "-o", made, LIMITS], check=True)
    return made


def launch(cloud: LiveCloud, key: Path, image: str) -> str:
    """A container that answers; its id."""
    made = cloud.ec2.run_instances(
        ImageId=image, InstanceType=CONTAINER.flavor, MinCount=1, MaxCount=1, KeyName=key.name
    )["Instances"]
    ident = str(made[0]["InstanceId"])
    cloud.wait(ident, "running")
    return ident


@pytest.fixture(scope="module")
def container(cloud: LiveCloud, key: Path) -> str:
    """A container whose root is the attacker."""
    cloud.open_ssh()
    ident = launch(cloud, key, cloud.image(CONTAINER.image))
    cloud.ssh(ident, key, "true")
    return ident


@pytest.fixture
def inside(cloud: LiveCloud, key: Path, container: str) -> Iterator[Inside]:
    """Ways into it; whatever was tried, it answers afterwards."""
    yield Inside(cloud, key, container)
    assert cloud.ssh(container, key, "echo alive") == "alive"


class Inside:
    """Root's shell in a container."""

    def __init__(self, cloud: LiveCloud, key: Path, ident: str) -> None:
        self.cloud, self.key, self.ident = cloud, key, ident

    def __call__(self, command: str, seconds: float = 120.0) -> str:
        """What the command prints, errors included."""
        return self.cloud.ssh(self.ident, self.key, f"{{ {command}\n}} 2>&1", seconds=seconds)

    def works(self, command: str) -> bool:
        """Whether the command succeeds."""
        return self(f"if {command}; then echo '<yes>'; else echo '<no>'; fi").endswith("<yes>")

    def send(self, file: Path, target: str) -> None:
        """Copy a program into the container."""
        address = self.cloud.instance(self.ident)["PublicIpAddress"]
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "LogLevel=ERROR"]
        words = ["ssh", "-i", str(self.key), *(word for option in options for word in ("-o", option))]
        with file.open("rb") as opened:
            script = f"cat >{target} && chmod 755 {target}"
            subprocess.run([*words, f"root@{address}", script], stdin=opened, check=True, timeout=120)

    @property
    def first(self) -> int:
        """Its first process, by its number on this machine."""
        (spec,) = (spec for spec in running.running(self.cloud.layout) if spec.ec2_id == self.ident)
        found: int = until("its first process", lambda: running.monitor(self.cloud.layout, spec).init())
        return found


def answers(text: str) -> dict[str, str]:
    """Lines of the program: name → "ok" or the error's number."""
    return dict(line.split() for line in text.splitlines() if len(line.split()) == 2)


def test_the_kernels_dangerous_parts_are_closed_to_containers(inside: Inside, program: Path) -> None:
    """bpf, perf, keys, handles, modules, clocks, the kernel's log, io_uring, devices: also from a namespace within."""
    inside.send(program, "/root/escapes")
    found = answers(inside("/root/escapes"))
    assert found.pop("userns") == "ok", "users make namespaces of their own, which give them nothing more"
    assert {name: said for name, said in found.items() if said not in REFUSED} == {}
    # The same program as root of this machine: it would be seen if a call came through.
    allowed = answers(subprocess.run([program], capture_output=True, text=True, check=True).stdout)
    assert {"handle", "mknod-block", "mknod-char", "keyctl"} <= {name for name, said in allowed.items() if said == "ok"}
    assert allowed["clock"] == str(errno.EINVAL)


def test_containers_mount_no_disk_and_no_debugging(inside: Inside) -> None:
    """Block devices, images by a loop device, debugfs and its like; what is mounted is what is theirs."""
    inside("dd if=/dev/zero of=/root/disk bs=1M count=4; mke2fs /root/disk 2>/dev/null || true; mkdir -p /mnt/x")
    for attempt in (
        "mount -o loop /root/disk /mnt/x",
        "losetup -f /root/disk",
        "mount -t ext2 /root/disk /mnt/x",
        *(
            f"mount -t {kind} none /mnt/x"
            for kind in ("debugfs", "tracefs", "securityfs", "configfs", "pstore", "efivarfs")
        ),
    ):
        assert not inside.works(attempt), attempt
    assert inside.works("mount -t tmpfs none /mnt/x && umount /mnt/x"), "what is harmless works"
    assert inside("ls /dev | grep -E '^(sd|vd|loop|mem|kmem|port|kmsg|kvm|fuse)' || true") == ""


def test_the_machines_proc_and_sys_cannot_be_written(inside: Inside) -> None:
    """Neither as they are nor mounted anew, writable, or below a folder of one's own."""
    before = {path: Path(path).read_text() for path in HOSTS if Path(path).exists()}
    assert before
    inside(
        "mount -o remount,rw /proc/sys; mount -o remount,rw /sys; mkdir -p /mnt/p /mnt/s; mount -t proc proc /mnt/p; "
        "mount -t sysfs sysfs /mnt/s; true"
    )
    for path in before:
        for at in (path, path.replace("/proc", "/mnt/p")):
            assert not inside.works(f"echo '|/bin/sh' >{at}"), at
    for at in ("/proc", "/mnt/p"):
        assert not inside.works(f"echo h >{at}/sysrq-trigger"), at
        assert not inside.works(f"head -c 1 {at}/kcore | grep -q ."), at
    for at in ("/sys", "/mnt/s"):
        for name in ("kernel/uevent_helper", "kernel/mm/transparent_hugepage/enabled", "power/state"):
            assert not inside.works(f"echo always >{at}/{name}"), name
    assert {path: Path(path).read_text() for path in before} == before
    inside("umount /mnt/p /mnt/s; true")


def test_the_machines_clock_log_and_modules_stay(inside: Inside) -> None:
    """date, dmesg and insmod, as somebody would try them first."""
    # Some programs fail without saying so: what counts is what became of it.
    assert "not permitted" in inside("date -s 2001-01-01")
    assert not inside.works("dmesg 2>/dev/null | grep -q .")
    inside("echo nonsense >/root/x.ko")
    assert not inside.works("insmod /root/x.ko")
    assert inside("date +%Y") != "2001"


def test_a_containers_root_sees_no_other_process_and_no_folder_of_the_machine(inside: Inside, cloud: LiveCloud) -> None:
    """No process, socket, interface, mount or folder outside, also not by the links in /proc."""
    seen = inside("ls /proc | grep -E '^[0-9]+$'").split()
    assert len(seen) < 60
    assert str(cloud.state) not in inside(
        "cat /proc/*/cmdline /proc/*/environ | tr '\\0' ' '; cat /proc/self/mountinfo"
    )
    inside("mkdir -p /root/jail")
    for way in ("/proc/1/root", "/proc/1/cwd", "/proc/self/root/../../../.."):
        assert not inside.works(f"test -e {way}{cloud.state}"), way
    assert cloud.state.exists()
    said = inside("cat /proc/net/unix; cat /proc/net/tcp; ip link")
    assert "@" not in said.replace("eth0@", ""), "no abstract socket of the machine's"
    assert "br-int" not in said


def test_cgroups_hold_and_give_no_way_out(inside: Inside) -> None:
    """Mounted anew, a hierarchy is the container's part of it; its limits and release agents are not its own."""
    groups = Path(f"/proc/{inside.first}/cgroup").read_text()
    assert inside.ident in groups
    assert inside.ident not in inside("cat /proc/self/cgroup /proc/1/cgroup")
    said = inside(
        "for kind in memory pids devices rdma cpu freezer; do mkdir -p /mnt/$kind; "
        "mount -t cgroup -o $kind cgroup /mnt/$kind 2>/dev/null || continue; "
        "echo /root/agent >/mnt/$kind/release_agent && echo AGENT; echo a >/mnt/$kind/devices.allow && echo DEVICES; "
        "ls -d /mnt/$kind/i-* /mnt/$kind/*/i-*; umount /mnt/$kind; done; true"
    )
    assert "AGENT" not in said.split()
    assert inside.ident not in said
    before = limits(inside)
    assert before
    inside(
        "for file in $(find /sys/fs/cgroup -name memory.limit_in_bytes -o -name pids.max -o -name memory.max); do "
        "echo max >$file; echo -1 >$file; done; true"
    )
    assert limits(inside) == before


def limits(inside: Inside) -> dict[str, str]:
    """The limits of its cgroups that are the host's, by file."""
    roots = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()]
    names = ("memory.limit_in_bytes", "memory.max", "pids.max", "cpu.cfs_quota_us", "cpu.max")
    found: dict[str, str] = {}
    for root in roots:
        for folder in root.glob(f"*/{inside.ident}"):
            found |= {str(folder / name): (folder / name).read_text() for name in names if (folder / name).exists()}
    return found


def test_a_fork_bomb_stays_in_its_container(inside: Inside, program: Path) -> None:
    """It ends at the container's own bound, of processes or of memory, and its neighbour goes on as before."""
    cloud, key = inside.cloud, inside.key
    ident = launch(cloud, key, cloud.image(CONTAINER.image))
    bomb = Inside(cloud, key, ident)
    bomb("true")
    bomb.send(program, "/root/escapes")
    # Its own sshd may be what the kernel ends for want of memory.
    bomb("/root/escapes forks >/dev/null 2>&1 </dev/null &")
    until("it has made many", lambda: made(bomb) >= 50)
    for _ in range(10):
        assert inside("echo alive") == "alive"
        assert max(counted(ident), default=0) <= MOST
    assert made(bomb) <= MOST
    cloud.ec2.terminate_instances(InstanceIds=[ident])
    cloud.wait(ident, "terminated")


def made(bomb: Inside) -> int:
    """How many processes it wrote down that it has made; read from outside, for nothing may be left to ask in there."""
    try:
        return int(Path(f"/proc/{bomb.first}/root/root/made").read_text() or "0")
    except (OSError, ValueError):
        # The kernel may have ended all of it; it comes back with what was written.
        return 0


def counted(ident: str) -> list[int]:
    """How many processes a container has, as the kernel says wherever it counts them."""
    found = []
    for path in (
        path for root in ("pids/", "") for path in Path("/sys/fs/cgroup").glob(f"{root}*/{ident}/pids.current")
    ):
        # The group goes with the container, if the kernel ends all of it.
        with contextlib.suppress(OSError):
            found.append(int(path.read_text()))
    return found


def test_processes_end_at_the_containers_own_bound(inside: Inside, limits_program: Path) -> None:
    """Counted from outside, in whatever version of cgroups; and all guests together leave the machine some."""
    inside.send(limits_program, "/root/limits")
    first = inside.first
    inside("/root/limits processes >/root/taken 2>&1 </dev/null &")
    until("it has all it gets", lambda: max(counted(inside.ident), default=0) == MOST)
    assert Path(f"/proc/{first}").exists(), "the container goes on"
    until("they are gone", lambda: max(counted(inside.ident)) < MOST // 2)
    assert MOST // 2 < int(inside("cat /root/taken").split()[1]) < MOST
    (together,) = (
        path for root in ("pids/", "") for path in Path("/sys/fs/cgroup").glob(f"{root}{_group(inside)}/pids.max")
    )
    numbers = int(Path("/proc/sys/kernel/pid_max").read_text())
    assert int(together.read_text()) <= numbers * bounds.GUEST_PROCESSES.most // 100


def test_the_disk_is_held_to_the_flavors_operations(inside: Inside) -> None:
    """The kernel has the bounds where the container's processes are, and counts there what they write."""
    flavors = allowance.default(1, CONTAINERS[CONTAINER.flavor][1])
    groups = dict(line.split(":")[1:] for line in Path(f"/proc/{inside.first}/cgroup").read_text().splitlines())
    if "blkio" in groups:
        group = Path("/sys/fs/cgroup/blkio" + groups["blkio"])
        inside("dd if=/dev/zero of=/root/written bs=4096 count=200 conv=fsync && rm /root/written")
        served = (group / "blkio.throttle.io_serviced").read_text()
        bounded = {way: (group / f"blkio.throttle.{way}_iops_device").read_text().split() for way in ("read", "write")}
        device = bounded["read"][0]
        assert bounded == {way: [device, str(flavors.iops)] for way in ("read", "write")}
        assert int(re.findall(rf"^{device} Write (\d+)$", served, re.MULTILINE)[0]) > 0
    else:
        (group,) = Path("/sys/fs/cgroup").glob(f"{_group(inside)}/{inside.ident}")
        assert f"riops={flavors.iops} wiops={flavors.iops}" in (group / "io.max").read_text()


def _group(inside: Inside) -> str:
    return cgroups.group(inside.cloud.layout)


def test_what_no_namespace_divides_is_refused_or_bounded(inside: Inside, limits_program: Path) -> None:
    """Terminals, asynchronous I/O, message queues; and sockets of families that lead past the network namespace."""
    inside.send(limits_program, "/root/limits")
    said = inside("/root/limits").splitlines()
    taken = {name: int(number) for name, number in (line.split() for line in said if not line.startswith("family"))}
    assert taken["files"] <= bounds.CONTAINER_FILES.most
    assert 0 < taken["pty"] <= bounds.CONTAINER_TERMINALS.most
    assert taken["aio"] == 0
    assert taken["queues"] < 256
    # Some are left to the machine, even by a container that mounts terminals of its own.
    total, reserve = (int(Path(f"/proc/sys/kernel/pty/{name}").read_text()) for name in ("max", "reserve"))
    assert taken.get("own-pty", 0) <= total - reserve
    families = {int(line.split()[1]) for line in said if line.startswith("family")}
    assert families == {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET}
    # The same program on this machine: it would be seen if a call came through.
    here = subprocess.run([limits_program, "families"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"family {int(socket.AF_VSOCK)}" in here
    assert "aio 1" in here


def test_the_machines_disks_and_its_command_line_are_hidden(inside: Inside) -> None:
    """Other containers' disks are files behind loop devices, whose names are in /sys."""
    hidden = ("/sys/block", "/sys/class/block", "/sys/dev/block", "/sys/devices/virtual/block")
    for folder in hidden:
        assert inside(f"ls {folder}") == ""
        assert any(Path(folder).iterdir()), "the machine has some"
    assert "disk.ext4" not in inside("cat /sys/block/*/loop/backing_file 2>/dev/null; true")
    assert inside("cat /proc/cmdline") == ""
    assert Path("/proc/cmdline").read_text().strip()


def test_whoever_breaks_out_is_nobody_on_the_machine(inside: Inside, cloud: LiveCloud) -> None:
    """The container's root, taken out of all its namespaces: nothing of the cloud's or of other containers' is his."""
    uid = Path(f"/proc/{inside.first}").stat().st_uid
    assert uid >= 1 << 16
    paths = everything(cloud)
    found = reached(Somebody(uid=uid, gid=uid), paths)
    assert found == reached(NOBODY, paths), "what every user of the machine may see, and no more"
    disks = {path for path in paths if path.startswith(str(cloud.layout.containers) + "/")}
    assert disks & (found.read | found.write | found.list) == set()
    assert disks & reached(Somebody(uid=0, gid=0), paths).read, "root opens them"


def tricks(folder: Path, marker: Path) -> Path:
    """An image like the small one, whose every file that the host writes leads to a file of the machine's."""
    path = folder / "tricks.tar"
    with subprocess.Popen(["zstd", "-dcq", BUILT / f"{CONTAINER.image}.tar.zst"], stdout=subprocess.PIPE) as packed:
        path.write_bytes(packed.stdout.read() if packed.stdout else b"")
    up = "../" * 12
    with tarfile.open(path, "a") as archive:
        for name, target in (
            ("etc/hostname", str(marker)),
            ("etc/hosts", f"{up}{str(marker).lstrip('/')}"),
            ("root/.ssh", str(marker.parent)),
            ("home", "/proc/1/root/root"),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        users = tarfile.TarInfo("etc/passwd")
        lines = ("root:x:0:0::/root:", f"admin:x:0:0::{up}{marker.parent}:", f"bad:x:{'9' * 5000}:0::/:")
        text = "".join(f"{line}\n" for line in lines).encode()
        users.size = len(text)
        archive.addfile(users, io.BytesIO(text))
    return path


@pytest.mark.parametrize("user", ["root", "admin", "bad"])
def test_the_host_follows_no_link_of_an_image_out_of_it(
    inside: Inside, cloud: LiveCloud, key: Path, tmp_path: Path, user: str
) -> None:
    """Name and keys are written into a root that is a stranger's: nothing of the machine's changes by it."""
    marker = tmp_path / "marker"
    marker.write_text("the machine's own\n")
    path = tricks(tmp_path, marker)
    cloud.pileus("image", "add", str(path), "--name", f"tricks-{user}", "--login-user", user)
    before = sorted(found.name for found in tmp_path.iterdir())
    ident = launch(cloud, key, cloud.image(f"tricks-{user}"))
    assert marker.read_text() == "the machine's own\n"
    assert sorted(found.name for found in tmp_path.iterdir()) == before
    assert not (tmp_path / "authorized_keys").exists()
    cloud.ec2.terminate_instances(InstanceIds=[ident])
    cloud.wait(ident, "terminated")
    assert inside.works("true")
