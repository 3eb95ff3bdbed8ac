"""TAPs in a network namespace, by system calls: a fraction of a millisecond, where `ip` takes ten."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable

from pileus.model.errors import Fault
from pileus.providers.local.guestnet.namespaces import run_in

# From the kernel's include/uapi/linux/if_tun.h, if.h and sockios.h.
_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_TUNSETOWNER = 0x400454CC
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_IFF_UP = 0x1
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_SIOCSIFMTU = 0x8922

_DISABLE_IPV6 = "/proc/sys/net/ipv6/conf/{}/disable_ipv6"


def make(namespace: str, name: str, mtu: int) -> None:
    """A persistent TAP called `name` is up in `namespace` with `mtu` bytes. Idempotent. Raises Fault."""
    _attempt(namespace, name, lambda: _make(name, mtu))


def remove(namespace: str, name: str) -> None:
    """No TAP called `name` is in `namespace`. Idempotent. Raises Fault while something still uses it."""
    _attempt(namespace, name, lambda: _remove(name))


def _make(name: str, mtu: int) -> None:
    if not _exists(name):
        _persist(name, 1)
    settle(name, mtu)


def settle(name: str, mtu: int) -> None:
    """A guest's plug in this thread's namespace is up and has no addresses of its own. Raises OSError."""
    _quiet(name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFMTU, _request(name, "i", mtu))
        flags = struct.unpack_from("h", fcntl.ioctl(control, _SIOCGIFFLAGS, _request(name, "h", 0)), 16)[0]
        fcntl.ioctl(control, _SIOCSIFFLAGS, _request(name, "h", flags | _IFF_UP))


def _remove(name: str) -> None:
    if _exists(name):
        _persist(name, 0)


def _exists(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def _persist(name: str, wanted: int) -> None:
    """Attach to the TAP, which makes it, and say whether it stays after the descriptor is closed."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(device, _TUNSETIFF, _request(name, "H", _IFF_TAP | _IFF_NO_PI))
        # One without an owner may be taken by whoever is in the namespace, a guest's QEMU say, while nobody holds it.
        fcntl.ioctl(device, _TUNSETOWNER, 0)
        fcntl.ioctl(device, _TUNSETPERSIST, wanted)
    finally:
        os.close(device)


def _quiet(name: str) -> None:
    # The host's end is a plug: addresses of its own would speak on the guest's network.
    try:
        with open(_DISABLE_IPV6.format(name), "w", encoding="ascii") as setting:  # noqa: PTH123  (/proc is no folder)
            setting.write("1")
    except FileNotFoundError:
        return


def _request(name: str, form: str, value: int) -> bytes:
    """A struct ifreq of 40 bytes: the name, then one number."""
    return struct.pack(f"16s{form}", name.encode(), value).ljust(40, b"\0")


def _attempt(namespace: str, name: str, action: Callable[[], object]) -> None:
    try:
        run_in(namespace, action)
    except FileNotFoundError as error:
        if error.filename == "/dev/net/tun":
            raise Fault("TapFailed", "this machine has no /dev/net/tun", permanent=True) from error
        raise Fault("NetworkUnavailable", f"there is no network namespace {namespace}") from error
    except OSError as error:
        busy = " and is in use" if error.errno == errno.EBUSY else ""
        raise Fault("TapFailed", f"{name} in {namespace}{busy}: {error}") from error
