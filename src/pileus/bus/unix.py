"""The bus on one machine: the cloud listens on a unix socket, hosts connect to it. Frames are length and bytes."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import struct
import threading
from typing import TYPE_CHECKING

import msgspec
import structlog

from pileus.bus import messages
from pileus.bus.calls import Calls
from pileus.model import bounds, threads

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pileus.bus.messages import Ask, Open, Opened, Order, Report, ToCloud, ToHost
    from pileus.model.provider import Access

LARGEST = bounds.BUS_FRAME.most
FLOOD = 0.1
"""Seconds for which a connection is not read after a report for which there was no room."""

WAITING = bounds.MESSAGE_QUEUE.most
"""Messages that may wait for a slow peer; more are dropped, for they will be sent again."""

log = structlog.get_logger()


def _ignore(_message: object) -> None: ...


class _Wire:
    """One connection: a thread that reads frames, another that writes what is queued."""

    def __init__(self, link: socket.socket, arrived: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        self._link = link
        self._arrived = arrived
        self._ended = ended
        self._queue: queue.Queue[bytes | None] = queue.Queue(WAITING)

    def start(self) -> None:
        """Begin to read and write. Raises RuntimeError when the machine has no thread left; it is closed then."""
        try:
            for run in (self._read, self._write):
                threads.once(f"bus{run.__name__}", run)
        except RuntimeError:
            self.close()
            self._link.close()
            raise

    def send(self, data: bytes) -> None:
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)

    def _write(self) -> None:
        try:
            while (data := self._queue.get()) is not None:
                self._link.sendall(struct.pack("!I", len(data)) + data)
        except OSError as error:
            log.info("bus connection cannot be written", reason=str(error))
        finally:
            # The other side connects anew: half a connection would last, and say nothing.
            self.close()

    def _read(self) -> None:
        try:
            while True:
                (size,) = struct.unpack("!I", self._exactly(4))
                if size > LARGEST:
                    raise ConnectionError(f"a frame of {size} bytes")
                self._deliver(self._exactly(size))
        except (OSError, EOFError, msgspec.DecodeError) as error:
            log.info("bus connection ended", reason=str(error))
        finally:
            self.close()
            self._link.close()
            self._ended()

    def _deliver(self, data: bytes) -> None:
        """Hand one message over. An error that its handling raises is logged: the next message may be fine."""
        try:
            self._arrived(data)
        except (EOFError, msgspec.DecodeError):
            raise
        except Exception:
            log.exception("message not taken in")

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._link.recv(min(size - len(parts), 1 << 20))
            if not part:
                raise EOFError("closed")
            parts += part
        return bytes(parts)


class CloudEnd:
    """Listens at `path`, in a folder that hosts alone may enter."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wires: dict[str, _Wire] = {}
        self._calls = Calls()
        self._on_report: Callable[[Report], object] = _ignore
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._stopping = threading.Event()

    def listen(self, on_report: Callable[[Report], object]) -> None:
        """Call `on_report` with every report, from the connection's thread: a host's reports stay in order.

        Where it returns False, for want of room, that connection waits a moment, and no other one.
        """
        self._on_report = on_report

    def start(self) -> None:
        """Begin to accept."""
        aside = self._path.with_suffix(".new")
        aside.unlink(missing_ok=True)
        self._socket.bind(str(aside))
        aside.chmod(0o600)
        self._socket.listen(16)
        aside.rename(self._path)
        threads.Thread("bus-accept", self._accept, self._stopping).start()

    def stop(self) -> None:
        """Close every connection."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # or the thread that accepts would take one more
        self._socket.close()
        for wire in list(self._wires.values()):
            wire.close()

    def send(self, host: str, message: Order | Ask) -> None:
        """Send a message; lost when the host is not connected."""
        wire = self._wires.get(host)
        if wire is not None:
            wire.send(messages.encode(message))

    def open(self, host: str, request: Open) -> Access:
        """Have a host open a channel."""
        wire = self._wires.get(host)
        return self._calls.ask(request, (lambda: wire.send(messages.encode(request))) if wire else None)

    def _accept(self) -> None:
        link, _ = self._socket.accept()
        _Accepted(self, link).start()

    def joined(self, host: str, wire: _Wire) -> None:
        """A host said its name: its earlier connection, if there is one, is of no use any more."""
        old = self._wires.get(host)
        self._wires[host] = wire
        if old is not None and old is not wire:
            old.close()
        log.info("host connected", host=host)

    def left(self, host: str, wire: _Wire) -> None:
        """A connection ended."""
        if self._wires.get(host) is wire:
            del self._wires[host]
            log.info("host disconnected", host=host)

    def said(self, message: ToCloud) -> None:
        """A host's report or answer."""
        if isinstance(message, messages.Report):
            if self._on_report(message) is False:
                self._stopping.wait(FLOOD)
        elif isinstance(message, messages.Opened):
            self._calls.answer(message)


class _Accepted:
    """The cloud's side of one connection; nothing is taken from it before it said which host it is."""

    def __init__(self, end: CloudEnd, link: socket.socket) -> None:
        self._end = end
        self._host = ""
        self._wire = _Wire(link, self._arrived, self._ended)

    def start(self) -> None:
        """Begin to take messages. Raises RuntimeError as `_Wire.start` does."""
        self._wire.start()

    def _arrived(self, data: bytes) -> None:
        message = messages.decode_to_cloud(data)
        if message is None and self._host:
            return
        if isinstance(message, messages.Hello):
            self._host = message.host
            self._end.joined(message.host, self._wire)
        elif not self._host or (isinstance(message, messages.Report) and message.host != self._host):
            raise EOFError("a host that did not say its own name")
        elif message is not None:
            self._end.said(message)

    def _ended(self) -> None:
        if self._host:
            self._end.left(self._host, self._wire)


class HostEnd:
    """Connects to the cloud at `path` as `host`, again and again for as long as it runs."""

    def __init__(self, path: Path, host: str) -> None:
        self._path = path
        self._host = host
        self._wire: _Wire | None = None
        self._on_message: Callable[[ToHost], None] = _ignore
        self._lost = threading.Event()
        self._stopping = threading.Event()

    def listen(self, on_message: Callable[[ToHost], None]) -> None:
        """Begin to connect and deliver."""
        self._on_message = on_message
        threads.Thread("bus-connect", self._connect, self._stopping).start()

    def send(self, message: Report | Opened) -> None:
        """Send to the cloud; lost while not connected."""
        wire = self._wire
        if wire is not None:
            wire.send(messages.encode(message))

    def stop(self) -> None:
        """Close the connection for good."""
        self._stopping.set()
        self._lost.set()
        if self._wire is not None:
            self._wire.close()

    def _connect(self) -> None:
        """Connect once, and return when that connection has ended."""
        self._lost.clear()
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.connect(os.fspath(self._path))
        except OSError:
            link.close()
            self._stopping.wait(0.2)
            return
        wire = self._wire = _Wire(link, self._arrived, self._lost.set)
        wire.send(messages.encode(messages.Hello(host=self._host)))
        try:
            wire.start()
            # A new connection begins with all that there is to say.
            self._on_message(messages.Ask())
            self._lost.wait()
        finally:
            self._wire = None
            wire.close()

    def _arrived(self, data: bytes) -> None:
        message = messages.decode_to_host(data)
        if message is not None:
            self._on_message(message)
