"""Channels of another machine: TLS, the host's own certificate, a ticket that opens once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.app import streams
from pileus.bus import channels, tlschannels
from pileus.bus.channels import read_all
from pileus.bus.tlschannels import ListenAddress, TlsChannelServer
from pileus.model.errors import Unavailable
from pileus.model.provider import Access
from tests.bus.waiting import until
from tests.services.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pileus.bus.tls import TlsFiles
    from pileus.model.provider import Stream

pytestmark = pytest.mark.loopback
ADDRESS = ListenAddress(address="127.0.0.1", port=0, name="127.0.0.1")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server(authority: Authority) -> Iterator[TlsChannelServer]:
    with serving(authority.issue("h1")) as made:
        yield made


@contextlib.contextmanager
def serving(tls: TlsFiles) -> Iterator[TlsChannelServer]:
    made = TlsChannelServer(ADDRESS, tls)
    made.start()
    yield made
    made.stop()


def known(access: Access, authority: Authority, name: str = "h1") -> Access:
    """As the cloud's end of the bus completes it."""
    return msgspec.structs.replace(access, name=name, ca=str(authority.ca))


def echo(link: Stream) -> None:
    while data := link.recv(65536):
        link.sendall(data.upper())


def test_many_bytes_pass(server: TlsChannelServer, authority: Authority) -> None:
    sent = bytes(range(256)) * 20_000
    offered = known(server.offer(lambda link: link.sendall(sent)), authority)
    assert offered.address == f"tcp://127.0.0.1:{server.port}"
    assert read_all(offered) == sent
    with pytest.raises(Unavailable):
        read_all(msgspec.structs.replace(offered, address="tcp://127.0.0.1:1"))


def test_a_ticket_opens_once(server: TlsChannelServer, authority: Authority) -> None:
    one = known(server.offer(lambda link: link.sendall(b"one")), authority)
    assert read_all(one) == b"one"
    assert read_all(one) == b""
    assert read_all(msgspec.structs.replace(one, ticket="wrong")) == b""


def test_both_ways_at_once(server: TlsChannelServer, authority: Authority) -> None:
    with channels.dial(known(server.offer(echo), authority), 20) as link:
        for size in (1, 70_000, 3):
            link.sendall(b"x" * size)
            back = b""
            while len(back) < size:
                back += link.recv(65536)
            assert back == b"X" * size


def test_what_serves_gets_a_socket_of_its_own(server: TlsChannelServer, authority: Authority) -> None:
    """A provider may go by the descriptor, as it does when it splices."""

    def serve(link: Stream) -> None:
        with socket.socket(fileno=os.dup(link.fileno())) as own:
            own.sendall(own.recv(100)[::-1])

    with channels.dial(known(server.offer(serve), authority), 20) as link:
        link.sendall(b"abc")
        assert link.recv(100) == b"cba"


def test_nothing_is_left_open_of_one_that_is_stopped_in_the_middle(authority: Authority) -> None:
    """What is left is closed by the collector, whose warning fails whichever test runs then."""
    for pause in (0.0, 0.001, 0.005, 0.02):
        with serving(authority.issue("h1")) as server:
            links = [channels.dial(known(server.offer(echo), authority), 20) for _ in range(2)]
            links[0].sendall(b"x" * 100_000)
            time.sleep(pause)
            links[1].close()
            time.sleep(pause)
        links[0].close()
        gc.collect()


async def said_hello(offered: Access) -> bytes:
    """The answer to "hello" on a stream that the edge dials."""
    async with streams.dialled(offered) as (reader, writer):
        writer.write(b"hello")
        return await reader.readexactly(5)


def test_the_edge_dials_it(server: TlsChannelServer, authority: Authority) -> None:
    assert asyncio.run(said_hello(known(server.offer(echo), authority))) == b"HELLO"


def test_only_the_hosts_own_certificate_is_believed(authority: Authority, tmp_path: Path) -> None:
    foreign = Authority(tmp_path / "foreign")
    cases = [authority.issue("h2"), authority.issue("h1", expired=True), foreign.issue("h1")]
    for tls in cases:
        with serving(tls) as server:
            offered = known(server.offer(lambda link: link.sendall(b"secret")), authority)
            with pytest.raises(Unavailable, match=r"(?i)certificate"):
                read_all(offered)
            with pytest.raises(Unavailable, match=r"(?i)certificate"):
                asyncio.run(said_hello(offered))


def test_strangers_are_bounded_and_sent_away(
    server: TlsChannelServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tlschannels, "STRANGERS", 4)
    monkeypatch.setattr(tlschannels, "FIRST", 1.0)
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 20)) for _ in range(6)]
        for link in silent:
            assert link.recv(1) == b""
    until(lambda: server._strangers == 0)
    monkeypatch.undo()  # who is no stranger may be slow
    assert read_all(known(server.offer(lambda link: link.sendall(b"still here")), authority)) == b"still here"


def test_a_stopped_server_takes_nobody_in(authority: Authority) -> None:
    with serving(authority.issue("h1")) as server:
        offered = known(server.offer(echo), authority)
        link = channels.dial(offered, 20)
    with link:
        try:
            assert link.recv(1) == b""
        except (ConnectionResetError, ssl.SSLError):
            """Cut off in the middle is as good."""
    with pytest.raises(Unavailable):
        read_all(offered)
