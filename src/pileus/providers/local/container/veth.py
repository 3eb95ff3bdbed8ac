"""Pairs of interfaces in a network namespace, by netlink: a fraction of a millisecond, where `ip` takes ten."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable

from pileus.model.errors import Fault
from pileus.providers.local.guestnet.namespaces import run_in
from pileus.providers.local.machine import tap

# From the kernel's include/uapi/linux: netlink.h, rtnetlink.h, if_link.h and veth.h.
_NEWLINK, _DELLINK = 16, 17
_REQUEST, _ACK, _EXCL, _CREATE = 0x1, 0x4, 0x200, 0x400
_ADDRESS, _IFNAME, _MTU, _LINKINFO = 1, 3, 4, 18
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_NESTED = 0x8000
_NOBODY = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
"""A struct ifinfomsg that names no interface: its name is an attribute."""


def names(namespace: str) -> set[str]:
    """All interfaces of a network namespace; none where there is no such namespace. Raises Fault."""
    try:
        return run_in(namespace, lambda: {name for _, name in socket.if_nameindex()})
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise Fault("NetworkUnavailable", f"the interfaces of {namespace} cannot be read: {error}") from error


def make(namespace: str, name: str, peer: str, mac: str, mtu: int) -> None:
    """Make a pair: `name`, which is up and has no addresses of its own, and `peer` with the address `mac`.

    Raises Fault.
    """

    def work() -> None:
        other = _NOBODY + _text(_IFNAME, peer) + _attribute(_MTU, struct.pack("=I", mtu))
        other += _attribute(_ADDRESS, bytes.fromhex(mac.replace(":", "")))
        kind = _text(_INFO_KIND, "veth") + _attribute(_INFO_DATA | _NESTED, _attribute(_VETH_PEER | _NESTED, other))
        own = _text(_IFNAME, name) + _attribute(_MTU, struct.pack("=I", mtu))
        _ask(_NEWLINK, _CREATE | _EXCL, _NOBODY + own + _attribute(_LINKINFO | _NESTED, kind))
        tap.settle(name, mtu)

    _attempt(namespace, f"{name} and {peer}", work)


def remove(namespace: str, name: str) -> None:
    """No interface called `name` is in `namespace`, nor its other end anywhere. Idempotent. Raises Fault."""

    def work() -> None:
        try:
            _ask(_DELLINK, 0, _NOBODY + _text(_IFNAME, name))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise

    if name in names(namespace):
        _attempt(namespace, name, work)


def _attempt(namespace: str, what: str, work: Callable[[], None]) -> None:
    try:
        run_in(namespace, work)
    except FileNotFoundError as error:
        raise Fault("NetworkUnavailable", f"there is no network namespace {namespace}") from error
    except OSError as error:
        raise Fault("TapFailed", f"{what} in {namespace}: {error}") from error


def _ask(kind: int, flags: int, body: bytes) -> None:
    """Send one request, and have it acknowledged. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        link.send(struct.pack("=IHHII", 16 + len(body), kind, flags | _REQUEST | _ACK, 1, 0) + body)
        (wrong,) = struct.unpack_from("=i", link.recv(65536), 16)
    if wrong:
        raise OSError(-wrong, os.strerror(-wrong))


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")
