"""Targets at the edge of a cloud: connections, uploads, streams, hosts that join, and the mcc tools."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import tempfile
from base64 import encodebytes
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pileus.app import certificates, serving, streams, uploads
from pileus.app.connections import Connections, Limits
from pileus.app.hostdoor import HostDoor
from pileus.app.http import body_of, respond
from pileus.app.protocol import HttpProtocol
from pileus.app.settings import Settings
from pileus.faces.wire.http import Response
from pileus.mcc import xmlrpc
from pileus.mcc.keys import Keys
from pileus.model.errors import Fault, PileusError
from tests.faces.mcc.test_face import Mcc
from tests.fuzz.target import Target, Undone, Work, text
from tests.site import Site

# -- one connection ----------------------------------------------------------------------------------------------------

_LONG = b"a" * 8192


class _Transport(asyncio.Transport):
    """A connection of nobody's: what is written goes nowhere."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self._loop = loop
        self._protocol: Any = None
        self._closing = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give what comes to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return who gets what comes."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        """Return whether either side has ended it."""
        return self._closing

    def close(self) -> None:
        """End it."""
        if not self._closing:
            self._closing = True
            self._loop.call_soon(lambda: self._protocol.connection_lost(None))

    def abort(self) -> None:
        """End it."""
        self.close()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Pass bytes over."""
        assert not bytes(data[:12]).startswith(b"HTTP/1.1 500"), bytes(data)

    def can_write_eof(self) -> bool:
        """Return that a half can be closed."""
        return True

    def write_eof(self) -> None:
        """Close that half."""

    def pause_reading(self) -> None:
        """Do nothing: the fuzzer sends on."""

    def resume_reading(self) -> None:
        """Do nothing."""

    def get_write_buffer_size(self) -> int:
        """Return that nothing waits."""
        return 0


class _Errors(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(logging.Formatter().format(record))


async def _application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        streams.target(scope["path"])
        await send({"type": "websocket.close", "code": 1008})
        return
    status = 200
    try:
        await body_of(scope, receive, 1000)
    except Exception:  # noqa: BLE001  (a body that is too large, or a client that has left)
        status = 413
    await respond(scope, send, Response(status, {}, b"ok"))


def _connections() -> Work:
    loop = asyncio.new_event_loop()
    errors = _Errors()
    logging.getLogger("uvicorn.error").addHandler(errors)
    logging.getLogger("uvicorn.error").propagate = False
    loop.set_exception_handler(lambda _loop, context: errors.lines.append(str(context)))
    asyncio.set_event_loop(loop)
    among = Connections(Limits(100, 50))
    server = serving.server(_application, among)
    server.config.load()

    async def admit(protocol: HttpProtocol) -> None:
        assert among.admit(protocol)

    def turn() -> None:
        loop.call_soon(loop.stop)
        loop.run_forever()

    def work(data: bytes) -> None:
        sent = data.removeprefix(b"!").replace(b"~", _LONG)
        size = max(97, len(sent) // 20) if data[:1] == b"!" else max(1, len(sent))
        transport = _Transport(loop)
        protocol = HttpProtocol(server.config, server.server_state, {}, loop, connections=among)
        loop.run_until_complete(admit(protocol))
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        for at in range(0, len(sent), size):
            if not transport.is_closing():
                transport.get_protocol().data_received(sent[at : at + size])  # type: ignore[attr-defined]
                turn()
        transport.close()
        for _ in range(50):
            turn()
            if not server.server_state.tasks:
                break
        assert not errors.lines, errors.lines
        assert not len(among)
        assert not server.server_state.tasks

    return work


_HEADS = (
    b"GET /v1/instances HTTP/1.1\r\nhost: a\r\nauthorization: Bearer x\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n2;x=~\r\nok\r\n0\r\ny: z\r\n\r\n",
    (
        b"GET /v1/instances/i-1/connect/22 HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\x81\x80\0\0\0\0"
    ),
    b"GET http://a:1/%41?b HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nx: ~~~~~~~~~\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n" * 40,
    b"!GET /" + b"a" * 300 + b" HTTP/1.1\r\nx: ~\r\n y\r\n\r\n",
)

# -- uploads and streams -----------------------------------------------------------------------------------------------


def _uploads() -> Work:
    site = Site()
    caller, undone = site.caller("blue"), Undone(site.store)

    def work(data: bytes) -> None:
        with contextlib.suppress(PileusError):
            upload = uploads.read(dict(parse_qsl(text(data), keep_blank_values=True)))
            uploads.register(caller, site.core, upload, uploads.Disk("qcow2", 1 << 20), "0" * 64, 1)
            site.work()
        undone.count()

    return work


def _stream_paths() -> Work:
    site = Site()
    caller = site.caller("blue")

    def work(data: bytes) -> None:
        wanted = streams.target(data.decode("utf-8", "replace"))
        if wanted is not None:
            refusal: PileusError | Fault | None = None
            try:
                streams.access(caller, site.core, wanted)
            except (PileusError, Fault) as error:
                refusal = error
            assert refusal is None or len(streams.reason(refusal).encode()) <= streams.CLOSE_REASON

    return work


# -- hosts that join ---------------------------------------------------------------------------------------------------


def _door(folder: Path) -> tuple[Site, HostDoor]:
    site = Site()
    cloud: Any = SimpleNamespace(core=site.core, settings=Settings(), processes=lambda: 1)
    return site, HostDoor(cloud, certificates.authority(folder))


def _joins() -> Work:
    folder = Path(tempfile.mkdtemp(prefix="pileus-fuzz-"))
    site, door = _door(folder)
    request = json.dumps(certificates.new_request("h1")[1].decode()).encode()
    undone = Undone(site.store)

    def work(data: bytes) -> None:
        line, _, body = data.partition(b"\n")
        method, _, path = text(line).partition(" ")
        scope = {"method": method, "path": f"/internal/{path}", "host": ("h1", "1") if b"~h~" in body else None}
        with contextlib.suppress(PileusError):
            door._answer(scope, body.replace(b"~r~", request))
        undone.count()

    return work


def _certificate_requests() -> Work:
    authority = certificates.authority(Path(tempfile.mkdtemp(prefix="pileus-fuzz-")))
    begin, end = b"-----BEGIN CERTIFICATE REQUEST-----\n", b"-----END CERTIFICATE REQUEST-----\n"

    def work(data: bytes) -> None:
        pem = data if data.startswith(b"-") else begin + encodebytes(data) + end
        with contextlib.suppress(PileusError):
            authority.host(pem, "h1")

    return work


def _request() -> bytes:
    pem = certificates.new_request("h1")[1]
    return x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER)


# -- the mcc tools -----------------------------------------------------------------------------------------------------


def _mcc_calls() -> Work:
    mcc = Mcc()
    undone = Undone(mcc.site.store)

    def work(data: bytes) -> None:
        answer = mcc.post(data)
        assert answer.code != "Internal", answer.body
        assert answer.status < 500, answer.body
        mcc.site.sent.clear()
        undone.count()

    return work


def _key_names() -> Work:
    folder = Path(tempfile.mkdtemp(prefix="pileus-fuzz-"))
    keys = Keys(folder / "mcc" / "keys")

    def work(data: bytes) -> None:
        name, _, key = data.decode("utf-8", "surrogateescape").partition("\n")
        with contextlib.suppress(ValueError, OSError):  # names that are too long for a file
            keys.add(name, key)
            assert keys.names() == [name]
            keys.text(name)
            keys.remove(name)
        assert [path.name for path in folder.rglob("*")] == ["mcc", "keys"]

    return work


TARGETS = {
    "connections": Target(
        make=_connections,
        seeds=_HEADS,
        words=(
            "transfer-encoding: chunked",
            "connection: upgrade",
            "upgrade: websocket",
            "HTTP/1.1",
            "content-length:",
        ),
    ),
    "uploads": Target(
        make=_uploads,
        seeds=(b"name=a&format=qcow2&kind=machine&min_memory=64&min_disk=1&description=d&architecture=x86_64",),
        words=("login_user", "digest", "public=true", "min_memory", "container", "%00"),
        largest=1024,
    ),
    "stream-paths": Target(
        make=_stream_paths, seeds=(b"/v1/instances/i-1/connect/22", b"/v1/instances/%C3%A9/connect/65536"), largest=1024
    ),
    "joins": Target(
        make=_joins,
        seeds=(
            b'POST join\n{"token":"pileus_join_x.y","request":~r~,"name":"h1","zone":"z"}',
            b'POST renew\n{"request":~r~} ~h~',
            b"GET host\n~h~",
            b"GET ca\n",
        ),
    ),
    "certificate-requests": Target(make=_certificate_requests, seeds=(_request(), certificates.new_request("a")[1])),
    "mcc-calls": Target(
        make=_mcc_calls,
        seeds=(
            xmlrpc.call("openvz.get_instances", [{"instance": "500"}]),
            xmlrpc.call("openvz.get_instances", [{"all": True}]),
            xmlrpc.call("openvz.run_instance", ["centos", "basic", "ssh-rsa AAAA me", "name"]),
            xmlrpc.call("openvz.run_instance", ["ubuntu"]),
            xmlrpc.call("openvz.destroy_instance", ["500"]),
            xmlrpc.call("openvz.destroy_instance", [500]),
            xmlrpc.call("openvz.get_images", []),
        ),
        words=(
            "<double>",
            "<i4>",
            "<boolean>",
            "<struct>",
            "<array><data>",
            "<nil/>",
            "<base64>",
            "<dateTime.iso8601>",
        ),
    ),
    "key-names": Target(make=_key_names, seeds=(b"mine\nssh-rsa AAAA", b"../x\n"), largest=512),
}
"""These targets by name."""
