"""Links of this thread's network namespace, by netlink: a fraction of a millisecond, where `ip` takes ten."""

from __future__ import annotations

import os
import socket
import struct

# From the kernel's include/uapi/linux: netlink.h and rtnetlink.h.
NEWLINK, DELLINK, GETLINK, SETLINK = 16, 17, 18, 19
EXCLUSIVE, CREATE = 0x200, 0x400
NAME = 3
"""The attribute that has an interface's name."""

_REQUEST, _ACK = 0x1, 0x4
_ERROR = 2
_NESTED = 0x8000
_HEADER = struct.Struct("=IHHII")
_NOBODY = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
"""A struct ifinfomsg that names no interface: its name is an attribute."""


def ask(kind: int, attributes: bytes, flags: int = 0) -> dict[int, bytes]:
    """Send one request about a link; the attributes that the kernel answers with. Raises OSError."""
    body = _NOBODY + attributes
    answer: dict[int, bytes] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        link.send(_HEADER.pack(_HEADER.size + len(body), kind, flags | _REQUEST | _ACK, 1, 0) + body)
        while True:
            message = link.recv(65536)
            if _HEADER.unpack_from(message)[1] != _ERROR:
                answer = parse(message[_HEADER.size + len(_NOBODY) :])
                continue
            (wrong,) = struct.unpack_from("=i", message, _HEADER.size)
            if wrong:
                raise OSError(-wrong, os.strerror(-wrong))
            return answer


def parse(attributes: bytes) -> dict[int, bytes]:
    """Attributes by number, as they stand one after another; those in others are found by another call."""
    values: dict[int, bytes] = {}
    while len(attributes) >= 4:
        length, kind = struct.unpack_from("=HH", attributes)
        values[kind & ~_NESTED] = attributes[4:length]
        attributes = attributes[max(length + 3 & ~3, 4) :]
    return values


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, attributes: bytes) -> bytes:
    """One attribute that has others in it."""
    return attribute(kind | _NESTED, attributes)


def text(kind: int, value: str) -> bytes:
    """One attribute with a string."""
    return attribute(kind, value.encode() + b"\0")


def peer(attributes: bytes) -> bytes:
    """The other end of a pair, as the kernel wants it described."""
    return _NOBODY + attributes
