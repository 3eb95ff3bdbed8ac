"""A command's channel, with a program of this machine in the place of one that joined a container."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
import tty
from typing import TYPE_CHECKING

import pytest

from pileus.model.execution import Command, Frame, FrameKind, FrameReader, Window, encode, encode_command, encode_window
from pileus.providers.local.container import execution
from pileus.providers.local.container.attach import Attached

if TYPE_CHECKING:
    from collections.abc import Iterator


def start(command: Command) -> Attached:
    """Run a command of this machine with pipes."""
    pipes = subprocess.PIPE
    with subprocess.Popen(command.words, stdin=pipes, stdout=pipes, stderr=pipes) as running:
        assert running.stdin
        assert running.stdout
        assert running.stderr
        descriptors = [os.dup(stream.fileno()) for stream in (running.stdin, running.stdout, running.stderr)]
        attached = Attached(running.pid, descriptors[0], descriptors[1], descriptors[2])
        running.returncode = 0  # the channel reaps it
        return attached


class Client:
    """A client's end of a channel that is served by a thread."""

    def __init__(self, *words: str) -> None:
        self.link, far = socket.socketpair()
        self.link.settimeout(20)
        self.thread = threading.Thread(target=self._serve, args=(far,), daemon=True)
        self.thread.start()
        self.link.sendall(encode_command(Command(words=words)))

    def _serve(self, far: socket.socket) -> None:
        with far:
            try:
                execution.serve(far, start)
            except (OSError, ValueError):
                """The client has gone, or sent what is no frame."""

    def frames(self) -> Iterator[Frame]:
        """The frames until the channel ends."""
        reader = FrameReader()
        while data := self.link.recv(1 << 16):
            yield from reader.feed(data)

    def ended(self) -> bool:
        """Leave; whether the channel's thread ends."""
        self.link.close()
        self.thread.join(20)
        return not self.thread.is_alive()


def test_input_goes_in_and_output_and_status_come_out() -> None:
    client = Client("sh", "-c", "cat; echo no >&2; exit 3")
    sent = os.urandom(1 << 20)
    pieces = [encode(FrameKind.INPUT, sent[begin : begin + (1 << 16)]) for begin in range(0, len(sent), 1 << 16)]
    threading.Thread(target=client.link.sendall, args=(b"".join(pieces) + encode(FrameKind.INPUT),)).start()
    frames = list(client.frames())
    assert b"".join(frame.data for frame in frames if frame.kind is FrameKind.OUTPUT) == sent
    assert [frame.data for frame in frames if frame.kind is FrameKind.ERRORS] == [b"no\n"]
    assert frames[-1] == (FrameKind.EXIT, b"\x03")
    assert client.ended()


@pytest.mark.parametrize(
    "frames",
    [
        b"",
        encode(FrameKind.INPUT) + 40 * encode(FrameKind.INPUT, b"x" * (1 << 16)),
        encode(FrameKind.OUTPUT, b"x"),
        b"\xff" * 99,
        encode(FrameKind.WINDOW, b"x"),
    ],
    ids=["nothing", "input behind its end", "a host's frame", "no frame", "no window"],
)
def test_a_command_ends_with_its_client_whatever_that_sent(frames: bytes) -> None:
    client = Client("sh", "-c", "echo on; sleep 600; true")
    assert next(client.frames()).data == b"on\n"
    try:
        client.link.sendall(frames)
    except OSError:
        """The channel has ended already."""
    assert client.ended()


def test_a_terminal_hears_of_the_end_of_input_once() -> None:
    """Frames for its size may follow."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    attached = Attached(-1, ours, ours, terminal=True)
    for _ in range(3):
        attached.resize(Window(40, 100))
        attached.close_input()
    assert os.get_terminal_size(theirs) == (100, 40)
    assert os.read(theirs, 99) == b"\x04"
    assert select.select([theirs], [], [], 0)[0] == []
    attached.close()
    os.close(theirs)


def test_a_window_is_nothing_to_a_command_without_a_terminal() -> None:
    client = Client("sh", "-c", "cat")
    client.link.sendall(encode_window(Window(1, 2)) + encode(FrameKind.INPUT))
    assert list(client.frames()) == [(FrameKind.EXIT, b"\0")]
    assert client.ended()
