"""Containers keep what machines keep while processes are killed: each request is done, once, and leaves nothing behind.

The same operations and kills as in the matrix of machines (`test_kills`), over what a container's parts are.
"""

from __future__ import annotations

import itertools
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pileus.providers.local.container import guests as containers
from pileus.providers.local.container import order
from tests import kills
from tests.live.cloud import KINDS, until
from tests.live.disturbed import Measured, findings, measure, tried
from tests.live.operations import Guest, World
from tests.live.trials import Measures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.model.spec import InstanceSpec
    from tests.live.cloud import LiveCloud

PROCESSES = ("cloud", "host", "qemu", "switch", "controller", "northd")
"""Of these `qemu` is the container's monitor: the process that a guest ends with."""

CELLS = tuple(
    kills.Cell(operation, process)
    for operation, process in itertools.product(("launch", "stop", "start", "reboot", "terminate"), PROCESSES)
)

pytestmark = pytest.mark.allow_hosts(["127.0.0.0/8", "198.51.100.0/24"])


class Containers(World):
    """The world of the kill matrix, whose guests are containers."""

    kind = KINDS[1]

    def spec(self, guest: Guest) -> InstanceSpec | None:
        """What the guest's folder says, if there is one."""
        found = (order.read(self.layout.containers / uuid) for uuid in order.folders(self.layout))
        return next((one.spec for one in found if one is not None and one.spec.ec2_id == guest.ident), None)

    def qemu(self, guest: Guest) -> int | None:
        """Its monitor."""
        spec = self.spec(guest)
        init = containers.monitor(self.layout, spec).init() if spec is not None else None
        try:
            said = Path(f"/proc/{init}/status").read_text()
        except OSError:
            return None
        return int(re.findall(r"^PPid:\s*(\d+)", said, re.MULTILINE)[0])

    def bodies(self, guest: Guest) -> int:
        """How many monitors there are for a guest, whatever its folder says."""
        found = 0
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            found += words[0].endswith(b"lxc-start") and f"--name={guest.ident}".encode() in words
        return found

    def starts(self, guest: Guest) -> int:
        """How often it was started so far."""
        spec = self.spec(guest)
        path = self.layout.containers / (spec.uuid if spec is not None else "-") / "life"
        return path.read_text().split().count("started") if path.exists() else 0

    def domains(self, guest: Guest) -> int:
        """How many folders there are for it."""
        return int(self.spec(guest) is not None)


@pytest.fixture(scope="module")
def world(cloud: LiveCloud, key: Path) -> Iterator[Containers]:
    """Containers to do things to; the doctor agrees when all was killed."""
    found = findings(cloud)
    made = Containers(cloud, key)
    yield made
    made.end()
    until("the doctor agrees", lambda: findings(cloud) <= found, 60)


@pytest.fixture(scope="module")
def measured(world: Containers) -> Measures[Measured]:
    """Of each operation."""
    return Measures(partial(measure, world))


@pytest.mark.parametrize("cell", [pytest.param(cell, marks=pytest.mark.cost(8), id=str(cell)) for cell in CELLS])
def test_a_request_ends_as_asked_whatever_is_killed(
    world: Containers, measured: Measures[Measured], cell: kills.Cell, request: pytest.FixtureRequest
) -> None:
    """It is done, and done once; and no session into another container ends that the dead one did not carry."""
    tried(world, cell, measured[cell.operation], request.config.getoption("randomly_seed"))
