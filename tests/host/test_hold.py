"""How long a guest is down for a capture: until its moment is there, and what becomes of a moment that is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.bus.messages import Order
from pileus.host.agent import Agent
from pileus.host.book import Book
from pileus.model.errors import Fault
from pileus.model.instance import Power
from pileus.model.provider import Capture
from pileus.model.spec import ImageSpec, InstanceSpec
from pileus.providers.stub.provider import StubProvider

if TYPE_CHECKING:
    from pileus.model.instance import PowerState
    from pileus.model.spec import Spec

WHOLE = Capture(state="captured", digest="0" * 64, size=1, virtual_size=1)


class Slow(StubProvider):
    """A stub whose captures are what a test says they are."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, bool]] = []
        self.now: dict[str, Capture] = {}
        self.trouble: Fault | None = None

    def ensure(self, spec: Spec) -> None:
        """Of captures: note whether the guest ran."""
        if not isinstance(spec, ImageSpec):
            super().ensure(spec)
            return
        self.asked.append((spec.uuid, self.bodies["instance", "u"].running))
        if self.trouble is not None:
            raise self.trouble
        if spec.uuid in self.now:
            super().ensure(spec)
            self.say(spec.uuid)

    def say(self, uuid: str) -> None:
        """What is seen of it is as `now` has it."""
        self.bodies["image", uuid] = msgspec.structs.replace(self.bodies["image", uuid], capture=self.now[uuid])


class Host:
    """An agent with one instance, `u`, that runs."""

    def __init__(self) -> None:
        self.stub, self.book, self.counter, self.woken = Slow(), Book(), 0, list[str]()
        self.agent = Agent("h", self.stub, self.book, now=lambda: 5.0)
        self.agent.wake = self.woken.append
        self.power("running", 1)

    def power(self, state: PowerState, n: int) -> None:
        """Order its power, and have it so."""
        self.counter += 1
        power = Power(state=state, n=n)
        spec = InstanceSpec(uuid="u", revision=(1, self.counter), power=power, vcpus=1, memory=64, ec2_id="i-0")
        self.agent.take(Order(uuid="u", revision=spec.revision, spec=spec))
        self.steps("u")

    def order(self, uuid: str, *, reboot: bool = True) -> None:
        """Order a capture of it."""
        self.counter += 1
        spec = ImageSpec(uuid=uuid, revision=(1, self.counter), ec2_id=uuid, instance="u", disk="d", reboot=reboot)
        self.agent.take(Order(uuid=uuid, revision=spec.revision, spec=spec, kind="image"))

    def steps(self, *uuids: str) -> None:
        """Have all of them looked at, a few times."""
        for _ in range(4):
            for uuid in uuids:
                self.agent.step(uuid)

    def given(self, uuid: str, capture: Capture) -> None:
        """The provider says this of a capture from now on."""
        self.stub.now[uuid] = capture
        if ("image", uuid) in self.stub.bodies:
            self.stub.say(uuid)

    def running(self) -> bool:
        """Whether the guest runs."""
        return self.stub.bodies["instance", "u"].running

    def seen(self, uuid: str) -> Capture | None:
        """What the book has of a capture."""
        return self.book.entries[uuid].capture


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """One whose captures are made of nothing."""
    monkeypatch.setattr(StubProvider, "_captured", lambda _self, _spec, _old, seen: seen)
    return Host()


def moment(name: str) -> Capture:
    """One that has its moment."""
    return Capture(state="capturing", moment=name)


def test_the_guest_runs_again_as_soon_as_the_moment_is_there(host: Host) -> None:
    host.order("a")
    host.steps("a", "u")
    assert not host.running()
    assert host.stub.asked
    assert not any(running for _, running in host.stub.asked)
    host.woken.clear()
    host.given("a", moment("m1"))
    host.agent.step("a")
    assert host.woken == ["u"]
    host.steps("u", "a")
    assert host.running()
    assert host.seen("a") == moment("m1")
    host.given("a", WHOLE)
    host.steps("a", "u")
    assert host.seen("a") == WHOLE
    assert host.running()


def test_a_host_that_starts_again_holds_no_guest_whose_moment_is_written_down(host: Host) -> None:
    host.order("a")
    host.given("a", moment("m1"))
    host.steps("a", "u")
    host.stub.bodies["instance", "u"] = msgspec.structs.replace(host.stub.bodies["instance", "u"], running=False)
    host.agent = Agent("h", host.stub, host.book, now=lambda: 5.0)
    host.steps("u")
    assert host.running()


def test_a_moment_that_is_lost_with_its_guest_is_the_end_of_the_capture(host: Host) -> None:
    """What a fall leaves is not what was asked for, and the guest is not put down twice."""
    host.order("a")
    host.given("a", moment("m1"))
    host.steps("a", "u")
    host.stub.end_guest("u", "other")
    host.given("a", moment("m2"))
    host.steps("a")
    assert host.seen("a") == moment("m1"), "first it is seen what has ended the guest"
    host.steps("u", "a")
    found = host.seen("a")
    assert found is not None
    assert found.fault is not None
    assert (found.state, found.fault.code) == ("failed", "CaptureInterrupted")
    assert host.running()


def test_a_moment_that_is_lost_by_a_stop_is_taken_again(host: Host) -> None:
    host.order("a")
    host.given("a", moment("m1"))
    host.steps("a", "u")
    host.power("stopped", 2)
    host.given("a", moment("m2"))
    host.steps("a", "u")
    assert host.seen("a") == moment("m2")
    assert not host.running()


def test_a_moment_that_could_not_be_kept_is_not_waited_for_with_the_guest_down(host: Host) -> None:
    host.order("a")
    host.given("a", moment("m1"))
    host.steps("a", "u")
    host.given("a", moment(""))
    host.steps("a", "u")
    found = host.seen("a")
    assert found is not None
    assert found.state == "failed"
    assert host.running()


def test_a_fault_that_passes_is_not_the_end_once_the_moment_is_there(host: Host) -> None:
    host.order("a")
    host.given("a", moment("m1"))
    host.steps("a", "u")
    host.stub.trouble = Fault("HypervisorUnavailable", "gone for a moment")
    with pytest.raises(Fault, match="for a moment"):
        host.agent.step("a")
    host.steps("u")
    assert host.running()
    host.stub.trouble = None
    host.given("a", WHOLE)
    host.steps("a")
    assert host.seen("a") == WHOLE


def test_a_fault_that_takes_the_moment_along_is_the_end(host: Host) -> None:
    host.order("a")
    host.given("a", moment("m1"))
    host.steps("a", "u")
    host.given("a", moment(""))
    host.stub.trouble = Fault("HostDiskFull", "no room")
    host.steps("a", "u")
    found = host.seen("a")
    assert found is not None
    assert found.fault is not None
    assert (found.state, found.fault.code) == ("failed", "HostDiskFull")
    assert host.running()


@pytest.mark.parametrize("reboot", [True, False])
def test_a_guest_is_not_put_down_while_another_capture_of_it_is_made(
    host: Host,
    reboot: bool,  # noqa: FBT001
) -> None:
    host.order("a", reboot=reboot)
    host.given("a", moment("m1"))
    host.steps("a", "u")
    assert host.running()
    host.order("b")
    host.steps("b", "u")
    assert host.running()
    host.given("a", WHOLE)
    host.steps("a", "b", "u")
    assert not host.running()
    host.given("b", moment("m2"))
    host.steps("b", "u")
    assert host.running()


@pytest.mark.parametrize("reboot", [True, False])
def test_a_guest_that_is_down_for_a_capture_stays_down_when_another_one_has_its_moment(
    host: Host,
    reboot: bool,  # noqa: FBT001
) -> None:
    host.order("a", reboot=reboot)
    host.order("b")
    host.steps("a", "b", "u")
    assert not host.running()
    host.given("a", moment("m1"))
    host.steps("a", "b", "u")
    assert not host.running()
    host.given("b", moment("m2"))
    host.steps("b", "u")
    assert host.running()
