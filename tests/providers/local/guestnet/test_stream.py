"""Splicing two sockets, every byte, both ways, through half-closes and breaks; and calling until somebody answers."""

import asyncio
import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.providers.local.guestnet import stream
from pileus.providers.local.guestnet.stream import first_of, splice, while_held


def pair() -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    return one, other


async def send(sock: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(sock, data)
    sock.shutdown(socket.SHUT_WR)


async def receive(sock: socket.socket) -> bytes:
    data = bytearray()
    while chunk := await asyncio.get_running_loop().sock_recv(sock, 65536):
        data += chunk
    return bytes(data)


async def exchange(there: bytes, back: bytes) -> tuple[bytes, bytes]:
    """What each end receives when the client ends its sending before the guest begins to answer."""
    (client, outer), (inner, guest) = pair(), pair()
    with client, outer, inner, guest:
        running = asyncio.create_task(splice(outer, inner))
        got, _ = await asyncio.gather(receive(guest), send(client, there))
        answer, _ = await asyncio.gather(receive(client), send(guest, back))
        await running
        return got, answer


@given(there=st.binary(max_size=200), back=st.binary(max_size=200))
def test_bytes_pass_both_ways_through_half_closes(there: bytes, back: bytes) -> None:
    assert asyncio.run(exchange(there, back)) == (there, back)


def test_more_than_every_buffer_passes() -> None:
    there, back = b"x" * 3_000_000, bytes(range(256)) * 10_000
    assert asyncio.run(exchange(there, back)) == (there, back)


async def held_back() -> int:
    """How many bytes a writer gets rid of while nobody reads at the other end."""
    (client, outer), (inner, guest) = pair(), pair()
    with client, outer, inner, guest:
        running = asyncio.create_task(splice(outer, inner))
        sent, stalled = 0, 0
        while stalled < 50:
            try:
                sent += client.send(b"x" * 65536)
                stalled = 0
            except BlockingIOError:
                stalled += 1
            await asyncio.sleep(0)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return sent


def test_a_slow_reader_slows_its_writer() -> None:
    assert asyncio.run(held_back()) < 4_000_000


async def broken() -> None:
    (client, outer), (inner, guest) = pair(), pair()
    with client, outer, inner:
        running = asyncio.create_task(splice(outer, inner))
        guest.close()
        await asyncio.get_running_loop().sock_sendall(client, b"anybody there?")
        await running


def test_a_break_on_one_side_ends_the_splice() -> None:
    with pytest.raises(ExceptionGroup) as error:
        asyncio.run(broken())
    assert error.group_contains(BrokenPipeError)


async def silence() -> socket.socket:
    await asyncio.Event().wait()
    raise AssertionError


async def second_call() -> tuple[int, int]:
    """The calls that a guest gets which hears none but the second, and the bytes that come by the answer."""
    here, there = pair()
    calls = 0

    async def call() -> socket.socket:
        nonlocal calls
        calls += 1
        return here if calls == 2 else await silence()

    with there, await first_of(call, 60) as answer:
        there.send(b"hello")
        return calls, len(await asyncio.get_running_loop().sock_recv(answer, 100))


def test_a_guest_that_did_not_hear_the_first_call_is_called_again() -> None:
    assert asyncio.run(second_call()) == (2, 5)


async def late() -> bytes:
    """What the peer of an answer reads that came when another had been taken already."""
    here, there = pair()
    taken, _other = pair()
    arrived = asyncio.Event()
    calls = 0

    async def call() -> socket.socket:
        nonlocal calls
        calls += 1
        if calls == 2:
            arrived.set()
            return taken
        await arrived.wait()
        return here

    with taken, _other, there:
        (await first_of(call, 60)).close()
        return await receive(there)


def test_a_second_answer_is_hung_up() -> None:
    assert asyncio.run(late()) == b""


def test_a_refusal_is_an_answer() -> None:
    async def call() -> socket.socket:
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        asyncio.run(first_of(call, 60))


async def hung_up() -> None:
    caller, outer = pair()
    caller.close()
    with outer:
        await while_held(outer, silence())


def test_nobody_is_called_for_one_who_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "GONE", 0.0)
    with pytest.raises(TimeoutError):
        asyncio.run(hung_up())


async def in_the_air(wanted: int) -> int:
    """How many calls wait at the same time, at most, of a guest that answers the one numbered `wanted` alone."""
    here, there = pair()
    calls = waiting = most = 0

    async def call() -> socket.socket:
        nonlocal calls, waiting, most
        calls, waiting = calls + 1, waiting + 1
        most = max(most, waiting)
        try:
            return here if calls == wanted else await silence()
        finally:
            waiting -= 1

    with there:
        (await first_of(call, 60)).close()
    return most


def test_a_guest_that_answers_late_has_few_calls_to_answer() -> None:
    assert asyncio.run(in_the_air(6)) <= 3
