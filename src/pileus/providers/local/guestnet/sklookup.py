"""One socket for every admitted port of many addresses: a BPF program of the type sk_lookup chooses it.

The program runs in this process's network namespace when a TCP connection arrives (Linux 5.9 or newer, as root). It
looks the address and port up in a table of this process:

- an address that the table does not have is left to the sockets of the machine;
- a port that the table admits goes to the one socket;
- any other port of an address in the table is refused.

The table, the program and its link are descriptors of this process and end with it. No route, rule or interface of the
machine is touched.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from pileus.model import bounds
from pileus.providers.local.guestnet import bpf
from pileus.providers.local.guestnet.bpf import Jump, instruction, table_of
from pileus.providers.local.guestnet.ingress import Ranges

_ATTACH_SK_LOOKUP = 36
_NO_PREALLOC = 1
_LOOKUP_ELEMENT, _RELEASE, _ASSIGN = 1, 86, 124
"""Functions that the kernel has for programs."""

_KEY = struct.Struct("=I4s2s")
"""A key of the table: how many of the bits after it count, IPv4 address, port (both in network order).

Of the keys that a connection agrees with, the kernel takes the one with the most bits, as it does with routes.
"""

_ADDRESS_BITS, _PORT_BITS = 32, 16
_HALF = 1 << _PORT_BITS - 1
_MOST_KEYS = bounds.LOOPBACK_BLOCKS.most + bounds.LOOPBACK_ADDRESSES.most
_ADMIT, _REFUSE = b"\1", b"\0"

EVERY_PORT: Ranges = ((0, (1 << _PORT_BITS) - 1),)


class PortTable:
    """The program, its table and its socket. `listener` is a listening TCP socket and has to outlive this object.

    Raises OSError where the kernel has no such programs, or this process may not load one.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._ranges: dict[str, Ranges] = {}
        self._entries: dict[str, dict[bytes, bytes]] = {}
        self._count = 0
        with contextlib.ExitStack() as opened:
            self._table = _owned(opened, bpf.new_map(bpf.LPM_TRIE, _KEY.size, 1, _MOST_KEYS, _NO_PREALLOC))
            sockets = _owned(opened, bpf.new_map(bpf.SOCKET_MAP, 4, 8, 1))
            bpf.update(sockets, struct.pack("=I", 0), struct.pack("=Q", listener.fileno()))
            code = _program(self._table, sockets)
            program = _owned(opened, bpf.load(bpf.SK_LOOKUP, "pileus_ports", code, attached=_ATTACH_SK_LOOKUP))
            namespace = _owned(opened, os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
            _owned(opened, bpf.link(program, namespace, _ATTACH_SK_LOOKUP))
            self._descriptors = opened.pop_all()

    def admit(self, ports: Mapping[str, Ranges]) -> None:
        """Admit exactly these ports of these IPv4 addresses from now on. Raises OSError: the kernel has no memory.

        An address whose ports are more blocks than its bound, or than the bound of all addresses leaves, is admitted
        as a whole: whoever accepts has to check the port. Addresses beyond LOOPBACK_ADDRESSES are left out.
        """
        for address in self._entries.keys() - ports.keys():
            self._ranges.pop(address, None)
            self._write(address, {})
            del self._entries[address]
        for address, ranges in ports.items():
            if self._ranges.get(address) == ranges:
                continue
            if address in self._entries or len(self._entries) < bounds.LOOPBACK_ADDRESSES.most:
                # An address of which only a part could be written has entries, and no ranges.
                self._ranges.pop(address, None)
                self._write(address, self._wanted(address, ranges))
                self._ranges[address] = ranges

    def close(self) -> None:
        """Detach the program, and forget the table. Idempotent."""
        self._descriptors.close()

    def _wanted(self, address: str, ranges: Ranges) -> dict[bytes, bytes]:
        entries = {_key(address): _REFUSE} | {_key(address, *block): _ADMIT for block in blocks(ranges)}
        others = self._count - len(self._entries.get(address, ()))
        fits = len(entries) <= bounds.LOOPBACK_BLOCKS_OF_INSTANCE.most
        if fits and others + len(entries) <= bounds.LOOPBACK_BLOCKS.most:
            return entries
        return {_key(address): _REFUSE} | {_key(address, *block): _ADMIT for block in blocks(EVERY_PORT)}

    def _write(self, address: str, wanted: dict[bytes, bytes]) -> None:
        """Have the table hold `wanted` for the address. New entries come first, so that no admitted port is refused."""
        current = self._entries.setdefault(address, {})
        for key, value in wanted.items():
            if current.get(key) != value:
                bpf.update(self._table, key, value)
                self._count += key not in current
                current[key] = value
        for key in sorted(current.keys() - wanted.keys(), reverse=True):
            bpf.delete(self._table, key)
            self._count -= 1
            del current[key]


def blocks(ranges: Ranges) -> Iterator[tuple[int, int]]:
    """The ranges as blocks (first port, bits): each is the 2 ** (16 - bits) ports that agree in their first bits.

    A block has at least one bit: no bits would make its key that of the address.
    """
    for first, last in ranges:
        at = first
        while at <= last:
            size = min(at & -at or _HALF, _HALF, 1 << (last - at + 1).bit_length() - 1)
            yield at, _PORT_BITS - size.bit_length() + 1
            at += size


def admitted(process: int) -> dict[str, Ranges] | None:
    """The table of another process, by its id, as `PortTable.admit` was given it; None when it has none.

    Ranges are not merged, and an address that is admitted as a whole has all ports. As root. Raises OSError.
    """
    for entry in Path(f"/proc/{process}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            fields = dict(line.partition(":")[::2] for line in entry.read_text(encoding="ascii").splitlines())
            if fields.get("map_type", "").strip() == str(bpf.LPM_TRIE):
                table = bpf.map_by_id(int(fields["map_id"]))
                try:
                    return _ranges(bpf.keys(table, _KEY.size, _MOST_KEYS))
                finally:
                    os.close(table)
    return None


def _ranges(keys: Iterator[bytes]) -> dict[str, Ranges]:
    ports: dict[str, Ranges] = {}
    for key in keys:
        bits, packed, port = _KEY.unpack(key)
        address, first = socket.inet_ntoa(packed), int.from_bytes(port, "big")
        ports.setdefault(address, ())
        if bits > _ADDRESS_BITS:
            last = first + (1 << _ADDRESS_BITS + _PORT_BITS - bits) - 1
            ports[address] += ((first, last),)
    return ports


def _key(address: str, port: int = 0, bits: int = 0) -> bytes:
    return _KEY.pack(_ADDRESS_BITS + bits, socket.inet_aton(address), port.to_bytes(2, "big"))


def _owned(opened: contextlib.ExitStack, descriptor: int) -> int:
    opened.callback(os.close, descriptor)
    return descriptor


def _program(table: int, sockets: int) -> bytes:
    """The program's instructions. Its argument is a struct bpf_sk_lookup (<linux/bpf.h>), whose offsets are below.

    Registers: r6 the argument, r7 the socket, r10 the stack's end.
    """
    family, protocol, local_address, local_port = 8, 12, 40, 60
    key, index = -12, -16
    lines: list[bytes | Jump] = [
        instruction(0xBF, 6, 1),
        *(instruction(0x61, 2, 6, family), Jump(0x55, 2, socket.AF_INET, "pass")),
        *(instruction(0x61, 2, 6, protocol), Jump(0x55, 2, socket.IPPROTO_TCP, "pass")),
        # The key: all its bits count. The argument has the address in the network's order, the port in the machine's.
        instruction(0x62, 10, 0, key, _ADDRESS_BITS + _PORT_BITS),
        *(instruction(0x61, 2, 6, local_address), instruction(0x63, 10, 2, key + 4)),
        *(
            instruction(0x61, 2, 6, local_port),
            instruction(0xDC, 2, 0, 0, _PORT_BITS),
            instruction(0x6B, 10, 2, key + 8),
        ),
        *(table_of(1, table), instruction(0xBF, 2, 10), instruction(0x07, 2, 0, 0, key)),
        *(instruction(0x85, 0, 0, 0, _LOOKUP_ELEMENT), Jump(0x15, 0, 0, "pass")),
        *(instruction(0x71, 2, 0), Jump(0x15, 2, 0, "drop")),
        instruction(0x62, 10, 0, index, 0),
        *(table_of(1, sockets), instruction(0xBF, 2, 10), instruction(0x07, 2, 0, 0, index)),
        *(instruction(0x85, 0, 0, 0, _LOOKUP_ELEMENT), Jump(0x15, 0, 0, "drop"), instruction(0xBF, 7, 0)),
        *(instruction(0xBF, 1, 6), instruction(0xBF, 2, 7), instruction(0xB7, 3), instruction(0x85, 0, 0, 0, _ASSIGN)),
        *(instruction(0xBF, 1, 7), instruction(0x85, 0, 0, 0, _RELEASE)),
    ]
    return bpf.assemble(
        {
            "choose": lines,
            "pass": [instruction(0xB7, 0, value=1), instruction(0x95)],
            "drop": [instruction(0xB7, 0, value=0), instruction(0x95)],
        }
    )
