"""A command within a container, for the length of a channel: frames of its client, the streams of its process."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from typing import TYPE_CHECKING

from pileus.model.errors import Fault
from pileus.model.execution import CHUNK, FrameKind, FrameReader, decode_command, decode_window, encode

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pileus.model.execution import Command, Frame
    from pileus.providers.local.container.attach import Attached

    Start = Callable[[Command], Attached]

FIRST = 30.0
"""Seconds that a client may take to send its command."""

LAST = 0.5
"""Seconds after the end of a command in which its output is still read: what it started may keep that open."""

GRACE = 2.0
"""Seconds that a command has to end after its client has gone, before it is killed."""

_UNSENT = 4 * CHUNK
"""Bytes of input that wait for the command; beyond that nothing more is read of the client."""


def serve(link: socket.socket, start: Start) -> None:
    """Read a command from `link`, have `start` run it, and pass its streams on until it ends or the client goes.

    A command that did not start ends with a FAILURE frame. Raises OSError when the client has gone.
    """
    reader = FrameReader()
    try:
        command, frames = _command(link, reader)
        attached = start(command)
    except (ValueError, Fault, OSError) as error:
        link.sendall(encode(FrameKind.FAILURE, _words(error).encode()))
        return
    try:
        Execution(link, reader, attached).run(frames)
    finally:
        attached.close()


def _command(link: socket.socket, reader: FrameReader) -> tuple[Command, list[Frame]]:
    """The command, and the frames that came along with it."""
    link.settimeout(FIRST)
    frames: list[Frame] = []
    while not frames:
        data = link.recv(CHUNK)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "the client has gone")
        frames = reader.feed(data)
    link.settimeout(None)
    if frames[0].kind is not FrameKind.COMMAND:
        raise ValueError("The first frame is not a command.")
    return decode_command(frames[0].data), frames[1:]


def _words(error: Exception) -> str:
    return error.message if isinstance(error, Fault) else str(error)


class Execution:
    """One command that runs: polls the client, the command's streams and the command's end."""

    def __init__(self, link: socket.socket, reader: FrameReader, attached: Attached) -> None:
        self._link = link
        self._reader = reader
        self._attached = attached
        self._unsent = bytearray()
        self._closing = False  # the client's input has ended; what is unsent is still written
        self._open = {attached.output: FrameKind.OUTPUT}
        if attached.errors >= 0:
            self._open[attached.errors] = FrameKind.ERRORS
        self._status: int | None = None
        self._until = float("inf")

    def run(self, frames: list[Frame]) -> None:
        """Serve until the command has ended and its output is read, or the client has gone. Raises OSError."""
        os.set_blocking(self._attached.input, False)
        handle = os.pidfd_open(self._attached.pid)
        try:
            self._take(frames)
            while self._status is None or (self._open and time.monotonic() < self._until):
                for descriptor, _ in self._poll(handle):
                    self._handle(descriptor, handle)
            self._link.sendall(encode(FrameKind.EXIT, bytes([self._status])))
        finally:
            self._end(handle)
            os.close(handle)

    def _poll(self, handle: int) -> list[tuple[int, int]]:
        poll = select.poll()
        for descriptor in self._open:
            poll.register(descriptor, select.POLLIN)
        if self._status is None:
            poll.register(handle, select.POLLIN)
            # Without room for input a client that has gone is still heard of.
            poll.register(self._link.fileno(), select.POLLIN if len(self._unsent) < _UNSENT else 0)
            if self._unsent and self._attached.input >= 0:
                events = select.POLLOUT | (select.POLLIN if self._attached.input in self._open else 0)
                poll.register(self._attached.input, events)
        left = self._until - time.monotonic()
        return poll.poll(None if left == float("inf") else max(0.0, left) * 1000)

    def _handle(self, descriptor: int, handle: int) -> None:
        if descriptor == handle:
            code = os.waitstatus_to_exitcode(os.waitpid(self._attached.pid, 0)[1])
            self._status, self._until = (code if code >= 0 else 128 - code), time.monotonic() + LAST
            return
        if descriptor == self._link.fileno():
            data = self._link.recv(CHUNK) if len(self._unsent) < _UNSENT else b""
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "the client has gone")
            self._take(self._reader.feed(data))
            return
        if descriptor == self._attached.input:
            self._write()
        if descriptor in self._open:
            self._pass_on(descriptor)

    def _take(self, frames: list[Frame]) -> None:
        """Do what the frames of the client say. Raises OSError for frames that are none of a client's."""
        for frame in frames:
            if frame.kind is FrameKind.INPUT:
                # What follows the end of the input has nowhere to go.
                self._unsent += b"" if self._closing else frame.data
                self._closing = self._closing or not frame.data
            elif frame.kind is FrameKind.WINDOW:
                self._attached.resize(decode_window(frame.data))
            else:
                raise ConnectionAbortedError(errno.ECONNABORTED, "no frame of a client")
        if self._closing and not self._unsent:
            self._attached.close_input()

    def _write(self) -> None:
        """Write unsent input, as much as the command takes now."""
        try:
            del self._unsent[: os.write(self._attached.input, self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            # The command takes no input any more.
            self._unsent.clear()
            self._closing = True
        if self._closing and not self._unsent:
            self._attached.close_input()

    def _pass_on(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a terminal that nobody has open any more (EIO)
        if data:
            self._link.sendall(encode(self._open[descriptor], data))
        else:
            del self._open[descriptor]

    def _end(self, handle: int) -> None:
        """End a command whose client has gone, and reap it."""
        if self._status is not None:
            return
        self._attached.send(signal.SIGHUP)
        self._attached.send(signal.SIGTERM)
        if not select.select([handle], [], [], GRACE)[0]:
            self._attached.send(signal.SIGKILL)
        if not select.select([handle], [], [], GRACE)[0]:
            # LXC's program itself hangs.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.waitpid(self._attached.pid, 0)
