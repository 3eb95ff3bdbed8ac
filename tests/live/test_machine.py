"""Real guests under a libvirtd of their own: made, stopped, killed, lost and removed, each as the provider promises."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt
import libvirt_qemu
import msgspec
import pytest

from pileus.model.allowance import Allowance
from pileus.model.errors import Fault
from pileus.model.provider import BodyRef, SeenBody
from pileus.model.spec import ImageSpec
from pileus.providers.local import stopping
from pileus.providers.local.capture.folders import CaptureFolders
from pileus.providers.local.capture.provider import CaptureProvider, Locks
from pileus.providers.local.container import veth
from pileus.providers.local.engine import chassis, switch
from pileus.providers.local.layout import SHARED, Layout
from pileus.providers.local.machine import cgroups, daemon
from pileus.providers.local.machine import provider as machine_provider
from pileus.providers.local.machine.domain import domain_uuid
from pileus.providers.local.machine.provider import MachineProvider
from pileus.providers.local.machine.wire import TapWire
from tests.live.cloud import under, until
from tests.live.daemons import packet_rate, purge_engine, purge_libvirtd
from tests.providers.local.machine import specs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pileus.model.instance import PowerState
    from pileus.model.spec import InstanceSpec

TINY = SHARED / "images" / "tiny.qcow2"
UUIDS = iter(f"{number:08x}-1111-4222-8333-444455556666" for number in range(0xA0000001, 0xA0000100))


@dataclass
class Body:
    """One instance under test."""

    layout: Layout
    provider: MachineProvider
    spec: InstanceSpec
    revision: int = 1
    reports: list[BodyRef] = field(default_factory=list)

    @property
    def ref(self) -> BodyRef:
        """It, in an order newer than all others."""
        return BodyRef(kind="instance", uuid=self.spec.uuid, revision=(1, 1000))

    def ensure(self, state: PowerState, **changes: Any) -> None:
        """Order it anew."""
        self.revision += 1
        power = msgspec.structs.replace(self.spec.power, state=state)
        self.spec = msgspec.structs.replace(self.spec, revision=(1, self.revision), power=power, **changes)
        self.provider.ensure(self.spec)

    def seen(self) -> SeenBody:
        """What the provider sees; it is there."""
        seen = self.provider.observe(self.ref)
        assert seen is not None
        return seen

    def wait(self, what: str, fits: Callable[[SeenBody], bool]) -> SeenBody:
        """Wait for the provider to see it so."""
        return until(what, lambda: self.seen() if fits(self.seen()) else None)  # type: ignore[no-any-return]

    def console(self) -> str:
        """All it ever said."""
        path = self.provider.console_log(self.spec.uuid)
        return path.read_text(errors="replace") if path.exists() else ""

    def off(self) -> bool:
        """Order it again as it was ordered last, and say whether it is off now."""
        self.provider.ensure(self.spec)
        return not self.seen().running

    def answered(self) -> bool:
        """Whether the provider can see it at all."""
        with contextlib.suppress(Fault):
            return self.provider.observe(self.ref) is not None
        return False

    def wait_ready(self, times: int = 1) -> None:
        """Wait until it was ready for the so-manieth time."""
        until(f"boot {times}", lambda: self.console().count("tiny READY") >= times)

    def pid(self) -> int:
        """Its QEMU."""
        return int((self.layout.libvirt / "run" / "qemu" / f"{self.spec.ec2_id}.pid").read_text())

    def domain(self) -> Any:
        """Its domain, past the provider."""
        return libvirt.open(self.layout.libvirt_uri).lookupByName(self.spec.ec2_id)

    def end_qemu(self, number: signal.Signals) -> None:
        """Send a signal to its QEMU and see the provider notice."""
        assert self.seen().running
        os.kill(self.pid(), number)
        self.wait("QEMU gone", lambda seen: not seen.running)


@pytest.fixture(scope="module")
def layout() -> Iterator[Layout]:
    """A cloud's namespace, switch and libvirtd, and nothing else of a cloud."""
    with tempfile.TemporaryDirectory(prefix="pileus-live-") as folder:
        found = Layout(Path(folder) / "s")
        found.state.mkdir()
        chassis.up(found)
        try:
            daemon.up(found)
            yield found
        finally:
            daemon.end_guests(found)
            purge_libvirtd(found)
            purge_engine(found)


@pytest.fixture
def provider(layout: Layout) -> Iterator[MachineProvider]:
    """A provider that finds the tiny image."""

    def fetch(digest: str, target: Path) -> None:
        shutil.copyfile(TINY, target)

    found = MachineProvider(layout, fetch, TapWire(layout))
    yield found
    found.close()


@pytest.fixture
def body(layout: Layout, provider: MachineProvider) -> Iterator[Body]:
    """The spec of a tiny instance without a NIC; whatever the test makes of it is removed."""
    uuid = next(UUIDS)
    digest = json.loads(TINY.with_suffix(".json").read_text())["sha256"]
    disk = specs.disk(digest, uuid=f"d{uuid[1:]}")
    spec = specs.instance(uuid=uuid, ec2_id=f"i-{uuid.replace('-', '')[:17]}", disks=(disk,))
    found = Body(layout, provider, spec)
    yield found
    daemon.up(layout)
    provider.remove(found.ref)


def traces(body: Body) -> list[str]:
    """Everything on this machine that has to do with the instance."""
    found = [domain.name() for domain in libvirt.open(body.layout.libvirt_uri).listAllDomains()]
    found = [name for name in found if name == body.spec.ec2_id]
    state = [str(path) for path in under(body.layout.state)]
    groups = [str(path) for path in Path("/sys/fs/cgroup/cpu").glob(f"{body.layout.netns}.partition/*/")]
    found += [name for name in state + groups if body.spec.uuid in name or body.spec.ec2_id in name]
    names = [body.layout.tap(nic.uuid) for nic in body.spec.nics]
    found += [name for name in names if name in veth.names(body.layout.netns) or name in switch.ports(body.layout)]
    return found


def size_of(png: bytes) -> tuple[int, int]:
    """The width and the height of a picture."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])


def host_key(console: str) -> list[str]:
    """The ssh host keys a tiny guest printed, one a boot: made once, kept on its disk."""
    return [line for line in console.splitlines() if line.startswith("ssh-ed25519 ")]


def ask_to_power_off(body: Body) -> None:
    """Have the guest shut itself down, through its agent and past libvirt, which may be down."""

    def asked() -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as agent:
            agent.settimeout(2)
            agent.connect(str(body.provider.console_log(body.spec.uuid).with_name("agent.sock")))
            agent.sendall(b'{"execute": "guest-ping"}\n')
            if agent.recv(100):
                agent.sendall(b'{"execute": "guest-shutdown"}\n')
                time.sleep(0.5)
                return True
        return False

    until("the guest's agent answers", asked)


@pytest.mark.cost(10)
def test_a_libvirtd_that_is_about_to_end_is_replaced(layout: Layout) -> None:
    """Who waits for one that hangs, and dies then, gets another."""
    dying = daemon.pid(layout)
    assert dying is not None
    os.kill(dying, signal.SIGSTOP)
    ending = threading.Timer(0.5, os.kill, (dying, signal.SIGKILL))
    ending.start()
    daemon.up(layout)
    ending.join()
    assert daemon.pid(layout) not in (None, dying)


@pytest.mark.cost(60)
def test_a_guest_lives_through_its_hypervisors_death_and_its_own_shutdowns(layout: Layout, body: Body) -> None:
    body.ensure("running")
    assert body.seen() == SeenBody(kind="instance", uuid=body.spec.uuid, revision=(1, 2), running=True)
    body.wait_ready()
    qemu = body.pid()
    assert size_of(body.provider.screenshot(body.spec.uuid)) >= (640, 350)

    # libvirtd dies: the provider says so, a new one finds the guest and its spec.
    dead = daemon.pid(layout)
    assert dead is not None
    os.kill(dead, signal.SIGKILL)
    until("libvirtd dead", lambda: daemon.pid(layout) is None)
    with pytest.raises(Fault) as caught:
        body.seen()
    assert (caught.value.code, caught.value.permanent) == ("HypervisorUnavailable", False)
    assert daemon.guests(layout) == [body.spec.ec2_id]
    daemon.up(layout)
    body.wait("found again", lambda seen: seen.running)
    assert body.pid() == qemu
    body.ensure("running", name="renamed")
    assert body.seen().revision == (1, 3)
    assert (body.pid(), next(iter(body.provider.scan())).uuid) == (qemu, body.spec.uuid)

    # The guest shuts down while no libvirtd is there to see it; nor does the next one keep what the second learns.
    daemon.down(layout)
    ask_to_power_off(body)
    daemon.up(layout)
    assert body.wait("off", lambda seen: not seen.running).cause == "guest"
    daemon.down(layout)
    daemon.up(layout)
    assert body.seen().cause == "guest"

    # It starts again on the same disk, and goes down when it is asked to.
    body.ensure("running")
    body.wait_ready(2)
    keys = host_key(body.console())
    assert len(keys) == 2
    assert len(set(keys)) == 1
    body.ensure("stopped")
    until("power button pressed until heard", body.off)
    assert body.seen().cause == "other"
    assert "destroyed" not in domain_log(body)
    body.provider.remove(body.ref)
    assert body.provider.observe(body.ref) is None
    assert traces(body) == []


def stopped(body: Body) -> InstanceSpec:
    """The spec, switched off."""
    return msgspec.structs.replace(body.spec, power=msgspec.structs.replace(body.spec.power, state="stopped"))


def domain_log(body: Body) -> str:
    """The log that libvirt keeps of the last starts."""
    return (body.layout.libvirt / "log" / "qemu" / f"{body.spec.ec2_id}.log").read_text()


@pytest.mark.cost(30)
def test_a_shutdown_through_the_agent_is_the_guests_own(body: Body) -> None:
    body.ensure("running")
    body.wait_ready()

    def asked() -> bool:
        # The answer to a shutdown is that there is none.
        with contextlib.suppress(libvirt.libvirtError):
            libvirt_qemu.qemuAgentCommand(body.domain(), '{"execute": "guest-shutdown"}', 5, 0)
        return not body.seen().running

    until("the guest goes", asked)
    assert body.seen().cause == "guest"


@pytest.mark.cost(40)
def test_what_ends_qemu_from_outside_is_not_the_guests_shutdown(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()
    body.provider.watch(lambda ref: told.set() if ref.uuid == body.spec.uuid else None)
    body.ensure("running")
    until("told of the start", told.is_set)
    told.clear()
    body.end_qemu(signal.SIGKILL)
    assert body.seen().cause == "other"
    until("told of the end", told.is_set)

    body.ensure("running")
    body.end_qemu(signal.SIGTERM)
    assert body.seen().cause == "other"

    # A guest that does not listen loses its power once its time is up; asking never waits.
    monkeypatch.setattr(stopping, "GRACE", 1.0)
    body.ensure("running")
    body.ensure("stopped")
    assert body.seen().running
    until("cut", body.off)
    assert body.seen().cause == "other"
    assert "reason=destroyed" in domain_log(body)
    disk = body.provider.console_log(body.spec.uuid).with_name("disk.qcow2")
    disk.rename(disk.with_suffix(".lost"))
    with pytest.raises(Fault) as caught:
        body.ensure("running")
    assert (caught.value.code, caught.value.permanent) == ("DiskLost", False)
    assert not disk.exists()


@pytest.mark.cost(20)
def test_a_nic_is_plugged_before_the_start_and_leaves_with_its_instance(layout: Layout, body: Body) -> None:
    first = specs.nic(uuid=next(UUIDS))
    second = specs.nic(uuid=next(UUIDS), mac="02:00:00:00:00:06", index=1)
    body.ensure("stopped", nics=(first, second), allowance=Allowance(packets=3000))
    assert packet_rate(layout.netns, layout.tap(second.uuid)) == 3000
    assert set(switch.ports(layout).values()) >= {first.uuid, second.uuid}
    third = specs.nic(uuid=next(UUIDS), mac="02:00:00:00:00:07", index=1)
    body.ensure("running", nics=(first, third))
    assert switch.ports(layout)[layout.tap(third.uuid)] == third.uuid
    assert layout.tap(second.uuid) not in veth.names(layout.netns)
    assert layout.tap(second.uuid) not in switch.ports(layout)
    assert (Path(f"/proc/{body.pid()}/ns/net")).stat().st_ino == Path(f"/run/netns/{layout.netns}").stat().st_ino
    # A running guest's packets are bounded at once, and by another flavor's rate, and not any more.
    for packets in (2000, 500, 0):
        body.ensure("running", allowance=Allowance(packets=packets))
        rates = [packet_rate(layout.netns, layout.tap(nic.uuid)) for nic in (first, third)]
        assert rates == [packets, packets]
    assert f"{cgroups.partition(layout)}/" in Path(f"/proc/{body.pid()}/cgroup").read_text().replace(".partition", "")
    # An order older than the body's own moves nothing.
    body.provider.ensure(msgspec.structs.replace(stopped(body), revision=(1, 1)))
    body.provider.remove(BodyRef(kind="instance", uuid=body.spec.uuid, revision=(1, 1)))
    assert body.seen().running
    body.provider.remove(body.ref)
    assert body.provider.observe(body.ref) is None
    assert traces(body) == []
    body.provider.remove(body.ref)


@pytest.mark.cost(40)
def test_a_libvirtd_that_hangs_is_a_fault_in_time_and_forgiven(layout: Layout, body: Body) -> None:
    body.ensure("running")
    pid = daemon.pid(layout)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        assert not daemon.answers(layout)
        for attempt in range(2):  # on the connection that was there, then for a new one
            with pytest.raises(Fault) as caught:
                body.seen()
            assert caught.value.code == "HypervisorUnavailable", attempt
    finally:
        os.kill(pid, signal.SIGCONT)
    until("it answers again", body.answered)
    assert body.seen().running


@pytest.mark.cost(60)
def test_a_qemu_that_hangs_is_stopped_and_removed_all_the_same(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "GRACE", 3.0)
    monkeypatch.setattr(machine_provider, "_ASK", 1.0)
    body.ensure("running")
    os.kill(body.pid(), signal.SIGSTOP)
    with pytest.raises(Fault) as caught:
        body.ensure("stopped")
    assert not caught.value.permanent
    assert body.seen().running

    def off() -> bool:
        with contextlib.suppress(Fault):
            return body.off()
        return False

    until("killed", off)
    assert body.seen() == SeenBody(kind="instance", uuid=body.spec.uuid, revision=(1, 3), cause="other")
    body.ensure("running")
    os.kill(body.pid(), signal.SIGSTOP)
    body.provider.remove(body.ref)
    assert body.provider.observe(body.ref) is None
    assert traces(body) == []


@pytest.mark.cost(20)
def test_bodies_half_made_are_seen_and_removed(layout: Layout, body: Body) -> None:
    folder = body.provider.console_log(body.spec.uuid).parent
    folder.mkdir(parents=True)
    assert body.seen() == SeenBody(kind="instance", uuid=body.spec.uuid)
    assert [seen.uuid for seen in body.provider.scan()] == [body.spec.uuid]
    body.provider.remove(body.ref)
    assert body.provider.observe(body.ref) is None

    # The TAP was never made, its folder is lost, its QEMU runs: all of it goes.
    body.ensure("running", nics=(specs.nic(uuid=next(UUIDS)),))
    switch.detach(layout, layout.tap(body.spec.nics[0].uuid))
    shutil.rmtree(folder)
    assert body.seen().running
    body.provider.remove(body.ref)
    assert body.provider.observe(body.ref) is None
    assert traces(body) == []


@pytest.mark.cost(10)
def test_strangers_are_seen_and_left_alone(layout: Layout, body: Body) -> None:
    connection = libvirt.open(layout.libvirt_uri)
    stranger = connection.defineXML(
        "<domain type='qemu'><name>x</name><memory>1024</memory><os><type>hvm</type></os></domain>"
    )
    try:
        body.ensure("stopped")
        found = {seen.uuid: seen for seen in body.provider.scan()}
        assert set(found) == {stranger.UUIDString(), body.spec.uuid}
        assert found[stranger.UUIDString()] == SeenBody(kind="instance", uuid=stranger.UUIDString())
        assert body.seen().cause == ""
        assert domain_uuid(body.spec.uuid) == body.domain().UUIDString()
        body.provider.remove(body.ref)
        assert [seen.uuid for seen in body.provider.scan()] == [stranger.UUIDString()]
    finally:
        stranger.undefine()


@pytest.mark.cost(20)
def test_two_clouds_libvirtds_do_not_meet(layout: Layout, body: Body) -> None:
    body.ensure("running")
    with tempfile.TemporaryDirectory(prefix="pileus-live-") as folder:
        other = Layout(Path(folder) / "s")
        other.state.mkdir()
        chassis.prepare(other)
        try:
            daemon.up(other)
            # Of an earlier boot's guests, whose process numbers mean others now, libvirtd is told nothing.
            (other.libvirt / "run" / "qemu" / "i-1.xml").write_text("<domstatus/>")
            daemon.prepare(other)
            assert (other.libvirt / "run" / "qemu" / "i-1.xml").exists()
            (other.libvirt / "boot").write_text("an earlier one")
            daemon.down(other)
            daemon.up(other)
            assert not (other.libvirt / "run" / "qemu" / "i-1.xml").exists()
            assert libvirt.open(other.libvirt_uri).listAllDomains() == []
            mounts = Path(f"/proc/{daemon.pid(other)}/mounts").read_text()
            assert str(layout.state) not in mounts
            assert "netns" not in mounts
            daemon.end_guests(other)
        finally:
            purge_libvirtd(other)
            purge_engine(other)
        left = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
        assert other.netns not in left
        assert list(Path("/sys/fs/cgroup").glob(f"*/{other.netns}*")) == []
        assert [path.name for path in other.state.iterdir()] == ["instances"]
    assert body.seen().running


def captures_of(body: Body) -> CaptureProvider:
    """What a host process has for captures, as it begins."""
    found = CaptureProvider(CaptureFolders(body.layout.captures), {"machine": body.provider}, Locks())
    body.provider.captures.lookup = found
    return found


@pytest.mark.cost(60)
@pytest.mark.parametrize("died", ["paused", "begun"])
def test_a_guest_that_was_left_paused_for_a_capture_is_kept_as_it_was_and_goes_on(
    layout: Layout, body: Body, died: str
) -> None:
    """The process died between the start of QEMU and the guest's first instruction; its job had begun, or not yet."""
    body.ensure("running")
    body.wait_ready()
    body.ensure("stopped")
    until("off", body.off)
    captures = captures_of(body)
    image = ImageSpec(
        uuid=body.spec.uuid.replace("1111", "2222"), revision=(1, 1), ec2_id="ami-1",
        instance=body.spec.uuid, disk=body.spec.disks[0].uuid, reboot=True,
    )  # fmt: skip
    captures.ensure(image)
    moment = captures.folders.moment(image.uuid)
    assert moment is not None
    assert moment.at == "rest"
    captures.close()
    until("nobody reads", lambda: not captures.reading(body.spec.uuid))
    body.provider._stopping.started(body.spec.uuid)
    body.domain().createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    following = captures_of(body)
    if died == "begun":
        body.provider.captures._begin(body.domain(), image, body.spec)
        following.folders._fix(image.uuid, moment)
    # Asked for first, the capture waits: what its guest is about to do is not in it.
    following.ensure(image)
    assert following.folders.moment(image.uuid) == moment
    body.ensure("running")
    assert following.folders.moment(image.uuid) == msgspec.structs.replace(moment, at="kept")
    assert body.domain().state()[0] == libvirt.VIR_DOMAIN_RUNNING
    body.wait_ready(2)

    def made() -> bool:
        following.ensure(image)
        seen = following.observe(BodyRef(kind="image", uuid=image.uuid))
        return seen is not None and seen.capture is not None and seen.capture.state == "captured"

    until("it is captured", made)
    following.remove(BodyRef(kind="image", uuid=image.uuid))
    assert body.provider.captures.of(body.spec.uuid) == ""
