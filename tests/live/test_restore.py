"""Boot by restore: copies of a template share nothing that tells guests apart, and every crash ends in one guest."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pytest

from pileus.host.book import BookEntry
from pileus.model.errors import Fault
from pileus.model.spec import InstanceSpec
from pileus.providers.local.engine import chassis
from pileus.providers.local.images import hook
from pileus.providers.local.layout import SHARED, Layout
from pileus.providers.local.machine import daemon, kvm
from pileus.providers.local.machine.provider import MachineProvider
from pileus.providers.local.machine.restore import clone, identity, launch
from pileus.providers.local.machine.restore.template import ABOUT, Templates
from pileus.providers.local.machine.wire import TapWire
from tests.live.cloud import LiveCloud, running, until
from tests.live.daemons import purge_engine, purge_libvirtd
from tests.live.test_machine import Body
from tests.providers.local.machine import specs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

UUIDS = iter(f"{number:08x}-2222-4222-8333-444455556666" for number in range(0xA1000001, 0xA1000100))
LIMIT = 4 << 30
NONCE = "nobody-else-may-know"

ASKED = {
    "hostname": "hostname",
    "address": "cat /sys/class/net/eth0/address",
    "uuid": "cat /sys/class/dmi/id/product_uuid",
    "serial": "cat /sys/class/dmi/id/product_serial",
    "boot id": "cat /proc/sys/kernel/random/boot_id",
    "device": "head -c 64 /dev/urandom | od -An -v -tx1 | tr -d ' \\n'; echo",
    "kernel": "cat /proc/sys/kernel/random/uuid",
    "call": "mktemp -u XXXXXXXXXXXXXXXX",
    "user data": "cat /root/nonce",
    "time": "date +%s",
}
"""What a guest is asked, by what no two may answer alike; the last one is the exception."""


@dataclass(frozen=True)
class Kind:
    """An image, the flavor and user it goes with, and what its guests are `asked`."""

    image: str
    flavor: str
    user: str
    asked: Mapping[str, str]


TINY = Kind(
    image="tiny",
    flavor="m1.tiny",
    user="root",
    asked={
        "instance id": "cat /var/lib/tiny/instance-id",
        "host key": "dropbearkey -y -f /etc/dropbear/dropbear_ed25519_host_key | grep ^ssh-",
        **ASKED,
    },
)
DEBIAN = Kind(
    image="debian-12",
    flavor="m1.small",
    user="admin",
    asked={
        "instance id": "cat /var/lib/cloud/data/instance-id",
        "host key": "cat /etc/ssh/ssh_host_ed25519_key.pub",
        "other host key": "cat /etc/ssh/ssh_host_ecdsa_key.pub",
        "machine id": "cat /etc/machine-id",
        "journal": "ls /run/log/journal /var/log/journal 2>/dev/null | grep -E '^[0-9a-f]{32}$' | sort -u",
        **ASKED,
    },
)


def copied(cloud: LiveCloud, ident: str) -> bool:
    """Whether a guest runs on a template's memory."""
    command = ["virsh", "-c", cloud.layout.libvirt_uri, "dumpxml", ident]
    return "memory-backend-file" in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def launch_one(cloud: LiveCloud, kind: Kind, number: int) -> str:
    """An instance that writes down its number."""
    launched = cloud.ec2.run_instances(
        ImageId=cloud.image(kind.image),
        InstanceType=kind.flavor,
        MinCount=1,
        MaxCount=1,
        KeyName="test",
        UserData=f"#!/bin/sh\necho {NONCE}-{number} >/root/nonce\n",
    )
    ident: str = launched["Instances"][0]["InstanceId"]
    return ident


def answers(cloud: LiveCloud, kind: Kind, key: Path, ident: str) -> dict[str, str]:
    """What the guest says to all that it is asked, once its user data has run."""
    words = "until [ -s /root/nonce ]; do sleep 0.2; done; " + "; ".join(kind.asked.values())
    if kind.user != "root":
        words = f"sudo -n sh -c {shlex.quote(words)}"
    return dict(zip(kind.asked, cloud.ssh(ident, key, words, user=kind.user).splitlines(), strict=True))


@pytest.fixture(scope="module")
def cloud() -> Iterator[LiveCloud]:
    """A cloud that restores, with ssh let in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PILEUS_BOOT_RESTORE", "1")
        with running() as found:
            group = found.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
            found.ec2.authorize_security_group_ingress(
                GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="127.0.0.0/8"
            )
            yield found


def source_of(cloud: LiveCloud, kind: Kind) -> Path:
    """The template that guests of this kind are copied from; it is there, made now or before, by whatever cloud."""
    first = launch_one(cloud, kind, 0)
    cloud.wait(first, "running")
    held = []
    for path in cloud.state.glob("host/orders/*.json"):
        # Those of an earlier test's guests go with them.
        with contextlib.suppress(FileNotFoundError):
            held.append(msgspec.json.decode(path.read_bytes(), type=BookEntry).spec)
    (spec,) = [each for each in held if isinstance(each, InstanceSpec) and each.ec2_id == first]
    version = json.loads((SHARED / "images" / f"{kind.image}.json").read_text())["hook"]
    key = launch.key_of(spec, version, kvm.accelerator(), launch.emulator())
    assert key is not None
    until("template", (SHARED / "templates" / key / ABOUT).exists, 600)
    cloud.ec2.terminate_instances(InstanceIds=[first])
    return SHARED / "templates" / key


def strangers(cloud: LiveCloud, kind: Kind, key: Path, count: int) -> dict[str, dict[str, str]]:
    """Copies by their ids, and what they answered: nothing that another one or their template has."""
    source = source_of(cloud, kind)
    idents = [launch_one(cloud, kind, number) for number in range(1, count + 1)]
    for ident in idents:
        cloud.wait(ident, "running")
        assert copied(cloud, ident)
    said = {}
    for ident in idents:
        asked = time.time()
        said[ident] = answers(cloud, kind, key, ident)
        assert asked - 60 < int(said[ident]["time"]) < time.time() + 60
    for what in kind.asked.keys() - {"time"}:
        assert len({each[what] for each in said.values()}) == len(idents), f"two have the same {what}"
    for number, (ident, each) in enumerate(said.items(), start=1):
        shown = cloud.instance(ident)
        assert each["instance id"] == ident
        assert each["user data"] == f"{NONCE}-{number}"
        assert each["address"] == shown["NetworkInterfaces"][0]["MacAddress"]
        assert each["hostname"] == shown["PrivateDnsName"].partition(".")[0]
        assert each["uuid"] == each["serial"]
        assert each["uuid"].replace("-", "")[3:17] == ident[5:]
    memory, disk = (source / "ram").read_bytes(), (source / "disk").read_bytes()
    page = identity.waiting_page(memory)
    assert hook.read_page(memory[page : page + identity.PAGE])[1] not in {each["boot id"] for each in said.values()}
    assert [word for each in said.values() for word in drawn(each) if word in memory or word in disk] == []
    return said


def drawn(said: Mapping[str, str]) -> list[bytes]:
    """What a guest has by chance alone, or from its owner, in the forms in which memory would hold it."""
    numbers = [bytes.fromhex(said["device"])[at : at + 16] for at in range(0, 64, 16)]
    numbers += [UUID(said[what]).bytes for what in ("kernel", "boot id")]
    keys = [text.split()[1].encode() for what, text in said.items() if what.endswith("host key")]
    return [NONCE.encode(), said["call"].encode(), said["boot id"].encode(), *numbers, *keys]


@pytest.mark.cost(150)
def test_copies_are_strangers_to_each_other_and_to_their_template(cloud: LiveCloud, key: Path) -> None:
    said = strangers(cloud, TINY, key, 3)
    idents = list(said)

    # From here on it is a guest like any other: its next start is a boot of its own disk.
    ident = idents[0]
    cloud.ec2.stop_instances(InstanceIds=[ident])
    cloud.wait(ident, "stopped")
    cloud.ec2.start_instances(InstanceIds=[ident])
    cloud.wait(ident, "running")
    assert not copied(cloud, ident)
    again = answers(cloud, TINY, key, ident)
    kept = ("hostname", "address", "uuid", "serial", "instance id", "host key", "user data")
    assert {what: again[what] for what in kept} == {what: said[ident][what] for what in kept}
    assert again["boot id"] != said[ident]["boot id"]

    # And a copy that reboots, on the same memory, stays who it is.
    ident = idents[1]
    cloud.ssh(ident, key, "(sleep 1; reboot) </dev/null >/dev/null 2>&1 &")
    boot = TINY.asked["boot id"]
    until("rebooted", lambda: cloud.ssh(ident, key, boot) not in ("", said[ident]["boot id"]))
    again = answers(cloud, TINY, key, ident)
    assert {what: again[what] for what in kept} == {what: said[ident][what] for what in kept}
    cloud.ec2.terminate_instances(InstanceIds=idents)


@pytest.mark.cost(240)
def test_copies_of_debian_are_strangers_and_cloud_init_makes_them_who_they_are(cloud: LiveCloud, key: Path) -> None:
    said = strangers(cloud, DEBIAN, key, 2)
    for each in said.values():
        assert each["machine id"] == each["journal"] == each["uuid"].replace("-", "")
    for ident in said:
        follows_its_first_login(cloud, key, ident)
    one, other = said
    keeps_its_host_keys(cloud, key, other)
    raises_its_own_interfaces(cloud, key, one)
    cloud.ec2.terminate_instances(InstanceIds=list(said))


def follows_its_first_login(cloud: LiveCloud, key: Path, ident: str) -> None:
    """What a first login does not wait for is there after it: dhclient keeps the address, and all services go on."""
    wait = "systemctl is-system-running --wait"
    ask = (
        "pgrep -x dhclient | wc -l; ip -4 -o address show dev eth0 dynamic; ip route show default; systemctl is-active"
    )
    services = ("systemd-journald", "dbus", "systemd-logind", "ssh", "networking", "pileus-lease", "cloud-init")
    state, count, address, route, *active = cloud.ssh(
        ident, key, f"{wait}; {ask} {' '.join(services)}", user=DEBIAN.user
    ).splitlines()
    assert (state, count, active) == ("running", "1", ["active"] * len(services))
    shown = cloud.instance(ident)["PrivateIpAddress"]
    assert f" {shown}/" in address
    assert "dev eth0" in route
    assert "File exists" not in cloud.ssh(ident, key, "sudo journalctl -b -u pileus-lease", user=DEBIAN.user)


def raises_its_own_interfaces(cloud: LiveCloud, key: Path, ident: str) -> None:
    """What an administrator says of the interfaces is done at the next boot, before ssh."""
    said = "/^iface eth0/a \\    up touch /run/raised"
    cloud.ssh(ident, key, f"sudo sed -i {shlex.quote(said)} /etc/network/interfaces", user=DEBIAN.user)
    cloud.ssh(ident, key, "(sleep 1; sudo reboot) </dev/null >/dev/null 2>&1 &", user=DEBIAN.user)
    raised = "test -e /run/raised && pgrep -x dhclient | wc -l; test ! -e /run/pileus/leased && echo ifup"
    until("own interfaces", lambda: cloud.ssh(ident, key, raised, user=DEBIAN.user).split() == ["1", "ifup"])


def keeps_its_host_keys(cloud: LiveCloud, key: Path, ident: str) -> None:
    """Also when its first boot ends before cloud-init comes to host keys, and makes others if it is not told."""
    shown = f"{DEBIAN.asked['host key']}; {DEBIAN.asked['other host key']}"
    before = cloud.ssh(ident, key, shown, user=DEBIAN.user)
    turn = "/var/lib/cloud/instance/sem/config_ssh"
    away = f"sudo rm {turn}; (sleep 1; sudo reboot) </dev/null >/dev/null 2>&1 &"
    cloud.ssh(ident, key, away, user=DEBIAN.user)
    asked = f"test -e {turn} || exit; {shown}"
    after = until("cloud-init's turn", lambda: cloud.ssh(ident, key, asked, user=DEBIAN.user))
    assert after == before != ""


# -- one machine, without a cloud around it ----------------------------------------------------------------------------


class Crash(BaseException):
    """The end of the host process, as far as the code that runs can tell."""


class Own(Layout):
    """A cloud whose templates are its own."""

    @property
    def templates(self) -> Path:
        return self.state / "templates"


@pytest.fixture(scope="module")
def layout() -> Iterator[Layout]:
    """A cloud's namespace, switch and libvirtd, and a template for the specs of `body`."""
    with tempfile.TemporaryDirectory(prefix="pileus-live-") as folder, pytest.MonkeyPatch.context() as patch:
        found = Own(Path(folder) / "s")
        found.state.mkdir()
        chassis.up(found)
        try:
            daemon.up(found)
            make_template(found)
            # From here on none is made but where a test asks for it: whether one is there is for the tests to say.
            patch.setattr(launch, "QUIET", 3600.0)
            yield found
        finally:
            daemon.end_guests(found)
            purge_libvirtd(found)
            purge_engine(found)


def make_template(layout: Layout) -> None:
    """Have one made at once, for a machine that is removed again."""
    with pytest.MonkeyPatch.context() as patch, providing(layout) as provider:
        patch.setattr(launch, "QUIET", 0.0)
        first = tiny(layout, provider)
        first.ensure("running")
        until("template", lambda: templates(layout), 300)
        provider.remove(first.ref)
        assert first.spec.uuid not in {seen.uuid for seen in provider.scan()}


@contextlib.contextmanager
def providing(layout: Layout) -> Iterator[MachineProvider]:
    """A provider that restores; its image is the one built here."""

    def fetch(digest: str, target: Path) -> None:
        shutil.copyfile(SHARED / "images" / "tiny.qcow2", target)

    provider = MachineProvider(layout, fetch, TapWire(layout), LIMIT)
    try:
        yield provider
    finally:
        provider.close()


def tiny(layout: Layout, provider: MachineProvider) -> Body:
    """A new tiny machine without a NIC."""
    uuid = next(UUIDS)
    digest = json.loads((SHARED / "images" / "tiny.json").read_text())["sha256"]
    disk = specs.disk(digest, uuid=uuid.replace("a1", "d1", 1))
    spec = specs.instance(uuid=uuid, ec2_id=f"i-{uuid.replace('-', '')[:17]}", disks=(disk,))
    return Body(layout, provider, spec)


def templates(layout: Layout) -> list[Path]:
    """All that are whole."""
    return list(layout.templates.glob(f"[!.]*/{ABOUT}"))


@pytest.fixture
def template(layout: Layout) -> Iterator[Path]:
    """The template, to be lost or damaged; it is put back for the tests that follow."""
    (found,) = templates(layout)
    folder, aside = found.parent, layout.state / "aside"
    shutil.copytree(folder, aside, copy_function=os.link)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)


def emulators(body: Body) -> list[str]:
    """The QEMU processes of a machine."""
    said = subprocess.run(["pgrep", "-f", f"guest={body.spec.ec2_id},"], capture_output=True, text=True, check=False)
    return said.stdout.split()


@pytest.fixture
def body(layout: Layout) -> Iterator[Body]:
    """A machine that can be restored; it is removed."""
    assert templates(layout), "the template was lost"
    with providing(layout) as provider:
        found = tiny(layout, provider)
        yield found
        found.provider.remove(found.ref)
        assert not (layout.instances / found.spec.uuid).exists()


def settled(body: Body, *, restored: bool) -> None:
    """It runs, once, and no trace of how it came to that is left."""
    until("running", lambda: not body.off())
    body.wait_ready()
    assert len(emulators(body)) == 1
    assert ("memory-backend-file" in body.domain().XMLDesc()) == restored
    assert {path.name for path in (body.layout.instances / body.spec.uuid).iterdir()} <= {
        *("disk.qcow2", "console.log", "tty.sock", "agent.sock", "vnc.sock")
    }


@pytest.mark.cost(20)
@pytest.mark.parametrize(("where", "restored"), [("load", False), ("become", False), ("_settle", False), ("run", True)])
def test_a_host_that_dies_leaves_one_guest(
    layout: Layout,
    body: Body,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    restored: bool,  # noqa: FBT001
) -> None:
    whose = launch.Restores if where == "_settle" else clone.Clone
    original: Callable[..., Any] = getattr(whose, where)

    def dies(*arguments: Any) -> None:
        if where == "load":
            original(*arguments)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(whose, where, dies)
        with pytest.raises(Crash):
            body.ensure("running")
    body.provider.close()
    with providing(layout) as body.provider:
        settled(body, restored=restored)
        body.provider.remove(body.ref)


@pytest.mark.cost(20)
def test_a_libvirtd_that_dies_leaves_one_guest(layout: Layout, body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: Any) -> None:
        found = daemon.pid(layout)
        assert found is not None
        os.kill(found, signal.SIGKILL)
        raise OSError("libvirtd died")

    with monkeypatch.context() as patch:
        patch.setattr(clone.Clone, "become", dies)
        with contextlib.suppress(Fault, OSError):
            body.ensure("running")
    daemon.up(layout)
    settled(body, restored=False)


@pytest.mark.cost(20)
def test_a_copy_that_does_not_go_on_is_booted(
    template: Path, body: Body, monkeypatch: pytest.MonkeyPatch, layout: Layout
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(clone.Clone, "become", lambda _: None)
        patch.setattr(clone, "TAKE", 1.0)
        body.ensure("running")
    settled(body, restored=False)
    assert templates(layout) == []


@pytest.mark.cost(20)
def test_a_copy_is_a_guest_like_any_other(body: Body) -> None:
    body.ensure("running")
    settled(body, restored=True)
    body.end_qemu(signal.SIGKILL)
    until("running again", lambda: not body.off())
    body.wait_ready(2)
    assert "memory-backend-file" not in body.domain().XMLDesc()
    body.ensure("stopped")
    until("off", body.off)


@pytest.mark.cost(30)
def test_a_damaged_template_is_not_used_and_a_sound_one_takes_its_place(
    template: Path, body: Body, layout: Layout
) -> None:
    whole = (template / "state").read_bytes()
    (template / "state").unlink()  # which is the kept one's too
    (template / "state").write_bytes(whole[:-1])
    body.ensure("running")
    settled(body, restored=False)
    assert not template.exists()
    make_template(layout)
    assert Templates(layout.templates, LIMIT).find(template.name) is not None
    with providing(layout) as provider:
        copy = tiny(layout, provider)
        copy.ensure("running")
        settled(copy, restored=True)
        provider.remove(copy.ref)
