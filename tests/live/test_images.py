"""The guest images: built from packages, booted under emulation, reached over ssh as EC2's metadata says."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pileus.providers.local.container.bases import Bases
from pileus.providers.local.engine.root import parse_version
from pileus.providers.local.images import BUILDERS, build
from pileus.providers.local.images.archive import parse_mirrors
from pileus.providers.local.images.disk import partition_table
from pileus.providers.local.images.programs import needed_libraries
from pileus.providers.local.images.tiny import needed_modules
from tests.live.cloud import until
from tests.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.providers.local.images import ImageName
    from tests.live.cloud import LiveCloud

NETWORK = "user,id=nic,restrict=on,net=169.254.169.0/24,host=169.254.169.2,dhcpstart=169.254.169.15"
SMBIOS_ID = "ec2f0000-0000-4000-8000-000000000001"
TOKEN = "a-token"
SCRIPT = "#!/bin/bash\necho run >> /var/lib/runs\necho user-data says so\n"

# QEMU's user network hands a connection to a program's standard input and output; this one passes it on.
RELAY = """
import os, select, socket, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sources = [0, peer.fileno()]
while True:
    for source in select.select(sources, [], [])[0]:
        data = os.read(source, 65536)
        if data:
            os.write(1 if source else peer.fileno(), data)
        elif source:
            sys.exit()
        else:
            sources.remove(0)
            peer.shutdown(socket.SHUT_WR)
"""


class Metadata(http.server.BaseHTTPRequestHandler):
    """EC2's metadata, only for those who bring a token."""

    def __init__(self, tree: dict[str, str], *arguments: object) -> None:
        self.tree = tree
        super().__init__(*arguments)  # type: ignore[arg-type]

    def answer(self, status: int, text: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PUT(self) -> None:
        self.answer(200 if self.path == "/latest/api/token" else 404, TOKEN)

    def do_GET(self) -> None:
        path = self.path.lstrip("/").partition("/")[2]
        if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
            self.answer(401)
        else:
            self.answer(200 if path in self.tree else 404, self.tree.get(path, ""))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
        pass


def tree(instance_id: str, public_key: str) -> dict[str, str]:
    """The part of the metadata tree that both images ask for."""
    identity = {"region": "us-east-1", "availabilityZone": "us-east-1a", "instanceId": instance_id}
    return {
        "meta-data/": "instance-id\nlocal-hostname\npublic-keys/",
        "meta-data/instance-id": instance_id,
        "meta-data/local-hostname": "ip-10-0-0-5.ec2.internal",
        "meta-data/public-keys/": "0=test",
        "meta-data/public-keys/0/": "openssh-key",
        "meta-data/public-keys/0/openssh-key": public_key,
        "dynamic/instance-identity": "document",
        "dynamic/instance-identity/document": json.dumps(identity),
        "user-data": SCRIPT,
    }


@dataclass
class Guest:
    """A disk with a key that opens it; `boot` runs it as the instance that `instance_id` names."""

    disk: Path
    user: str
    memory_mib: int
    folder: Path
    instance_id: str = "i-0123456789abcdef0"
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def console(self) -> str:
        return (self.folder / "console").read_text(errors="replace")

    @contextlib.contextmanager
    def boot(self) -> Iterator[Guest]:
        self.port = free_port()
        public_key = (self.folder / "key.pub").read_text()
        handler = partial(Metadata, tree(self.instance_id, public_key))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.process = subprocess.Popen(self.command(server.server_port))
            try:
                yield self
            finally:
                self.process.kill()
                self.process.wait()
                server.shutdown()

    def command(self, metadata_port: int) -> list[str]:
        relay = self.folder / "relay.py"
        relay.write_text(RELAY)
        network = (
            f"{NETWORK},hostfwd=tcp:127.0.0.1:{self.port}-:22,"
            f"guestfwd=tcp:169.254.169.254:80-cmd:{sys.executable} -IS {relay} {metadata_port}"
        )
        return [
            *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"),
            *("-m", str(self.memory_mib), "-smp", "1", "-nodefaults", "-display", "none"),
            *("-smbios", f"type=1,serial={SMBIOS_ID}", "-uuid", SMBIOS_ID),
            *("-drive", f"file={self.disk},if=virtio", "-serial", f"file:{self.folder / 'console'}"),
            *("-netdev", network, "-device", "virtio-net-pci,netdev=nic,mac=02:00:00:00:00:05"),
        ]

    def run(self, command: str) -> str:
        """Run `command` over ssh once the guest lets us in; return what it prints."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "ConnectTimeout=60"]
        words = ["ssh", "-q", "-i", str(self.folder / "key"), "-p", str(self.port)]
        words += [word for option in options for word in ("-o", option)]
        while True:
            done = subprocess.run(
                [*words, f"{self.user}@127.0.0.1", command], check=False, capture_output=True, text=True
            )
            if done.returncode != 255:
                assert done.returncode == 0, f"{command}: {done.stderr}"
                return done.stdout
            assert self.process is not None
            assert self.process.poll() is None, self.console
            time.sleep(0.5)


@pytest.fixture
def guest(request: pytest.FixtureRequest, tmp_path: Path) -> Guest:
    """A new disk from a freshly built image, larger than it."""
    name: ImageName = request.param
    image = build(name, tmp_path, print)
    described = json.loads((tmp_path / f"{name}.json").read_text())
    assert described["sha256"] == hashlib.sha256(image.read_bytes()).hexdigest()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.json", f"{name}.qcow2"]
    disk = tmp_path / "disk.qcow2"
    backing = ["-b", str(image), "-F", "qcow2"]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(disk), "4G"], check=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    recipe = BUILDERS[name].recipe
    return Guest(disk, recipe.login_user, recipe.min_memory_mib, tmp_path)


@pytest.mark.parametrize(
    "guest",
    [pytest.param("tiny", marks=pytest.mark.cost(40)), pytest.param("debian-12", marks=pytest.mark.cost(180))],
    indirect=True,
)
def test_image_is_what_its_metadata_says_once_per_instance(guest: Guest) -> None:
    identity = "hostname; cat /etc/*/*ed25519* | md5sum; cat /var/lib/runs"
    wait = "until test -s /var/lib/runs; do sleep 0.2; done; "
    with guest.boot():
        began = time.monotonic()
        assert "cloud-amd64" in guest.run("uname -a; cat /etc/os-release")
        print(f"{guest.disk.parent}: ssh after {time.monotonic() - began:.1f} s")
        first = guest.run(wait + identity)
        assert first.split()[0] == "ip-10-0-0-5"
        assert first.splitlines()[2:] == ["run"]
        size = "df -m / | awk 'NR == 2 {print $2}'"
        guest.run(f"until test $({size}) -gt 3500; do sleep 0.5; done")
        guest.run("sync")
        while "END SSH HOST KEY KEYS" not in guest.console or "user-data says so" not in guest.console:
            time.sleep(0.5)
    with guest.boot():
        assert guest.run(wait + identity) == first
    guest.instance_id = "i-0fedcba9876543210"
    with guest.boot():
        guest.run("until test $(wc -l < /var/lib/runs) = 2; do sleep 0.2; done")
        assert guest.run(identity).splitlines()[1] != first.splitlines()[1]


@pytest.mark.parametrize(
    ("name", "user", "first"),
    [
        pytest.param("tiny-container", "root", "busybox", marks=pytest.mark.cost(40)),
        pytest.param("debian-12-container", "admin", "systemd", marks=pytest.mark.cost(240)),
    ],
)
def test_a_containers_image_is_the_same_bytes_each_time_and_nobodys(
    tmp_path: Path, name: ImageName, user: str, first: str
) -> None:
    image, again = (build(name, tmp_path / folder, print) for folder in ("one", "two"))
    assert image.read_bytes() == again.read_bytes()
    about = json.loads((image.parent / f"{name}.json").read_text())
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    assert (about["sha256"], about["format"], about["login_user"]) == (digest, "tar", user)

    def fetch(_digest: str, target: Path) -> None:
        shutil.copy(image, target)

    root = Bases(tmp_path / "bases", fetch).path(digest)
    assert (root / "sbin/init").readlink().name == first
    assert list(root.glob("etc/ssh/ssh_host_*")) + list(root.glob("etc/dropbear/*key*")) == []
    assert not (root / "etc/machine-id").exists() or (root / "etc/machine-id").read_text() == ""
    assert list(root.joinpath("dev").iterdir()) == []
    # Nobody's keys, and nobody's password.
    assert {line.split(":")[1][:1] for line in (root / "etc/shadow").read_text().splitlines()} <= {"*", "!"}
    assert [path for path in root.glob("home/*/.ssh/authorized_keys") if path.read_text()] == []


@pytest.mark.cost(60)
def test_debian_in_a_container_is_who_its_cloud_says(cloud: LiveCloud, key: Path) -> None:
    """Name, keys, names of others, user data of both sorts; host keys that no other has, and that it keeps."""
    cloud.open_ssh()
    script, config = "#!/bin/sh\necho script >/root/ran\n", "#cloud-config\nruncmd: [echo config >/root/ran]\n"
    launched = [
        cloud.ec2.run_instances(
            ImageId=cloud.image("debian-12-container"),
            InstanceType="basic",
            MinCount=1,
            MaxCount=1,
            KeyName="test",
            UserData=data,
        )["Instances"][0]["InstanceId"]
        for data in ("", script, config)
    ]

    def said(ident: str, command: str) -> str:
        return cloud.ssh(ident, key, command, user="admin")

    for ident in launched:
        name = cloud.instance(ident)["PrivateDnsName"].partition(".")[0]
        assert said(ident, "hostname; sudo id -u").split() == [name, "0"]
    for ident, ran in zip(launched[1:], ("script", "config"), strict=True):
        wait = "for _ in $(seq 100); do sudo test -s /root/ran && break; sleep 0.5; done; sudo cat /root/ran"
        assert said(ident, wait) == ran
    until("all of it is up", lambda: said(launched[0], "systemctl is-system-running; true") == "running")
    assert said(launched[0], "cat /etc/resolv.conf").startswith(("search", "nameserver"))
    keys = [said(ident, "cat /etc/ssh/ssh_host_ed25519_key.pub /etc/machine-id") for ident in launched]
    assert len(set(keys)) == 3
    said(launched[0], "sudo touch /run/before")
    cloud.ec2.reboot_instances(InstanceIds=[launched[0]])
    until("it starts anew", lambda: said(launched[0], "test -e /run/before || echo anew") == "anew")
    assert said(launched[0], "cat /etc/ssh/ssh_host_ed25519_key.pub /etc/machine-id") == keys[0]
    cloud.ec2.terminate_instances(InstanceIds=launched)


def test_mirrors_are_debians_and_no_other_archive() -> None:
    lines = [
        "||https://packages.example/apt|bookworm|main",
        "Docker|Docker CE|https://docker.example/linux/debian/|bookworm|main",
        "Debian|Debian|http://mirror.example/debian/|bookworm-backports|main",
        "Debian|Debian|http://mirror.example/debian/|bookworm|main",
        "Debian|Debian-Security|http://mirror.example/security/|bookworm-security|main",
    ]
    assert parse_mirrors("\n".join(lines)) == ("http://mirror.example/debian/", "http://mirror.example/security/")
    assert parse_mirrors("||http://new.example/debian/|trixie|main") == ("http://new.example/debian/", None)
    assert parse_mirrors("") == (None, None)


def test_partition_table_has_one_bootable_partition_to_the_end() -> None:
    table = partition_table(1 << 30, 0x01020304)
    assert len(table) == 512
    assert table[440:444] == bytes([4, 3, 2, 1])
    assert table[446] == 0x80
    assert int.from_bytes(table[454:458], "little") == 2048
    assert int.from_bytes(table[458:462], "little") == (1 << 21) - 2048
    assert table[462:510] == bytes(48)
    assert table[510:] == b"\x55\xaa"


def test_modules_libraries_and_versions_are_read_from_what_tools_print() -> None:
    dep = "k/virtio-rng.ko: k/virtio.ko\nk/virtio.ko:\nk/other.ko: k/virtio.ko"
    assert needed_modules(dep, ["virtio_rng", "built_in"]) == {"k/virtio-rng.ko", "k/virtio.ko"}
    assert needed_libraries("  NEEDED               libc.so.6\n  SONAME x\n") == ["libc.so.6"]
    assert parse_version("ovn-controller 25.03.0\nOpen vSwitch Library 3.5.0") == (25, 3, 0)
    assert parse_version("no version") == ()
