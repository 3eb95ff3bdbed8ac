"""A guest's packets, judged where they reach this machine: a BPF program at the host's end of its interface.

It bounds packets a second, and drops router advertisements: OVN admits these from any port, above all of its ACLs, and
a guest that sends them would be the way out of all others of its subnet.

The switch in user space spends as much on a small packet as on a large one, and all guests of a host share it. It reads
interfaces by packet sockets, which see packets before the kernel's policing (tc) does. A program of the type XDP, in
the kernel's generic mode, runs before both, on TAPs and pairs, whichever datapath there is (Linux 5.18 or newer).

The program stays as long as the interface, whether or not this process lives; its name has the rate.
"""

from __future__ import annotations

import errno
import functools
import os
import struct
import sys

import structlog

from pileus.model.errors import Fault
from pileus.providers.local.guestnet import bpf, netlink
from pileus.providers.local.guestnet.bpf import Jump, constant, instruction, table_of
from pileus.providers.local.guestnet.namespaces import run_in

log = structlog.get_logger(__name__)

# From the kernel's include/uapi/linux: if_link.h and bpf.h.
_XDP, _XDP_DESCRIPTOR, _XDP_FLAGS, _XDP_GENERIC_ID = 43, 1, 3, 6
_GENERIC_MODE = 1 << 1
_HAS_FRAGMENTS = 1 << 5
"""The program takes packets in several parts: segments of 64 KiB are not made one part, for which memory may lack."""

_LOOKUP_ELEMENT, _CLOCK = 1, 5
"""Functions that the kernel has for programs."""

_DROP, _PASS = 1, 2
_NAME = "pps2_"
"""How the programs' names begin, before the rate. The digit is to rise with every other change of the program."""

_ETHER_TYPE, _NEXT_HEADER, _HOP_LIMIT, _SOURCE, _ICMP_TYPE = 12, 20, 21, 22, 54
"""Where in a frame: its type, and the fields of an IPv6 packet."""
_ICMPV6, _ADVERTISEMENT = 58, 134
_EXTENSIONS = (0, 43, 44, 60)
"""Extension headers: hop-by-hop options, routing, fragment, destination options."""

_SECOND = 10**9
_BURST = _SECOND // 10
_FEWEST = 100
"""Packets of the smallest burst."""

_REFUSALS = (errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EINVAL, errno.EOPNOTSUPP)
"""How kernels refuse such programs: for ever, where other errors pass."""


def limit(namespace: str, interface: str, rate: int) -> None:
    """Of what comes from the guest at `interface`, pass on `rate` packets a second at most; any number at rate 0.

    No router advertisement passes.

    Idempotent; another rate takes the place of the last in one step. An interface that is not there has no bound, and
    where the kernel refuses such programs there is none either, as the log says once. Raises Fault `TapFailed`.
    """
    try:
        run_in(namespace, lambda: _limit(interface, rate))
    except OSError as error:
        if error.errno in _REFUSALS:
            _warn(str(error))
        elif error.errno not in (errno.ENODEV, errno.ENOENT):
            raise Fault("TapFailed", f"{interface} in {namespace} cannot be bounded: {error}") from error


def refusal() -> str:
    """The kernel's words when it refuses such programs; empty when it takes them. As root."""
    try:
        os.close(_load(1))
    except OSError as error:
        return str(error)
    return ""


def tolerance(rate: int) -> tuple[int, int]:
    """The nanoseconds that a packet stands for, and those that the packets of a burst stand for together."""
    interval = _SECOND // rate
    return interval, max(_BURST, _FEWEST * interval)


def program(table: int, rate: int) -> bytes:
    """The program's instructions; `table` is an array of one 64-bit number, the time up to which packets have passed.

    Rate 0 is no bound. Else a packet adds its interval to that time, which starts again from now when it is over, and
    is dropped when that time is further ahead than a burst. Two processors at once may forget one packet of each
    other's.

    Registers: r6 now, r0 the number's place, r1 the number, r10 the stack's end.
    """
    verdicts = {
        "pass": [instruction(0xB7, 0, value=_PASS), instruction(0x95)],
        "drop": [instruction(0xB7, 0, value=_DROP), instruction(0x95)],
    }
    if not rate:
        return bpf.assemble({**_guard("pass"), **verdicts})
    interval, burst = tolerance(rate)
    index = -4
    jump, greater = 0x05, 0x2D
    return bpf.assemble(
        {
            **_guard("now"),
            "now": [
                *(instruction(0x85, value=_CLOCK), instruction(0xBF, 6)),
                instruction(0x62, 10, 0, index, 0),
                *(table_of(1, table), instruction(0xBF, 2, 10), instruction(0x07, 2, value=index)),
                *(instruction(0x85, value=_LOOKUP_ELEMENT), Jump(0x15, 0, 0, "pass")),
                *(constant(3, interval), instruction(0x79, 1, 0), Jump(greater, 1, 0, "ahead", 6)),
            ],
            "over": [instruction(0x0F, 6, 3), instruction(0x7B, 0, 6), Jump(jump, 0, 0, "pass")],
            "ahead": [instruction(0x1F, 1, 6), constant(2, burst), Jump(greater, 1, 0, "drop", 2)],
            # Atomically, here where processors meet.
            "add": [instruction(0xDB, 0, 3)],
            **verdicts,
        }
    )


def _guard(judged: str) -> dict[str, list[bytes | Jump]]:
    """The blocks that drop router advertisements, and go to the block `judged` with every other packet.

    Receivers heed those alone that come with hop limit 255 from a link-local address. Among such packets are none with
    extension headers but those that would hide what they are (RFC 7113): they are dropped, too.

    Registers: r1 the context, r2 the packet, r3 its end, r5 its type, then its next header.
    """
    same, other, greater = 0x15, 0x55, 0x2D
    byte, half, word = 0x71, 0x69, 0x61
    return {
        "frame": [
            *(instruction(word, 2, 1, 0), instruction(word, 3, 1, 4), instruction(0xBF, 4, 2)),
            *(instruction(0x07, 4, value=_ICMP_TYPE + 1), Jump(greater, 4, 0, judged, 3)),
            *(instruction(half, 5, 2, _ETHER_TYPE), Jump(other, 5, _in_order(b"\x86\xdd"), judged)),
            *(instruction(byte, 5, 2, _NEXT_HEADER), Jump(other, 5, _ICMPV6, "extended")),
            *(instruction(byte, 4, 2, _ICMP_TYPE), Jump(same, 4, _ADVERTISEMENT, "drop"), Jump(0x05, 0, 0, judged)),
        ],
        "extended": [
            *(instruction(byte, 4, 2, _HOP_LIMIT), Jump(other, 4, 255, judged)),
            *(instruction(half, 4, 2, _SOURCE), instruction(0x57, 4, value=_in_order(b"\xff\xc0"))),
            Jump(other, 4, _in_order(b"\xfe\x80"), judged),
            *(Jump(same, 5, header, "drop") for header in _EXTENSIONS),
            Jump(0x05, 0, 0, judged),
        ],
    }


def _in_order(octets: bytes) -> int:
    """Two bytes of a packet as this processor reads them."""
    return int.from_bytes(octets, sys.byteorder)


def _limit(interface: str, rate: int) -> None:
    if attached(interface) == f"{_NAME}{rate}":
        return
    descriptor = _load(rate)
    try:
        values = netlink.attribute(_XDP_DESCRIPTOR, struct.pack("=i", descriptor))
        values += netlink.attribute(_XDP_FLAGS, struct.pack("=I", _GENERIC_MODE))
        netlink.ask(netlink.SETLINK, netlink.text(netlink.NAME, interface) + netlink.nested(_XDP, values))
    finally:
        os.close(descriptor)


def _load(rate: int) -> int:
    table = bpf.new_map(bpf.ARRAY, 4, 8, 1)
    try:
        return bpf.load(bpf.XDP, f"{_NAME}{rate}", program(table, rate), flags=_HAS_FRAGMENTS)
    finally:
        # The program keeps its map.
        os.close(table)


def attached(interface: str) -> str:
    """The name of the program at the interface, or nothing. Raises OSError."""
    link = netlink.ask(netlink.GETLINK, netlink.text(netlink.NAME, interface))
    number = netlink.parse(link.get(_XDP, b"")).get(_XDP_GENERIC_ID)
    if number is None:
        return ""
    try:
        return bpf.name_of(*struct.unpack("=I", number))
    except FileNotFoundError:
        return ""


@functools.cache
def _warn(reason: str) -> None:
    log.warning(
        "guests' packets a second are not bounded, router advertisements not dropped: this kernel refuses the program",
        error=reason,
    )
