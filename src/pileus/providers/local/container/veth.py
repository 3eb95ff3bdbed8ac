"""Pairs of interfaces in a network namespace, by netlink: a fraction of a millisecond, where `ip` takes ten."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable

from pileus.model.errors import Fault
from pileus.providers.local.guestnet import netlink
from pileus.providers.local.guestnet.namespaces import run_in
from pileus.providers.local.guestnet.netlink import attribute, nested, text
from pileus.providers.local.machine import tap

# From the kernel's include/uapi/linux: if_link.h and veth.h.
_ADDRESS, _MTU, _LINKINFO = 1, 4, 18
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1


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
        size = attribute(_MTU, struct.pack("=I", mtu))
        other = text(netlink.NAME, peer) + size + attribute(_ADDRESS, bytes.fromhex(mac.replace(":", "")))
        kind = text(_INFO_KIND, "veth") + nested(_INFO_DATA, nested(_VETH_PEER, netlink.peer(other)))
        own = text(netlink.NAME, name) + size + nested(_LINKINFO, kind)
        netlink.ask(netlink.NEWLINK, own, netlink.CREATE | netlink.EXCLUSIVE)
        tap.settle(name, mtu)

    _attempt(namespace, f"{name} and {peer}", work)


def remove(namespace: str, name: str) -> None:
    """No interface called `name` is in `namespace`, nor its other end anywhere. Idempotent. Raises Fault."""

    def work() -> None:
        try:
            netlink.ask(netlink.DELLINK, text(netlink.NAME, name))
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
