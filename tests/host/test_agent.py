"""The host's mind: which orders it takes, what it makes of them, and what it says of it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.bus.messages import Ask, Order, Removed
from pileus.host.agent import CALM, LONGEST, SOON, Agent
from pileus.host.book import Book, FileBook
from pileus.model.errors import Fault
from pileus.model.instance import Power
from pileus.model.spec import InstanceSpec
from pileus.providers.stub.provider import StubProvider

if TYPE_CHECKING:
    from pathlib import Path

    from pileus.model.instance import PowerState


class Host:
    """An agent over a stub, which dies and starts again as asked."""

    def __init__(self) -> None:
        self.stub = StubProvider(faults=self._fault, slow_guests=True)
        self.book = Book()
        self.failing: dict[str, Fault] = {}
        self.calls: list[str] = []
        self.now = 5.0
        self.start()

    def _fault(self, call: str, uuid: str) -> None:
        self.calls.append(call)
        if call in self.failing:
            raise self.failing[call]

    def full(self, *, full: bool = True) -> None:
        """From now on nothing can be written into the book, or it can again."""

        def refuse(*_: object) -> None:
            if full:
                raise OSError(errno.ENOSPC, "No space left on device", "/somewhere/host")

        for write in ("_write_start", "_write_entry", "_erase_entry", "_write_removed"):
            setattr(self.book, write, refuse)

    def start(self) -> None:
        self.agent = Agent("h", self.stub, self.book, now=lambda: self.now)

    def order(
        self,
        counter: int,
        state: PowerState = "running",
        n: int = 1,
        reboot: int = 0,
        satisfied: int = 0,
        rebooted: int = 0,
    ) -> bool:
        spec = InstanceSpec(
            uuid="u",
            revision=(1, counter),
            power=Power(state=state, n=n),
            vcpus=1,
            memory=64,
            ec2_id="i-0",
            reboot=reboot,
            satisfied=satisfied,
            rebooted=rebooted,
        )
        return self.agent.take(Order(uuid="u", revision=(1, counter), spec=spec))

    def remove(self, counter: int, why: str = "gone") -> bool:
        return self.agent.take(Order(uuid="u", revision=(1, counter), why=why))

    def settle(self) -> None:
        for _ in range(10):
            if self.agent.step("u") is None:
                return
        pytest.fail("the body never converged")

    def fall(self) -> None:
        """The body goes down, and nobody knows why."""
        body = self.stub.bodies["instance", "u"]
        self.stub.bodies["instance", "u"] = msgspec.structs.replace(body, running=False, cause="other")

    @property
    def runs(self) -> bool:
        body = self.stub.bodies.get(("instance", "u"))
        return body is not None and body.running


@pytest.fixture
def host() -> Host:
    return Host()


def test_an_order_is_made_true_and_said(host: Host) -> None:
    assert host.order(1)
    host.settle()
    assert host.runs
    said = host.agent.report()
    assert said.bodies["u"].revision == (1, 1)
    assert said.bodies["u"].running
    assert (said.bodies["u"].n, said.bodies["u"].ever, said.bodies["u"].since) == (1, True, 5.0)
    assert (said.epoch, said.sequence, said.highest) == (1, 1, (1, 1))
    assert not host.agent.news
    assert host.agent.report().bodies == {}
    assert host.agent.report(full=True).bodies.keys() == {"u"}


def test_what_was_done_under_a_lost_order_is_not_done_again(host: Host) -> None:
    host.order(1, reboot=2)
    host.settle()
    host.book = Book()
    host.start()
    told = list(host.stub.logs["u"])
    host.order(2, reboot=2, rebooted=2)
    host.settle()
    assert host.runs
    assert host.stub.logs["u"] == told
    assert host.agent.report(full=True).bodies["u"].reboot == 2


def test_stored_is_not_applied(host: Host) -> None:
    host.order(1)
    host.settle()
    host.order(2, reboot=1)
    assert host.agent.report(full=True).bodies["u"].revision == (1, 1)
    host.settle()
    assert host.agent.report(full=True).bodies["u"].revision == (1, 2)


@pytest.mark.parametrize("counter", [1, 2, 3])
def test_what_is_not_above_the_held_is_refused_and_answered(host: Host, counter: int) -> None:
    host.order(3)
    host.settle()
    host.agent.report()
    assert not host.order(counter, "stopped", 2)
    host.settle()
    assert host.runs
    assert host.agent.news
    assert host.agent.report().bodies["u"].revision == (1, 3)


def test_an_earlier_incarnation_is_refused(host: Host) -> None:
    spec = InstanceSpec(uuid="u", power=Power(), vcpus=1, memory=64, ec2_id="i-0")
    assert host.agent.take(Order(uuid="other", revision=(2, 1), spec=msgspec.structs.replace(spec, uuid="other")))
    assert not host.order(99)
    host.start()
    assert not host.order(99)
    assert host.agent.report().incarnation == 2


def test_what_was_decided_before_the_store_was_opened_last_is_refused(host: Host) -> None:
    spec = InstanceSpec(uuid="u", power=Power(), vcpus=1, memory=64, ec2_id="i-0")
    order = Order(uuid="u", revision=(1, 5), spec=spec, opening=3)
    assert host.agent.answer(Ask(call="c", opening=4))[0].opening == 4
    host.start()
    assert not host.agent.take(order)
    assert not host.agent.take(msgspec.structs.replace(order, spec=None, why="gone"))
    assert host.agent.book.removed == {}
    assert host.agent.answer(Ask(call="late", opening=2))[0].opening == 4
    assert host.agent.take(msgspec.structs.replace(order, opening=4))


def test_what_was_removed_stays_removed(host: Host) -> None:
    host.order(1)
    host.settle()
    assert host.remove(2)
    host.settle()
    assert host.stub.bodies == {}
    said = host.agent.report()
    assert said.full
    assert said.removed == {"u": Removed(revision=(1, 2), why="gone")}
    host.start()
    for counter in (1, 2):
        assert not host.order(counter)
        assert host.agent.step("u") is None
    assert not host.remove(2)
    assert host.agent.report().removed == {"u": Removed(revision=(1, 2), why="gone")}
    assert host.stub.bodies == {}
    assert host.order(3)


def test_what_was_never_held_is_removed_for_ever_too(host: Host) -> None:
    host.remove(5)
    host.settle()
    assert host.agent.report().removed == {"u": Removed(revision=(1, 5), why="gone")}
    host.start()
    assert not host.order(4)
    assert host.agent.step("u") is None
    assert host.stub.bodies == {}


def test_a_body_that_the_book_does_not_know_is_removed_before_that_is_confirmed(host: Host) -> None:
    """The book is an old copy: it does not say whether there is a body."""
    host.order(1)
    host.settle()
    host.book.entries.clear()
    host.remove(2)
    assert host.agent.report(full=True).removed == {}
    host.settle()
    assert host.stub.bodies == {}
    assert host.agent.report().removed == {"u": Removed(revision=(1, 2), why="gone")}


def test_a_removal_tells_which_number_its_guest_had_ended(host: Host) -> None:
    host.order(1)
    host.settle()
    host.stub.end_guest("u")
    host.remove(2, "moved")
    host.settle()
    assert host.agent.report().removed["u"] == Removed(revision=(1, 2), why="moved", satisfied=1)


def test_a_guest_that_ended_itself_stays_down_until_the_number_rises(host: Host) -> None:
    host.order(1)
    host.settle()
    host.stub.end_guest("u")
    host.settle()
    host.start()
    host.settle()
    host.order(2, reboot=1)
    host.settle()
    assert not host.runs
    assert host.agent.report(full=True).bodies["u"].satisfied == 1
    host.order(3, n=2)
    host.settle()
    assert host.runs


@pytest.mark.parametrize("dies", [False, True])
def test_whatever_else_ended_it_it_comes_back(host: Host, *, dies: bool) -> None:
    host.order(1)
    host.settle()
    host.stub.end_guest("u", "other")
    if dies:
        host.start()
    host.settle()
    assert host.runs


def test_a_guest_that_vanished_comes_back(host: Host) -> None:
    host.order(1)
    host.settle()
    host.stub.bodies.clear()
    host.settle()
    assert host.runs


def test_the_end_of_a_guest_is_noticed_by_the_next_agent(host: Host) -> None:
    host.order(1)
    host.settle()
    host.stub.end_guest("u")
    host.start()
    host.settle()
    assert not host.runs


def test_a_satisfied_number_that_came_with_the_order_counts(host: Host) -> None:
    host.order(1, n=4, satisfied=4)
    host.settle()
    assert not host.runs
    assert ("instance", "u") in host.stub.bodies


def test_a_reboot_stops_and_starts_once(host: Host) -> None:
    host.order(1)
    host.settle()
    host.order(2, reboot=1)
    host.settle()
    host.settle()
    assert [line.split()[1] for line in host.stub.logs["u"]] == ["starts", "stops", "starts"]
    assert host.agent.report(full=True).bodies["u"].reboot == 1


def test_a_stop_that_we_asked_for_is_not_the_guests_own(host: Host) -> None:
    host.order(1)
    host.settle()
    host.order(2, reboot=1)
    host.failing["ensure"] = Fault("Slow", "the guest is asked, and takes its time")
    with pytest.raises(Fault):
        host.agent.step("u")
    host.failing.clear()
    host.start()  # the agent dies while the guest goes down
    host.stub.end_guest("u")
    host.settle()
    assert host.runs


def test_what_runs_is_kept_up_to_date_without_being_started(host: Host) -> None:
    host.order(1)
    host.settle()
    host.order(2)

    def ends(call: str, _uuid: str) -> None:
        if call == "ensure":
            host.stub.end_guest("u")  # right after it was seen running

    host.stub._faults = ends
    host.settle()
    assert not host.runs
    assert host.agent.report(full=True).bodies["u"].satisfied == 1


def test_a_guest_is_up_from_its_coming_up_until_it_goes_down(host: Host) -> None:
    def up() -> bool | None:
        return host.agent.report(full=True).bodies["u"].up

    host.order(1)
    host.settle()
    assert up() is False
    host.agent.report()
    host.stub.come_up("u")
    host.settle()
    assert host.agent.news
    assert up() is True
    host.start()
    host.order(2)
    host.settle()
    assert up() is True
    host.order(3, reboot=1)
    host.settle()
    assert host.agent.report(full=True).bodies["u"].running
    assert up() is False
    host.stub.come_up("u")
    host.settle()
    host.stub.end_guest("u")
    host.settle()
    assert up() is False


def test_a_fault_is_said_until_it_is_over(host: Host) -> None:
    host.failing["ensure"] = Fault("NoImage", "it is corrupt", permanent=True)
    host.order(1)
    with pytest.raises(Fault):
        host.agent.step("u")
    fault = host.agent.report().bodies["u"].fault
    assert fault is not None
    assert (fault.code, fault.message, fault.permanent, fault.at) == ("NoImage", "it is corrupt", True, 5.0)
    with pytest.raises(Fault):
        host.agent.step("u")
    assert not host.agent.news  # the same again is no news
    host.failing.clear()
    host.settle()
    assert host.agent.report().bodies["u"].fault is None


def test_a_removal_is_not_done_before_the_body_is_gone(host: Host) -> None:
    host.order(1)
    host.settle()
    host.agent.report()
    host.remove(2)
    remove = host.stub.remove
    host.stub.remove = lambda ref: None  # type: ignore[method-assign]  # noqa: ARG005
    assert host.agent.step("u") == SOON
    assert not host.agent.report(full=True).removed
    host.stub.remove = remove  # type: ignore[method-assign]
    host.settle()
    assert host.agent.report().removed.keys() == {"u"}


def test_an_order_during_a_step_is_not_lost(host: Host) -> None:
    host.order(1)

    def meanwhile(call: str, _uuid: str) -> None:
        if call == "ensure":
            host.stub._faults = None
            host.order(2, "stopped", 2)

    host.stub._faults = meanwhile
    host.agent.step("u")
    assert host.book.entries["u"].revision == (1, 2)
    host.settle()
    assert not host.runs
    assert host.agent.report().bodies["u"].n == 2


def test_a_removal_during_a_step_is_not_lost(host: Host) -> None:
    host.order(1)

    def meanwhile(call: str, _uuid: str) -> None:
        if call == "ensure":
            host.stub._faults = None
            host.remove(2)

    host.stub._faults = meanwhile
    host.agent.step("u")
    host.settle()
    assert host.stub.bodies == {}
    assert host.agent.report().removed.keys() == {"u"}


def test_what_has_no_order_is_named_and_left_alone(host: Host) -> None:
    spec = InstanceSpec(uuid="alien", power=Power(), vcpus=1, memory=64, ec2_id="i-1")
    host.stub.ensure(spec)
    host.order(1)
    host.settle()
    assert host.agent.survey() == ["u"]
    assert host.agent.report(full=True).unknown == ("alien",)
    host.remove(2)
    host.settle()
    assert host.stub.bodies.keys() == {("instance", "alien")}


def test_starts_are_counted_and_reports_numbered(host: Host) -> None:
    order = []
    for _ in range(3):
        order += [(said.epoch, said.sequence) for said in (host.agent.report(), host.agent.report(full=True))]
        host.start()
    assert order == sorted(set(order))
    assert [epoch for epoch, _ in order] == [1, 1, 2, 2, 3, 3]


def test_an_order_that_cannot_be_kept_is_not_followed_and_said_so(host: Host) -> None:
    """The cloud orders it again, and then it is done: nothing is lost and nothing has to be started anew."""
    host.full()
    assert not host.order(1)
    assert host.agent.news
    fault = host.agent.report().bodies["u"].fault
    assert fault is not None
    assert (fault.code, fault.permanent) == ("HostDiskFull", False)
    assert "/somewhere/host" in fault.message
    assert host.stub.bodies == {}
    host.full(full=False)
    assert host.order(1)
    host.settle()
    assert host.runs
    assert host.agent.report(full=True).bodies["u"].fault is None


def test_what_came_of_a_step_is_not_forgotten_while_it_cannot_be_written(host: Host) -> None:
    host.order(1)
    host.settle()
    host.agent.report()
    host.full()
    host.stub.end_guest("u")
    with pytest.raises(Fault) as caught:
        host.agent.step("u")
    assert caught.value.code == "HostDiskFull"
    fault = host.agent.report().bodies["u"].fault
    assert fault is not None
    assert "No space left" in fault.message
    host.full(full=False)
    host.settle()
    said = host.agent.report(full=True).bodies["u"]
    assert (said.running, said.satisfied, said.fault) == (False, 1, None)


def test_a_removal_is_confirmed_only_once_it_is_written_down(host: Host) -> None:
    host.order(1)
    host.settle()
    host.full()
    assert not host.remove(2)
    assert host.agent.report(full=True).removed == {}
    assert host.runs
    host.full(full=False)
    assert host.remove(2)
    host.settle()
    assert host.agent.report().removed["u"].revision == (1, 2)


def test_what_keeps_on_falling_is_started_after_longer_and_longer_pauses() -> None:
    """The first time at once; a calm life, or a new request, makes it the first time again."""
    host = Host()
    host.order(1)
    host.settle()
    for waited in (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, LONGEST, LONGEST):
        host.now += 1.0
        host.fall()
        if waited:
            assert host.agent.step("u") == waited
            assert not host.runs
            fault = host.book.entries["u"].fault
            assert fault is not None
            assert fault.code == "GuestFalls"
            host.start()
            host.now += waited
        host.settle()
        assert host.runs
        assert host.book.entries["u"].fault is None
    host.now += CALM
    host.fall()
    host.settle()
    assert host.runs
    host.fall()
    assert host.agent.step("u") == 1.0
    host.order(2, n=2)
    host.settle()
    assert host.runs


def test_a_clock_that_is_set_back_makes_no_pause_longer() -> None:
    host = Host()
    host.order(1)
    host.settle()
    host.now += 1.0
    host.fall()
    host.settle()
    host.fall()
    host.now -= 3600.0
    after = host.agent.step("u")
    assert after is not None
    assert 0 < after <= LONGEST


def test_a_full_disk_does_not_keep_an_agent_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = Agent("h", StubProvider(), FileBook(tmp_path)).book.start.epoch
    monkeypatch.setattr(FileBook, "_write_start", full)
    agent = Agent("h", StubProvider(), FileBook(tmp_path))
    assert agent.book.start.epoch > before
    fault = agent.report().fault
    assert fault is not None
    assert fault.code == "HostDiskFull"


def test_reboots_are_no_falls() -> None:
    host = Host()
    for reboot in range(4):
        host.order(1 + reboot, reboot=reboot)
        host.settle()
    host.fall()
    host.settle()
    assert host.runs


@pytest.mark.parametrize("uuid", ["", "../x", "a/b", ".hidden", "x" * 65, "é"])
def test_an_order_whose_id_is_no_name_of_a_file_is_refused(uuid: str) -> None:
    host = Host()
    assert not host.agent.take(Order(uuid=uuid, revision=(1, 1), why="gone"))
    spec = InstanceSpec(uuid=uuid, revision=(1, 1), power=Power(), vcpus=1, memory=64, ec2_id="i-0")
    assert not host.agent.take(Order(uuid=uuid, revision=(1, 1), spec=spec))
    assert not host.agent.take(Order(uuid="u", revision=(1, 1), spec=spec))
    assert (host.book.entries, host.book.removed) == ({}, {})
