"""Files, a password and a configuration drive that a launch gives to its guest, as the guest sees them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from pileus.model import sha512crypt
from tests.live.cloud import KINDS, Kind, until

if TYPE_CHECKING:
    from tests.live.cloud import LiveCloud

PASSWORD = "correct horse battery"
LARGE = os.urandom(10 << 10)
GUESTS = (
    *((kind, "root") for kind in KINDS),
    (Kind("debian", "debian-12", "m1.small"), "admin"),
    (Kind("debian-container", "debian-12-container", "light"), "admin"),
)
MOUNTED = {
    "container": "cd /config-drive",
    "machine": "mkdir -p /mnt/c; modprobe isofs; mount -r -t iso9660 /dev/disk/by-label/config-2 /mnt/c 2>/dev/null"
    " || mount -r -t iso9660 $(blkid -L config-2 || echo /dev/vdb) /mnt/c; cd /mnt/c",
}
"""Commands that enter the configuration drive."""


@pytest.fixture(scope="module", autouse=True)
def _ssh(cloud: LiveCloud) -> None:
    cloud.open_ssh()


def launch(cloud: LiveCloud, kind: Kind) -> str:
    """Launch one by the REST face, with all that a guest can be given; its id."""
    files = [
        {"path": "/etc/motd", "content": base64.b64encode(b"hello\n").decode()},
        {"path": "/srv/new/deep/secret", "content": "c2VjcmV0", "owner": "sshd", "group": "tty", "mode": "0640"},
        {"path": "/opt/run.sh", "content": base64.b64encode(b"#!/bin/sh\necho ran\n").decode(), "mode": "4755"},
        {"path": "/root/numbers", "content": "", "owner": "1234", "group": "4321", "mode": "0600"},
        *(
            {"path": f"/srv/large-{number}", "content": base64.b64encode(LARGE).decode(), "owner": "root"}
            for number in range(5)
        ),
    ]
    body = {
        "image": kind.image,
        "flavor": kind.flavor,
        "keypair": "test",
        "files": files,
        "password": PASSWORD,
        "metadata": {"colour": "blue"},
        "config_drive": True,
        "user_data": base64.b64encode(b"#!/bin/sh\necho done >/root/user-data-ran\n").decode(),
    }
    url = json.loads((cloud.state / "endpoints.json").read_text())["rest"].rstrip("/")
    url = url if url.endswith("/v1") else f"{url}/v1"
    answer = httpx.post(f"{url}/instances", json=body, headers={"X-Auth-Token": cloud.admin["token"]}, timeout=60)
    assert answer.status_code == 201, answer.text
    shown = answer.json()["instances"][0]
    assert PASSWORD not in answer.text
    assert "$6$" not in answer.text
    assert "files" not in shown["wanted"]
    return str(shown["id"])


@pytest.mark.parametrize(("kind", "user"), GUESTS, ids=lambda value: getattr(value, "name", ""))
def test_a_guest_has_what_its_launch_gave_it(cloud: LiveCloud, key: Path, kind: Kind, user: str) -> None:
    ident = launch(cloud, kind)

    def run(command: str) -> str:
        quoted = command.replace("'", "'\\''")
        words = command if user == "root" else f"sudo sh -c '{quoted}'"
        return cloud.ssh(ident, key, words, user=user, seconds=240)

    assert run("cat /etc/motd") == "hello"
    assert run("cat /srv/new/deep/secret; stat -c ' %U %G %a' /srv/new/deep/secret") == "secret sshd tty 640"
    assert run("stat -c '%u %g %a' /opt/run.sh /root/numbers; /opt/run.sh").split("\n") == [
        *("0 0 4755", "1234 4321 600", "ran"),
    ]
    expected = [f"{sum_of(LARGE)}  /srv/large-{number}" for number in range(5)]
    assert run("sha256sum /srv/large-*").split("\n") == expected
    entered = run("grep ^root: /etc/shadow").split(":")[1]
    assert entered == sha512crypt.hashed(PASSWORD, entered.split("$")[2])
    assert run("stat -c '%u %g' /etc/shadow").startswith("0 ")
    check_drive(run, "container" if "container" in kind.image else "machine")
    if user == "root":
        # cloud-init comes to it minutes later, where the processor is emulated.
        until("user data", lambda: run("cat /root/user-data-ran 2>/dev/null || true") == "done", 60)
    cloud.ec2.terminate_instances(InstanceIds=[ident])
    cloud.wait(ident, "terminated")


def sum_of(data: bytes) -> str:
    """The SHA-256 of these bytes."""
    return hashlib.sha256(data).hexdigest()


def check_drive(run: Any, kind: str) -> None:
    """The configuration drive has OpenStack's documents, and the files' content."""
    enter = MOUNTED[kind]
    document = json.loads(run(f"{enter}; cat openstack/latest/meta_data.json"))
    assert (document["meta"], document["keys"][0]["name"]) == ({"colour": "blue"}, "test")
    assert next(file["path"] for file in document["files"]) == "/etc/motd"
    assert run(f"{enter}; cat openstack/content/0000") == "hello"
    assert run(f"{enter}; sha256sum openstack/content/0004").split()[0] == sum_of(LARGE)
    assert run(f"{enter}; head -1 openstack/latest/user_data") == "#!/bin/sh"
    vendor = json.loads(run(f"{enter}; cat openstack/latest/vendor_data.json"))
    assert "write_files" in vendor["cloud-init"]
    assert "eth0" in run(f"{enter}; cat openstack/latest/network_data.json")
    assert run(f"{enter}; touch new 2>/dev/null || echo refused") == "refused"
