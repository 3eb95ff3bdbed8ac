"""Channels: a ticket opens once, for a while, and nothing opens without one."""

from __future__ import annotations

import socket
import stat
import time
from typing import TYPE_CHECKING

import pytest

from pileus.bus.channels import PATIENCE, ChannelServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pileus.model.provider import Stream


@pytest.fixture
def server(short: Path) -> Iterator[ChannelServer]:
    made = ChannelServer(short / "channels")
    made.start()
    yield made
    made.stop()


def echo(link: Stream) -> None:
    while data := link.recv(65536):
        link.sendall(data.upper())


def ask(address: str, said: bytes) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(20)
    try:
        link.connect(address)
        link.sendall(said)
    except OSError:
        link.close()
        raise
    return link


def everything(link: socket.socket) -> bytes:
    with link:
        link.shutdown(socket.SHUT_WR)
        parts = []
        while part := link.recv(65536):
            parts.append(part)
        return b"".join(parts)


def hung_up_on(link: socket.socket) -> bool:
    """Whether nothing comes: the end, or a reset when what was said was not all read."""
    try:
        return everything(link) == b""
    except ConnectionResetError:
        return True


def test_a_ticket_opens_its_own_channel_once(server: ChannelServer) -> None:
    one = server.offer(lambda link: link.sendall(b"one"))
    two = server.offer(echo)
    assert everything(ask(two.address, two.ticket.encode() + b"\nbytes")) == b"BYTES"
    assert everything(ask(one.address, one.ticket.encode() + b"\n")) == b"one"
    assert hung_up_on(ask(one.address, one.ticket.encode() + b"\n"))


def test_many_bytes_pass(server: ChannelServer) -> None:
    sent = bytes(range(256)) * 20_000
    offered = server.offer(lambda link: link.sendall(sent))
    assert everything(ask(offered.address, offered.ticket.encode() + b"\n")) == sent


@pytest.mark.parametrize("said", [b"\n", b"wrong\n", b"x" * 1000, b"\xff\xfe\n", b"no end"])
def test_nothing_opens_without_a_ticket(server: ChannelServer, said: bytes) -> None:
    offered = server.offer(echo)
    assert hung_up_on(ask(offered.address, said))
    assert everything(ask(offered.address, offered.ticket.encode() + b"\nstill good")) == b"STILL GOOD"


def test_a_ticket_expires(server: ChannelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    old, new = server.offer(echo), server.offer(echo)
    now[0] += PATIENCE - 1
    assert everything(ask(new.address, new.ticket.encode() + b"\na")) == b"A"
    now[0] += 2
    assert hung_up_on(ask(old.address, old.ticket.encode() + b"\na"))
    server.offer(echo)
    assert len(server._offers) == 1  # what nobody fetched is forgotten


def test_who_may_connect(server: ChannelServer, short: Path) -> None:
    assert stat.S_IMODE((short / "channels").stat().st_mode) == 0o660


def test_a_stopped_server_takes_nobody_in(short: Path) -> None:
    made = ChannelServer(short / "other")
    made.start()
    offered = made.offer(echo)
    made.stop()
    with pytest.raises(FileNotFoundError):
        ask(offered.address, b"")
    again = ChannelServer(short / "other")
    again.start()
    assert hung_up_on(ask(offered.address, offered.ticket.encode() + b"\na"))
    again.stop()
