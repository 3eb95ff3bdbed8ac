"""Orders as a host receives them."""

from __future__ import annotations

from typing import Literal

from pileus.bus.messages import Order
from pileus.model.instance import Power
from pileus.model.spec import InstanceSpec


def to_run(
    uuid: str, counter: int, project: str = "", *, machine: Literal["machine", "container"] = "machine", reboot: int = 0
) -> Order:
    """Return the order for an instance of `project` that is to run, at the revision (1, `counter`)."""
    spec = InstanceSpec(
        uuid=uuid,
        revision=(1, counter),
        power=Power(n=1),
        vcpus=1,
        memory=64,
        ec2_id=f"i-{uuid}",
        machine=machine,
        reboot=reboot,
        project=project,
    )
    return Order(uuid=uuid, revision=(1, counter), spec=spec)


def to_go(uuid: str, counter: int) -> Order:
    """Return the order that removes an instance, at the revision (1, `counter`)."""
    return Order(uuid=uuid, revision=(1, counter), why="gone")
