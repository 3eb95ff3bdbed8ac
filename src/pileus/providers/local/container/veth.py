"""Pairs of interfaces in a network namespace, by netlink: a fraction of a millisecond, where `ip` takes ten."""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from pileus.model.errors import Fault
from pileus.model.spec import NicSpec
from pileus.providers.local.container import kernel
from pileus.providers.local.guestnet import netlink
from pileus.providers.local.guestnet.namespaces import run_in
from pileus.providers.local.guestnet.netlink import attribute, nested, text
from pileus.providers.local.machine import tap

# From the kernel's include/uapi/linux: if_link.h and veth.h.
_ADDRESS, _MTU, _LINKINFO = 1, 4, 18
_NAMESPACE_OF = 19
"""IFLA_NET_NS_PID."""

_IFF_UP = 0x1
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8913, 0x8914, 0x8916, 0x891C
_SIOCSIFNAME, _SIOCGIFHWADDR = 0x8923, 0x8927
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


def hand_over(namespace: str, name: str, init: int) -> None:
    """Move the interface `name` into the network namespace of the process `init`. Raises Fault."""

    def work() -> None:
        words = text(netlink.NAME, name) + attribute(_NAMESPACE_OF, struct.pack("=I", init))
        netlink.ask(netlink.SETLINK, words)

    _attempt(namespace, f"{name} to the process {init}", work)


def settle_inside(init: int, name: str, nic: NicSpec) -> bool:
    """The NIC is called `ethN` in the namespace of the process `init`, has its address and those of IPv6, and is up.

    False where it is not there, neither by that name with its own MAC nor as `name`. Raises Fault.
    """
    final = f"eth{nic.index}"

    def work() -> bool:
        kernel.enter_network(Path(f"/proc/{init}/ns/net"))
        there = {own for _, own in socket.if_nameindex()}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            if name in there:
                fcntl.ioctl(
                    control, _SIOCSIFNAME, struct.pack("16s16s", name.encode(), final.encode()).ljust(40, b"\0")
                )
            elif final not in there or _mac(control, final) != nic.mac.lower():
                return False
            mask = str(ipaddress.IPv4Network(nic.cidr).netmask)
            for request, address in ((_SIOCSIFADDR, nic.address), (_SIOCSIFNETMASK, mask)):
                internet = struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton(address))
                fcntl.ioctl(control, request, struct.pack("16s24s", final.encode(), internet))
            flags = struct.unpack_from("h", fcntl.ioctl(control, _SIOCGIFFLAGS, _request(final)), 16)[0]
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh", final.encode(), flags | _IFF_UP).ljust(40, b"\0"))
        _add_ipv6(final, nic.ipv6)
        return True

    try:
        return kernel.apart(work)
    except FileNotFoundError as error:
        raise Fault("ContainerFailed", f"the container's first process {init} has ended") from error
    except OSError as error:
        raise Fault("TapFailed", f"{final} in the container of the process {init}: {error}") from error


def _add_ipv6(name: str, addresses: Sequence[str]) -> None:
    """Give an interface of this thread's namespace these addresses; its way out is what the router advertises."""
    if not addresses:
        return
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
        index = socket.if_nametoindex(name)
        for address in addresses:
            # A struct in6_ifreq.
            request = struct.pack("=16sIi", socket.inet_pton(socket.AF_INET6, address), 128, index)
            try:
                fcntl.ioctl(control, _SIOCSIFADDR, request)
            except OSError as error:
                if error.errno != errno.EEXIST:
                    raise


def _mac(control: socket.socket, name: str) -> str:
    return fcntl.ioctl(control, _SIOCGIFHWADDR, _request(name))[18:24].hex(":")


def _request(name: str) -> bytes:
    """A struct ifreq of 40 bytes that asks about an interface."""
    return name.encode().ljust(40, b"\0")


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
