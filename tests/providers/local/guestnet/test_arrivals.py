"""When a guest counts as up: its ssh port answers, or it says no for some time, or nothing for long."""

from __future__ import annotations

import asyncio

from pileus.model.spec import NicSpec
from pileus.providers.local.guestnet.arrivals import PORT, Arrivals, ArrivalTimeouts

NIC = NicSpec(
    uuid="n", ec2_id="eni-1", mac="02:50:00:00:00:01", address="10.0.0.4", cidr="10.0.0.0/24", gateway="10.0.0.1",
    localport="10.0.0.2", localport_mac="02:50:00:00:00:02", network="net",
)  # fmt: skip
QUICK = ArrivalTimeouts(pause=0.001, refusing=0.02, silent=0.06)
PATIENT = ArrivalTimeouts(pause=0.001, refusing=3600.0, silent=3600.0)


class Guest:
    """Answers calls as `answers` say, the last of them for ever; None is a connection."""

    def __init__(self, *answers: type[OSError] | None) -> None:
        self.answers = list(answers)
        self.calls = 0
        self.called = asyncio.Event()

    async def call(self, nic: NicSpec, port: int) -> None:
        """One call."""
        assert (nic, port) == (NIC, PORT)
        self.calls += 1
        self.called.set()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            raise answer


async def awaited(guest: Guest, limits: ArrivalTimeouts) -> list[str]:
    arrived: asyncio.Queue[str] = asyncio.Queue()
    arrivals = Arrivals(guest.call, arrived.put_nowait, limits)
    arrivals.expect("one", NIC)
    arrivals.expect("one", NIC)
    async with asyncio.timeout(30):
        found = [await arrived.get()]
    await arrivals.close()
    while not arrived.empty():
        found.append(arrived.get_nowait())
    return found


def test_a_guest_is_up_when_its_port_answers() -> None:
    guest = Guest(TimeoutError, FileNotFoundError, ConnectionRefusedError, TimeoutError, None)
    assert asyncio.run(awaited(guest, PATIENT)) == ["one"]
    assert guest.calls == 5


def test_a_guest_without_ssh_is_up_after_a_while() -> None:
    guest = Guest(ConnectionRefusedError)
    assert asyncio.run(awaited(guest, QUICK)) == ["one"]
    assert guest.calls > 1


def test_a_guest_that_never_answers_is_up_in_the_end() -> None:
    guest = Guest(TimeoutError)
    assert asyncio.run(awaited(guest, QUICK)) == ["one"]
    assert guest.calls > 1


def test_a_guest_that_is_forgotten_is_called_no_more_and_may_come_again() -> None:
    async def story() -> list[str]:
        guest, arrived = Guest(TimeoutError), asyncio.Queue[str]()
        arrivals = Arrivals(guest.call, arrived.put_nowait, PATIENT)
        arrivals.expect("one", NIC)
        await guest.called.wait()
        arrivals.forget("one")
        arrivals.forget("one")
        assert arrived.empty()
        guest.answers = [None]
        arrivals.expect("one", NIC)
        found = [await arrived.get()]
        await arrivals.close()
        return found

    assert asyncio.run(story()) == ["one"]
