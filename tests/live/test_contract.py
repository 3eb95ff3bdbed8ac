"""Our own hosts keep the provider contract: libvirt and LXC behind the bus, and OVN."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.bus.channels import ChannelServer
from pileus.faces.metadata import bind
from pileus.model.instance import Power
from pileus.model.spec import DiskSpec, InstanceSpec
from pileus.providers.local.engine import chassis
from pileus.providers.local.layout import SHARED, Layout
from pileus.providers.local.machine import cgroups, daemon
from pileus.providers.local.network.provider import NetworkProvider
from pileus.providers.local.provider import LocalProvider
from tests.live.cloud import under
from tests.live.daemons import purge_engine, purge_libvirtd
from tests.providers.contract import CaptureContract, InstanceContract, NetworkContract, Rig, until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.cost(40)


@pytest.fixture(scope="module")
def layout() -> Iterator[Layout]:
    """A network engine and a libvirtd of their own."""
    folder = Path(tempfile.mkdtemp(prefix="pileus-contract-"))
    layout = Layout(folder)
    chassis.up(layout)
    daemon.up(layout)
    yield layout
    daemon.end_guests(layout)
    purge_libvirtd(layout)
    purge_engine(layout)
    shutil.rmtree(folder)


class TestInstances(InstanceContract, CaptureContract):
    """The contract of instances and of captures, over libvirt."""

    @pytest.fixture
    def rig(self, layout: Layout, tmp_path: Path) -> Iterator[Rig]:
        """The provider that `pileus host run` runs, behind the bus."""
        channels = ChannelServer(tmp_path / "channels.sock")
        channels.start()
        image = SHARED / "images" / "tiny.qcow2"
        digest = json.loads(image.with_suffix(".json").read_text())["sha256"]

        def fetch(_digest: str, target: Path) -> None:
            shutil.copyfile(image, target)

        provider = LocalProvider(layout, fetch, channels, bind(b"secret"))
        provider.start()

        def end_guest(ident: str) -> None:
            # As a person at the machine would: the power button, which no order of the cloud's knows of.
            name = _domain(layout, ident)
            virsh = ["virsh", "-q", "-c", layout.libvirt_uri]

            def off() -> bool:
                # Pressed again and again: a guest that is still booting does not feel it.
                subprocess.run([*virsh, "shutdown", name], check=False, capture_output=True)
                state = subprocess.run([*virsh, "domstate", name], capture_output=True, text=True, check=True)
                return state.stdout.strip() == "shut off"

            until("the guest is off", off)

        disk = DiskSpec(uuid=str(uuid.uuid4()), ec2_id="vol-1", size=1, digest=digest)
        shape = InstanceSpec(uuid="", ec2_id="", power=Power(), vcpus=1, memory=128, disks=(disk,))
        rig = Rig(provider, end_guest, shape, provider.serve)
        yield rig
        rig.close()
        provider.stop()
        channels.stop()


class TestContainers(InstanceContract, CaptureContract):
    """The contract of instances and of captures, over LXC."""

    @pytest.fixture
    def rig(self, layout: Layout, tmp_path: Path) -> Iterator[Rig]:
        """The provider that `pileus host run` runs, behind the bus."""
        channels = ChannelServer(tmp_path / "channels.sock")
        channels.start()
        image = SHARED / "images" / "tiny-container.tar.zst"
        digest = json.loads((SHARED / "images" / "tiny-container.json").read_text())["sha256"]

        def fetch(_digest: str, target: Path) -> None:
            shutil.copyfile(image, target)

        provider = LocalProvider(layout, fetch, channels, bind(b"secret"))
        provider.start()

        def end_guest(ident: str) -> None:
            # As its own root would, from inside.
            init = int((layout.containers / ident / "init").read_text())
            inside = ["nsenter", "--all", f"--target={init}", "poweroff"]

            def off() -> bool:
                subprocess.run(inside, check=False, capture_output=True)
                return not Path(f"/proc/{init}").exists()

            until("the guest is off", off)

        disk = DiskSpec(uuid=str(uuid.uuid4()), ec2_id="vol-1", size=1, digest=digest, format="tar")
        shape = InstanceSpec(uuid="", ec2_id="", power=Power(), vcpus=1, memory=128, machine="container", disks=(disk,))
        rig = Rig(provider, end_guest, shape, provider.serve)
        yield rig
        rig.close()
        provider.stop()
        channels.stop()

    def test_its_size_follows_while_it_runs(self, rig: Rig, layout: Layout) -> None:
        """Memory and processors are what the last order says, without a start."""
        ident = str(uuid.uuid4())
        rig.order(ident, (2, 1))
        rig.reported(ident, (2, 1), running=True)
        init = (layout.containers / ident / "init").read_text()
        rig.shape = msgspec.structs.replace(rig.shape, memory=256, vcpus=2)
        rig.order(ident, (2, 2))
        rig.reported(ident, (2, 2), running=True)
        ec2_id = f"i-{ident.replace('-', '')[:17]}"
        found = {
            path.name: path.read_text().split()[0]
            for path in under(Path("/sys/fs/cgroup"))
            if path.parts[-3:-1] == (cgroups.group(layout), ec2_id)
            and path.name in ("memory.limit_in_bytes", "memory.max", "cpu.cfs_quota_us", "cpu.max")
        }
        assert sorted(found.values()) == ["200000", str(256 << 20)]
        assert (layout.containers / ident / "init").read_text() == init
        rig.remove(ident, (2, 3))
        rig.gone(ident, (2, 3))


def _domain(layout: Layout, ident: str) -> str:
    """The domain whose metadata names this instance."""
    virsh = ["virsh", "-q", "-c", layout.libvirt_uri]
    names = subprocess.run([*virsh, "list", "--all", "--name"], capture_output=True, text=True, check=True)
    for name in names.stdout.split():
        # Another test's may have gone since it was listed.
        xml = subprocess.run([*virsh, "dumpxml", name], capture_output=True, text=True, check=False).stdout
        if ident in xml:
            return name
    raise AssertionError(f"no domain of {ident}")


class TestNetworks(NetworkContract):
    """The contract of networks, over OVN."""

    @pytest.fixture
    def networks(self, layout: Layout) -> Iterator[NetworkProvider]:
        """The provider that writes the northbound database."""
        provider = NetworkProvider(layout.northbound)
        yield provider
        provider.close()
