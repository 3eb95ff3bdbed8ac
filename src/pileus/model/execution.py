"""Commands within a guest over a channel `exec`: the frames that a client and the guest's host exchange.

A frame is one byte for its kind, four bytes for its length (big-endian), and so many bytes. The client sends one
COMMAND, then any number of INPUT and WINDOW. The host sends OUTPUT and ERRORS, and at the end one EXIT or one FAILURE.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

import msgspec

from pileus.model import bounds

_HEAD = struct.Struct(">BI")
_WINDOW = struct.Struct(">HH")

CHUNK = 65536
"""Bytes of input or output in one frame at most, as both ends of this version write frames."""


class FrameKind(IntEnum):
    """The kind of a frame.

    COMMAND: JSON of a `Command`. INPUT: bytes for the standard input; none of them close it. WINDOW: the terminal's new
    rows and columns, two bytes each. OUTPUT and ERRORS: bytes of the standard output and of the standard error; a
    terminal has OUTPUT alone. EXIT: the exit status, one byte; 128 and the signal's number where a signal ended the
    command. FAILURE: words why the command did not start.
    """

    COMMAND = 1
    INPUT = 2
    WINDOW = 3
    OUTPUT = 4
    ERRORS = 5
    EXIT = 6
    FAILURE = 7


class Frame(NamedTuple):
    """One frame."""

    kind: FrameKind
    data: bytes


class Window(NamedTuple):
    """The size of a terminal, in characters."""

    rows: int = 24
    columns: int = 80


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A command for a guest: its program and arguments. `terminal` is the TERM of a terminal; empty: there is none."""

    words: tuple[str, ...]
    terminal: str = ""
    rows: int = Window().rows
    columns: int = Window().columns


def encode(kind: FrameKind, data: bytes = b"") -> bytes:
    """Return one frame as bytes."""
    return _HEAD.pack(kind, len(data)) + data


def encode_command(command: Command) -> bytes:
    """Return a COMMAND frame. Raises ValueError for words that are no text, or that are too long together."""
    data = msgspec.json.encode(command)
    if len(data) > bounds.EXECUTION_FRAME.most:
        raise ValueError(f"The command has more than {bounds.EXECUTION_FRAME.most} bytes.")
    return encode(FrameKind.COMMAND, data)


def decode_command(data: bytes) -> Command:
    """Return the command in a COMMAND frame. Raises ValueError."""
    try:
        command = msgspec.json.decode(data, type=Command)
    except msgspec.MsgspecError as error:
        raise ValueError(f"The command is none: {error}") from error
    if not command.words or not command.words[0] or any("\0" in word for word in (*command.words, command.terminal)):
        raise ValueError("The command is empty, or has a NUL character.")
    encode_window(Window(command.rows, command.columns))
    return command


def encode_window(window: Window) -> bytes:
    """Return a WINDOW frame. Raises ValueError."""
    try:
        return encode(FrameKind.WINDOW, _WINDOW.pack(*window))
    except struct.error as error:
        raise ValueError(f"A terminal has no {window.rows} rows of {window.columns} columns.") from error


def decode_window(data: bytes) -> Window:
    """Return the size in a WINDOW frame. Raises ValueError."""
    try:
        return Window(*_WINDOW.unpack(data))
    except struct.error as error:
        raise ValueError("A terminal's size has four bytes.") from error


class FrameReader:
    """Takes bytes as they come, and gives the frames that are whole."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that end in `data`. Raises ValueError for an unknown kind, and for a frame too long."""
        self._data += data
        frames = []
        while len(self._data) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._data)
            if length > bounds.EXECUTION_FRAME.most:
                raise ValueError(f"A frame has at most {bounds.EXECUTION_FRAME.most} bytes.")
            end = _HEAD.size + length
            if len(self._data) < end:
                break
            frames.append(Frame(FrameKind(kind), bytes(self._data[_HEAD.size : end])))
            del self._data[:end]
        return frames
