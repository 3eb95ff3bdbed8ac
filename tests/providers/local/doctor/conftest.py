"""One instance on one network as store, host and libvirt have it, all in agreement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pileus.model.instance import Body, Power
from pileus.model.spec import DiskSpec, Ingress, InstanceSpec, NicSpec
from pileus.model.views import BookView, EngineRow, Held, InstanceRow, StoreView
from pileus.providers.local.doctor.domains import Domain
from pileus.providers.local.doctor.expected import Expected
from pileus.providers.local.layout import Layout

INSTANCE = "aaaaaaaa-0000-4000-8000-000000000001"
PORT = "bbbbbbbb-0000-4000-8000-000000000002"
NETWORK = "cccccccc-0000-4000-8000-000000000003"
SUBNET = "dddddddd-0000-4000-8000-000000000004"
VOLUME = "eeeeeeee-0000-4000-8000-000000000005"
GROUP = "ffffffff-0000-4000-8000-000000000006"


class Machine:
    """What each side says; a test changes one of them."""

    def __init__(self, state: Path) -> None:
        self.layout = Layout(state)
        nic = NicSpec(
            uuid=PORT,
            ec2_id="eni-1",
            mac="02:50:00:00:00:01",
            address="172.31.0.4",
            cidr="172.31.0.0/20",
            gateway="172.31.0.1",
            localport="172.31.0.2",
            localport_mac="02:51:00:00:00:01",
            network=NETWORK,
            ingress=(Ingress(cidr="0.0.0.0/0", port_min=22, port_max=22),),
        )
        self.spec = InstanceSpec(
            uuid=INSTANCE,
            project="p1",
            revision=(0, 7),
            power=Power(),
            vcpus=1,
            memory=64,
            ec2_id="i-1",
            disks=(DiskSpec(uuid=VOLUME, ec2_id="vol-1", size=1),),
            nics=(nic,),
            loopback="127.9.0.1",
        )
        self.held = Held(
            uuid=INSTANCE,
            revision=(0, 7),
            spec=self.spec,
            body=Body(exists=True, running=True, n=1),
            applied=(0, 7),
        )
        self.row = InstanceRow(uuid=INSTANCE, ec2_id="i-1", host="h1", revision=(0, 7), settled=True)
        self.port = EngineRow(kind="port", uuid=PORT, ec2_id="eni-1", revision=(0, 3), settled=True, groups=(GROUP,))
        self.network = EngineRow(
            kind="network", uuid=NETWORK, ec2_id="net-1", revision=(0, 2), settled=True, subnets=(SUBNET,)
        )
        self.removed: dict[str, tuple[int, int]] = {}
        self.domain = Domain("own", "i-1", running=True, spec=self.spec)

    def gone(self) -> None:
        """The instance was terminated, and everybody confirmed it."""
        self.row = InstanceRow(uuid=INSTANCE, ec2_id="i-1", revision=(0, 8), gone=True)
        self.port = msgspec.structs.replace(self.port, gone=True, settled=False)
        self.removed = {INSTANCE: (0, 8)}

    @property
    def store(self) -> StoreView:
        return StoreView(
            now=100.0, newest=99.0, highest=(0, 9), instances=(self.row,), engine=(self.port, self.network)
        )

    def expected(self, *, store: bool = True, domains: bool = True, **more: Any) -> Expected:
        orders = {} if self.row.gone else {INSTANCE: self.held}
        marks = (self.spec,) if domains and not self.row.gone else ()
        host = BookView(orders=orders, removed=self.removed, highest=(0, 9))
        return Expected(host, self.store if store else None, marks, **more)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)
