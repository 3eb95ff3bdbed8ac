"""A provider of another package keeps the provider contract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pileus.app import kits
from pileus.app.hostbody import services
from pileus.app.state import StateDirectory
from pileus.bus.channels import ChannelServer
from pileus.model.instance import Power
from pileus.model.spec import DiskSpec, InstanceSpec
from tests.providers.contract import InstanceContract, NetworkContract, Rig
from tests.providers.toy import installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.model.kit import Kit
    from pileus.model.provider import NetworkEngine

SHAPE = InstanceSpec(
    uuid="", ec2_id="", power=Power(), vcpus=1, memory=64, disks=(DiskSpec(uuid="", ec2_id="", size=1),)
)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """The toy's kit, installed for this process."""
    with installed.loaded(tmp_path_factory.mktemp("packages")) as kit:
        yield kit


class TestInstances(InstanceContract):
    """The contract of instances."""

    @pytest.fixture
    def rig(self, toy: Kit, tmp_path: Path) -> Iterator[Rig]:
        """The kit's body behind the bus."""
        state = StateDirectory(tmp_path)
        state.prepare()
        channels = ChannelServer(state.channels)
        channels.start()
        provider: Any = toy.body(kits.site(toy, state), services(state, _no_objects, channels)).provider
        rig = Rig(provider, provider.end_guest, SHAPE)
        yield rig
        rig.close()
        channels.stop()


class TestNetworks(NetworkContract):
    """The contract of networks."""

    @pytest.fixture
    def networks(self, toy: Kit, tmp_path: Path) -> NetworkEngine:
        """The kit's engine."""
        return toy.engine(kits.site(toy, StateDirectory(tmp_path)), shared=False).provider


def _no_objects(digest: str, target: Path) -> None:
    raise AssertionError((digest, target))
