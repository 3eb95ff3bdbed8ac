"""The provider contract: what every provider promises, as tests that a provider's own module takes over.

A module makes the fixtures `rig` (for instances, reached through the bus) or `networks`, and subclasses the contract.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from pileus.bus.channels import read_all
from pileus.bus.memory import MemoryBus
from pileus.bus.messages import BodyReport, Open, Order, Removed, Report
from pileus.host.agent import Agent
from pileus.host.book import Book
from pileus.host.runner import HostRunner
from pileus.model import statistics
from pileus.model.instance import Power
from pileus.model.provider import BodyRef, Capture
from pileus.model.securitygroup import Rule
from pileus.model.spec import (
    FloatingIpSpec,
    ImageSpec,
    InstanceSpec,
    NetworkSpec,
    PeeringSpec,
    PortSpec,
    RouterSpec,
    RouteSpec,
    RouteTableSpec,
    SecurityGroupSpec,
    Spec,
    SubnetSpec,
    TransitGatewaySpec,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pileus.model.noun import Revision
    from pileus.model.provider import NetworkEngine, Provider
    from pileus.model.statistics import Statistics


def until(what: str, found: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Poll until `found()` is true; its value, or a failure that names `what`."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)
    return value


@dataclass
class Rig:
    """One host's provider behind the bus, as the cloud sees it. `end_guest` has a guest shut itself down.

    `on_specs` is told the specs held, where the provider wants to know them.
    """

    provider: Provider
    end_guest: Callable[[str], object]
    shape: InstanceSpec
    on_specs: Callable[[Iterable[InstanceSpec]], None] | None = None
    bus: MemoryBus = field(default_factory=MemoryBus)
    bodies: dict[str, BodyReport] = field(default_factory=dict)
    removed: dict[str, Removed] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Begin."""
        self.bus.listen(self._report)
        self.runner = HostRunner(Agent("rig", self.provider, Book()), self.bus.host("rig"), on_specs=self.on_specs)
        self.runner.start()

    def close(self) -> None:
        """End; bodies stay."""
        self.runner.stop()
        self.bus.stop()

    def _report(self, report: Report) -> None:
        if report.full:
            self.bodies = {}
            self.unknown = report.unknown
        self.bodies |= report.bodies
        self.removed |= report.removed

    def order(self, ident: str, revision: Revision, state: str = "running", n: int = 1, reboot: int = 0) -> None:
        """Order the instance."""
        power = Power(state=state, n=n)  # type: ignore[arg-type]
        disks = tuple(msgspec.structs.replace(disk, uuid=ident) for disk in self.shape.disks)
        spec = msgspec.structs.replace(
            self.shape, uuid=ident, ec2_id=f"i-{ident.replace('-', '')[:17]}", revision=revision, power=power,
            reboot=reboot, disks=disks,
        )  # fmt: skip
        self.bus.send("rig", Order(uuid=ident, revision=revision, spec=spec))

    def remove(self, ident: str, revision: Revision) -> None:
        """Order its removal."""
        self.bus.send("rig", Order(uuid=ident, revision=revision, why="gone"))

    def capture(self, image: str, ident: str, revision: Revision, *, reboot: bool = False) -> None:
        """Order a capture of the instance's root disk."""
        spec = ImageSpec(
            uuid=image, ec2_id=f"ami-{image.replace('-', '')[:17]}", revision=revision, instance=ident, disk=ident,
            format="tar" if self.shape.machine == "container" else "qcow2", machine=self.shape.machine, reboot=reboot,
        )  # fmt: skip
        self.bus.send("rig", Order(uuid=image, revision=revision, spec=spec, kind="image"))

    def captured(self, image: str, revision: Revision) -> Capture:
        """Wait for a report that it is whole."""

        def found() -> Capture | None:
            body = self.bodies.get(image)
            return body.capture if body and body.revision == revision else None

        whole: Capture = until(f"{image} captured at {revision}; last {self.bodies.get(image)}", found)
        return whole

    def bytes_of(self, image: str) -> bytes:
        """What was captured, through a channel."""
        return read_all(self.bus.open("rig", Open(call=str(uuid.uuid4()), uuid=image, channel="bytes", kind="image")))

    def forget(self, image: str, revision: Revision) -> None:
        """Order the removal of a capture, and wait for its end."""
        self.bus.send("rig", Order(uuid=image, revision=revision, why="gone", kind="image"))
        self.gone(image, revision)

    def reported(self, ident: str, revision: Revision, *, running: bool) -> BodyReport:
        """Wait for a report that this revision is applied."""

        def found() -> BodyReport | None:
            body = self.bodies.get(ident)
            return body if body and body.revision == revision and body.running == running else None

        body: BodyReport = until(f"{revision} applied, running={running}; last {self.bodies.get(ident)}", found)
        return body

    def gone(self, ident: str, revision: Revision) -> None:
        """Wait for a report that the removal is done."""
        until(
            "removal confirmed", lambda: self.removed.get(ident, Removed(revision=(0, 0), why="")).revision == revision
        )


class InstanceContract:
    """What a provider of instances promises."""

    def test_life(self, rig: Rig) -> None:
        """Made running, ordered again without effect, stopped, started, rebooted, removed; each seen in reports."""
        ident = str(uuid.uuid4())
        rig.order(ident, (1, 1))
        assert rig.reported(ident, (1, 1), running=True).n == 1
        rig.order(ident, (1, 1))
        rig.order(ident, (1, 2), "stopped", n=2)
        assert rig.reported(ident, (1, 2), running=False).n == 2
        rig.order(ident, (1, 3), n=3)
        assert rig.reported(ident, (1, 3), running=True).satisfied == 0
        rig.order(ident, (1, 4), n=3, reboot=1)
        assert rig.reported(ident, (1, 4), running=True).reboot == 1
        assert ident in {body.uuid for body in rig.provider.scan()}
        rig.remove(ident, (1, 5))
        rig.gone(ident, (1, 5))
        assert rig.provider.observe(BodyRef(kind="instance", uuid=ident)) is None
        assert ident not in {body.uuid for body in rig.provider.scan()}

    def test_old_orders_do_nothing(self, rig: Rig) -> None:
        """Neither below what is held, nor not above what was removed, held or not."""
        ident, never = str(uuid.uuid4()), str(uuid.uuid4())
        rig.order(ident, (1, 10), "stopped")
        rig.reported(ident, (1, 10), running=False)
        rig.order(ident, (1, 9))
        rig.order(ident, (0, 99))
        rig.remove(never, (1, 12))
        rig.gone(never, (1, 12))
        rig.order(never, (1, 11))
        rig.remove(never, (1, 12))
        rig.gone(never, (1, 12))
        assert not rig.reported(ident, (1, 10), running=False).running
        assert rig.provider.observe(BodyRef(kind="instance", uuid=never)) is None
        rig.remove(ident, (1, 13))
        rig.gone(ident, (1, 13))

    def test_a_guest_that_ends_itself_is_let_be(self, rig: Rig) -> None:
        """Its power number is satisfied: neither a repeated order nor a reboot starts it, a higher number does."""
        ident = str(uuid.uuid4())
        rig.order(ident, (1, 20), n=1)
        rig.reported(ident, (1, 20), running=True)
        rig.end_guest(ident)
        assert rig.reported(ident, (1, 20), running=False).satisfied == 1
        rig.order(ident, (1, 21), n=1, reboot=1)
        assert rig.reported(ident, (1, 21), running=False).satisfied == 1
        rig.order(ident, (1, 22), n=2, reboot=1)
        rig.reported(ident, (1, 22), running=True)
        rig.remove(ident, (1, 23))
        rig.gone(ident, (1, 23))

    def test_the_log_can_be_read(self, rig: Rig) -> None:
        """Through a channel that is opened over the bus, by a ticket that is good once."""
        ident = str(uuid.uuid4())
        rig.order(ident, (1, 30))
        rig.reported(ident, (1, 30), running=True)

        def said() -> bytes:
            return read_all(rig.bus.open("rig", Open(call=str(uuid.uuid4()), uuid=ident, channel="log")))

        assert until("something is said", said)
        rig.remove(ident, (1, 31))
        rig.gone(ident, (1, 31))

    def test_what_it_uses_is_measured(self, rig: Rig) -> None:
        """Of one, and of all; a guest that runs uses its processor, and one that is stopped only its disk."""
        ident = str(uuid.uuid4())
        rig.order(ident, (1, 40))
        rig.reported(ident, (1, 40), running=True)

        def measured(named: str = ident) -> Statistics:
            access = rig.bus.open("rig", Open(call=str(uuid.uuid4()), uuid=named, channel="stats"))
            (found,) = (one for one in statistics.decode(read_all(access)) if one.uuid == ident)
            assert found.fault == ""
            return found

        first = measured()
        assert first.running
        assert (first.vcpus, first.memory_limit_bytes) == (rig.shape.vcpus, rig.shape.memory << 20)
        assert first.disk_size_bytes == 1 << 30
        assert 0 < first.disk_allocated_bytes <= first.disk_size_bytes
        until("memory is in use", lambda: (measured().memory_bytes or 0) > 0)
        until("its processor was used", lambda: measured("").cpu_seconds > first.cpu_seconds)
        rig.order(ident, (1, 41), "stopped", n=2)
        rig.reported(ident, (1, 41), running=False)
        last = measured()
        assert (last.running, last.cpu_seconds, last.memory_bytes) == (False, 0.0, 0)
        assert last.disk_allocated_bytes > 0
        rig.remove(ident, (1, 42))
        rig.gone(ident, (1, 42))
        access = rig.bus.open("rig", Open(call=str(uuid.uuid4()), uuid=ident, channel="stats"))
        assert statistics.decode(read_all(access)) == ()


class CaptureContract:
    """What a provider promises that captures the disks of its instances. `rig` is as for instances."""

    def test_a_running_guest_is_captured_as_it_is(self, rig: Rig) -> None:
        """Without a reboot it runs on; the bytes are those of the digest; what is whole is never captured anew."""
        ident, image = str(uuid.uuid4()), str(uuid.uuid4())
        rig.order(ident, (1, 40))
        rig.reported(ident, (1, 40), running=True)
        rig.capture(image, ident, (1, 41))
        whole = rig.captured(image, (1, 41))
        assert rig.bodies[ident].running
        assert whole.size > 0
        assert whole.virtual_size >= whole.size or rig.shape.machine == "container"
        for _ in range(2):
            data = rig.bytes_of(image)
            assert (hashlib.sha256(data).hexdigest(), len(data)) == (whole.digest, whole.size)
        rig.order(ident, (1, 42), "stopped", n=2)
        rig.reported(ident, (1, 42), running=False)
        rig.capture(image, ident, (1, 43))
        assert rig.captured(image, (1, 43)) == whole
        rig.forget(image, (1, 44))
        assert rig.provider.observe(BodyRef(kind="image", uuid=image)) is None
        rig.remove(ident, (1, 45))
        rig.gone(ident, (1, 45))

    def test_with_a_reboot_the_guest_is_down_meanwhile(self, rig: Rig) -> None:
        """It comes back under the same power number; the guest did not shut itself down."""
        ident, image = str(uuid.uuid4()), str(uuid.uuid4())
        rig.order(ident, (1, 50))
        rig.reported(ident, (1, 50), running=True)
        rig.capture(image, ident, (1, 51), reboot=True)
        rig.captured(image, (1, 51))
        until("it runs again", lambda: rig.bodies[ident].running)
        body = rig.bodies[ident]
        assert (body.n, body.satisfied) == (1, 0)
        rig.forget(image, (1, 52))
        rig.remove(ident, (1, 53))
        rig.gone(ident, (1, 53))

    def test_a_capture_outlives_its_instance(self, rig: Rig) -> None:
        """And what is stopped is captured too; nothing starts it for that, or after it."""
        ident, image = str(uuid.uuid4()), str(uuid.uuid4())
        rig.order(ident, (1, 60))
        rig.reported(ident, (1, 60), running=True)
        rig.order(ident, (1, 61), "stopped", n=2)
        rig.reported(ident, (1, 61), running=False)
        rig.capture(image, ident, (1, 62), reboot=True)
        whole = rig.captured(image, (1, 62))
        assert not rig.bodies[ident].running
        rig.remove(ident, (1, 63))
        rig.gone(ident, (1, 63))
        assert hashlib.sha256(rig.bytes_of(image)).hexdigest() == whole.digest
        rig.forget(image, (1, 64))

    def test_what_is_not_there_is_not_captured(self, rig: Rig) -> None:
        """Of an instance that the host was never given there is a fault, which goes with the order."""
        image = str(uuid.uuid4())
        rig.capture(image, str(uuid.uuid4()), (1, 70))

        def faulty() -> bool:
            body = rig.bodies.get(image)
            return body is not None and body.fault is not None and body.capture is None

        until("a fault", faulty)
        rig.forget(image, (1, 71))
        assert rig.provider.observe(BodyRef(kind="image", uuid=image)) is None

    def test_one_that_is_given_up_leaves_nothing(self, rig: Rig) -> None:
        """A removal ends what is being made, and an order that is older does not begin it anew."""
        ident, image = str(uuid.uuid4()), str(uuid.uuid4())
        rig.order(ident, (1, 80))
        rig.reported(ident, (1, 80), running=True)
        rig.capture(image, ident, (1, 81))
        rig.forget(image, (1, 83))
        rig.capture(image, ident, (1, 82))
        assert rig.provider.observe(BodyRef(kind="image", uuid=image)) is None
        rig.remove(ident, (1, 84))
        rig.gone(ident, (1, 84))


CIDR = "10.99.0.0/24"


def _subnet() -> SubnetSpec:
    return SubnetSpec(
        uuid=str(uuid.uuid4()), cidr=CIDR, gateway="10.99.0.1", gateway_mac="02:51:00:00:00:01",
        localport="10.99.0.2", localport_mac="02:51:00:00:00:02", dns=("10.99.0.2",), domain="internal",
    )  # fmt: skip


class NetworkContract:
    """What a provider of networks promises."""

    def test_each_kind_is_made_kept_and_removed(self, networks: NetworkEngine) -> None:
        """A repeated or older order changes nothing; a removal is of the order's revision or older; then it is gone."""
        group = str(uuid.uuid4())
        rule = Rule(id="sgr-1", protocol="tcp", port_min=22, port_max=22, cidr="0.0.0.0/0")
        router = RouterSpec(uuid=str(uuid.uuid4()), address="198.51.100.10", outside="198.51.100.0/24")
        network = NetworkSpec(uuid=str(uuid.uuid4()), router=router.uuid, subnets=(_subnet(),))
        port = PortSpec(
            uuid=str(uuid.uuid4()), network=network.uuid, subnet=network.subnets[0].uuid,
            mac="02:50:00:00:00:09", address="10.99.0.9", groups=(group,),
        )  # fmt: skip
        floating = FloatingIpSpec(
            uuid=str(uuid.uuid4()), address="198.51.100.20", port=port.uuid, private=port.address, router=router.uuid
        )
        link = PeeringSpec(
            uuid=str(uuid.uuid4()), side="accepter", address="240.0.0.6", other="240.0.0.5", mac=port.mac
        )
        route = RouteSpec(cidr="10.99.0.0/24", target="peering", peering=link.uuid)
        transit = TransitGatewaySpec(
            uuid=str(uuid.uuid4()), links=(link,), tables=(RouteTableSpec(uuid=str(uuid.uuid4()), routes=(route,)),)
        )
        specs: list[Spec] = [
            router,
            SecurityGroupSpec(uuid=group, rules=(rule,), record='[{"kind": "its row, with \\"quotes\\" and ü"}]'),
            network,
            port,
            floating,
            FloatingIpSpec(uuid=str(uuid.uuid4()), address="198.51.100.21"),
            transit,
        ]
        for spec in specs:
            for revision in ((1, 5), (1, 5), (1, 4)):
                networks.ensure(msgspec.structs.replace(spec, revision=revision))
            seen = networks.observe(BodyRef(kind=spec.KIND, uuid=spec.uuid))
            assert seen is not None
            assert seen.revision == (1, 5)
        assert {spec.uuid for spec in specs} <= {seen.uuid for seen in networks.scan()}
        told = {told.uuid: told for told in networks.recall()}
        for spec in specs:
            kept = told[spec.uuid]
            assert (kept.kind, kept.revision, kept.record, kept.gone) == (spec.KIND, (1, 5), spec.record, False)
        for spec in reversed(specs):
            networks.remove(BodyRef(kind=spec.KIND, uuid=spec.uuid, revision=(1, 4)))
            assert networks.observe(BodyRef(kind=spec.KIND, uuid=spec.uuid)) is not None
            networks.remove(BodyRef(kind=spec.KIND, uuid=spec.uuid, revision=(1, 6)))
            networks.remove(BodyRef(kind=spec.KIND, uuid=spec.uuid, revision=(1, 6)))
            assert networks.observe(BodyRef(kind=spec.KIND, uuid=spec.uuid)) is None
            networks.ensure(msgspec.structs.replace(spec, revision=(1, 5)))
            assert networks.observe(BodyRef(kind=spec.KIND, uuid=spec.uuid)) is None, "an order older than its removal"
        gone = {told.uuid: told.revision for told in networks.recall() if told.gone}
        assert {spec.uuid: gone.get(spec.uuid) for spec in specs} == {spec.uuid: (1, 6) for spec in specs}

    def test_a_port_is_in_its_groups_and_nowhere_else(self, networks: Provider) -> None:
        """At once, after every change of them, and in the group that drops what no other admits."""
        groups = [str(uuid.uuid4()) for _ in range(3)]
        for group in groups:
            networks.ensure(SecurityGroupSpec(uuid=group, revision=(1, 1)))
        network = NetworkSpec(uuid=str(uuid.uuid4()), subnets=(_subnet(),), revision=(1, 1))
        networks.ensure(network)
        port = PortSpec(
            uuid=str(uuid.uuid4()), network=network.uuid, subnet=network.subnets[0].uuid,
            mac="02:50:00:00:00:0a", address="10.99.0.10",
        )  # fmt: skip
        for number, held in enumerate(((groups[0],), (groups[1], groups[2]), (), tuple(groups)), start=1):
            networks.ensure(msgspec.structs.replace(port, groups=held, revision=(1, number)))
            seen = networks.observe(BodyRef(kind="port", uuid=port.uuid))
            assert seen is not None
            assert sorted(seen.groups) == sorted([*held, "drop"])
        networks.remove(BodyRef(kind="port", uuid=port.uuid, revision=(1, 9)))
        networks.remove(BodyRef(kind="network", uuid=network.uuid, revision=(1, 9)))
        for group in groups:
            networks.remove(BodyRef(kind="securitygroup", uuid=group, revision=(1, 9)))
