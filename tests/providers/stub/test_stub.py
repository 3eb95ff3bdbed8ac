"""The stub keeps the provider contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.bus.channels import ChannelServer
from pileus.model.instance import Power
from pileus.model.provider import BodyRef
from pileus.model.spec import DiskSpec, InstanceSpec, SecurityGroupSpec
from pileus.providers.stub.provider import StubProvider
from tests.providers.contract import CaptureContract, InstanceContract, NetworkContract, Rig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHAPE = InstanceSpec(
    uuid="", ec2_id="", power=Power(), vcpus=1, memory=64, disks=(DiskSpec(uuid="", ec2_id="", size=1),)
)


class TestInstances(InstanceContract, CaptureContract):
    """The contracts of instances, and of captures of their disks."""

    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[Rig]:
        """A stub behind the bus."""
        channels = ChannelServer(tmp_path / "channels.sock")
        channels.start()
        stub = StubProvider(channels=channels)
        rig = Rig(stub, stub.end_guest, SHAPE)
        yield rig
        rig.close()
        channels.stop()


class TestNetworks(NetworkContract):
    """The contract of networks."""

    @pytest.fixture
    def networks(self) -> StubProvider:
        """A stub."""
        return StubProvider()


class TestSharedNetworks(NetworkContract):
    """The same contract, of an engine that several processes share."""

    @pytest.fixture
    def networks(self, tmp_path: Path) -> StubProvider:
        """A stub over a file."""
        return StubProvider(database=tmp_path / "engine.db")


def test_processes_share_an_engine_that_outlives_them(tmp_path: Path) -> None:
    first, second = (StubProvider(database=tmp_path / "engine.db") for _ in range(2))
    first.ensure(SecurityGroupSpec(uuid="a", revision=(1, 2), record="a's"))
    second.remove(BodyRef(kind="securitygroup", uuid="a", revision=(1, 3)))
    first.ensure(SecurityGroupSpec(uuid="a", revision=(1, 2), record="a's"))
    (told,) = first.recall()
    assert (told.uuid, told.revision, told.gone) == ("a", (1, 3), True)
    assert list(first.scan()) == []
