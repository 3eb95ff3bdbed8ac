"""Objects and credentials for hosts, on a unix socket in a folder that only the cloud and root enter.

GET /internal/objects/SHA256     an object that instances start from
GET /internal/credentials/UUID   credentials of the role of an instance
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from pileus.model import disk
from pileus.model.errors import Fault, NotFound, PileusError
from pileus.model.rolecredentials import RoleCredentials
from pileus.objects import ObjectStore
from pileus.posix.files import put_in_place

_GET = re.compile(rb"GET /internal/objects/([0-9a-f]{64}) HTTP/1\.[01]\r?\n")
_CREDENTIALS = re.compile(rb"GET /internal/credentials/([0-9a-f-]{36}) HTTP/1\.[01]\r?\n")
_LARGEST = 16 << 10
_PATIENCE = 60.0
_CHUNK = 1 << 20

log = structlog.get_logger()


class ObjectServer:
    """Gives objects, and what `credentials` returns for an instance, to root and to the cloud's own user.

    One per connection.
    """

    def __init__(self, objects: ObjectStore, path: Path, credentials: Callable[[str], RoleCredentials]) -> None:
        self._objects = objects
        self._credentials = credentials
        self._path = path
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _peer(writer) in (0, os.geteuid()):
                async with asyncio.timeout(_PATIENCE):
                    request_line = await reader.readline()
                await self._give(request_line, writer)
        except (OSError, TimeoutError, ValueError) as error:
            log.warning("object not given", reason=str(error))
        finally:
            writer.close()

    async def _give(self, request_line: bytes, writer: asyncio.StreamWriter) -> None:
        instance = _CREDENTIALS.fullmatch(request_line)
        if instance is not None:
            await self._give_credentials(instance[1].decode(), writer)
            return
        match = _GET.fullmatch(request_line)
        try:
            if match is None:
                raise NotFound("no such path")
            file = self._objects.open(match[1].decode())
        except NotFound:
            await _refuse(writer)
            return
        with file:
            size = os.fstat(file.fileno()).st_size
            head = f"HTTP/1.0 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: {size}\r\n\r\n"
            writer.write(head.encode())
            await writer.drain()
            while part := await asyncio.to_thread(file.read, _CHUNK):
                writer.write(part)
                await writer.drain()

    async def _give_credentials(self, uuid: str, writer: asyncio.StreamWriter) -> None:
        try:
            body = msgspec.json.encode(await asyncio.to_thread(self._credentials, uuid))
        except PileusError as error:
            log.info("credentials not given", uuid=uuid, reason=error.message)
            await _refuse(writer)
            return
        writer.write(f"HTTP/1.0 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()


async def _refuse(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.0 404 Not Found\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()


def _peer(writer: asyncio.StreamWriter) -> int:
    """The user id of whoever is at the other end."""
    link: socket.socket = writer.get_extra_info("socket")
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


def near(server: Path) -> socket.socket:
    """A connection to the cloud on this machine. Raises OSError."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(_PATIENCE)
    try:
        link.connect(os.fspath(server))
    except OSError:
        link.close()
        raise
    return link


def fetch_credentials(dial: Callable[[], socket.socket], uuid: str) -> RoleCredentials:
    """Return the credentials of the role of an instance of this host, over a connection. Raises Fault."""
    try:
        with dial() as link, link.makefile("rb") as stream:
            link.sendall(f"GET /internal/credentials/{uuid} HTTP/1.0\r\n\r\n".encode())
            status = stream.readline()
            while stream.readline().strip():
                pass
            body = stream.read(_LARGEST)
        if b" 200 " not in status:
            reason = "the cloud knows no role of the instance that it may assume"
            raise Fault("RoleUnavailable", reason if b" 404 " in status else status.decode("latin-1").strip())
        return msgspec.json.decode(body, type=RoleCredentials)
    except (OSError, msgspec.MsgspecError) as error:
        raise Fault("RoleUnavailable", f"the credentials cannot be had now: {error}") from error


def fetch(dial: Callable[[], socket.socket], digest: str, target: Path) -> None:
    """Bring an object to `target`, whole or not at all, over a connection; whoever uses it verifies its digest.

    Raises Fault: ImageMissing, ImageUnavailable, HostDiskFull.
    """
    aside, size = target.with_name(f".{target.name}.{secrets.token_hex(4)}"), -1
    try:
        with dial() as link, link.makefile("rb") as stream, aside.open("xb") as file:
            link.sendall(f"GET /internal/objects/{digest} HTTP/1.0\r\n\r\n".encode())
            status = stream.readline()
            while (line := stream.readline()).strip():
                name, _, value = line.decode("latin-1").partition(":")
                size = int(value) if name.lower() == "content-length" else size
            if b" 403 " in status:
                raise Fault("HostRefused", "the cloud does not take this host for one of its own: was it removed?")
            if b" 404 " in status:
                raise Fault("ImageMissing", f"the cloud has no object {digest}", permanent=True)
            if (room := shutil.disk_usage(target.parent).free) < size:
                raise _full(target.parent, size, room)
            while part := stream.read(_CHUNK):
                file.write(part)
            if b" 200 " not in status or file.tell() != size:
                raise Fault("ImageUnavailable", f"the object {digest} came with {file.tell()} of {size} bytes")
        put_in_place(aside, target)
    except (OSError, ValueError) as error:
        if disk.trouble(error) == disk.FULL:
            raise _full(target.parent, size, shutil.disk_usage(target.parent).free) from error
        raise Fault("ImageUnavailable", f"the object {digest} cannot be had now: {error}") from error
    finally:
        aside.unlink(missing_ok=True)


def _full(folder: Path, size: int, room: int) -> Fault:
    mib = 1 << 20
    text = f"{folder} has room for {room // mib} MiB, and the image takes {-(-size // mib)}: free some there"
    return Fault("HostDiskFull", text)
