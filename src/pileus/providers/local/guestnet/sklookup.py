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
import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pileus.model import bounds
from pileus.providers.local.guestnet.ingress import Ranges

_SYSTEM_CALLS = {"x86_64": 321, "aarch64": 280}
"""Number of bpf(2) by machine; the program below is written for little-endian ones."""

_MAP_CREATE, _MAP_UPDATE, _MAP_DELETE, _MAP_NEXT_KEY, _PROGRAM_LOAD, _MAP_BY_ID, _LINK_CREATE = 0, 2, 3, 4, 5, 14, 28
_LPM_TRIE, _SOCKET_MAP = 11, 15
_PROGRAM_SK_LOOKUP, _ATTACH_SK_LOOKUP = 30, 36
_NO_PREALLOC = 1
_LOOKUP_ELEMENT, _RELEASE, _ASSIGN = 1, 86, 124
"""Functions that the kernel has for programs."""

_KEY = struct.Struct("=I4s2s")
"""A key of the table: how many of the bits after it count, IPv4 address, port (both in network order).

Of the keys that a connection agrees with, the kernel takes the one with the most bits, as it does with routes.
"""

_ADDRESS_BITS, _PORT_BITS = 32, 16
_HALF = 1 << _PORT_BITS - 1
_ADMIT, _REFUSE = b"\1", b"\0"
_ATTRIBUTES = 128
_libc = ctypes.CDLL(None, use_errno=True)


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
            most = bounds.LOOPBACK_BLOCKS.most + bounds.LOOPBACK_ADDRESSES.most
            self._table = _owned(opened, _new_map(_LPM_TRIE, _KEY.size, 1, most, _NO_PREALLOC))
            sockets = _owned(opened, _new_map(_SOCKET_MAP, 4, 8, 1))
            _update(sockets, struct.pack("=I", 0), struct.pack("=Q", listener.fileno()))
            program = _owned(opened, _load(_program(self._table, sockets)))
            namespace = _owned(opened, os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
            _owned(opened, _bpf(_LINK_CREATE, struct.pack("=IIII", program, namespace, _ATTACH_SK_LOOKUP, 0)))
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
                _update(self._table, key, value)
                self._count += key not in current
                current[key] = value
        for key in sorted(current.keys() - wanted.keys(), reverse=True):
            _delete(self._table, key)
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
            if fields.get("map_type", "").strip() == str(_LPM_TRIE):
                table = _bpf(_MAP_BY_ID, struct.pack("=III", int(fields["map_id"]), 0, 0))
                try:
                    return _ranges(_keys(table))
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


def _keys(table: int) -> Iterator[bytes]:
    """All keys, in the kernel's order; of a table that is changed meanwhile, perhaps not all, or some twice."""
    following = ctypes.create_string_buffer(_KEY.size)
    before = 0
    for _ in range(bounds.LOOPBACK_BLOCKS.most + bounds.LOOPBACK_ADDRESSES.most):
        try:
            _bpf(_MAP_NEXT_KEY, struct.pack("=I4xQQ", table, before, ctypes.addressof(following)))
        except FileNotFoundError:
            return
        yield following.raw
        # The kernel reads the key before it writes the next one to the same place.
        before = ctypes.addressof(following)


def _bpf(command: int, attributes: bytes) -> int:
    """As the system call of that name: a descriptor, or 0. Raises OSError."""
    number = _SYSTEM_CALLS.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, "bpf: not on this processor")
    buffer = ctypes.create_string_buffer(attributes, _ATTRIBUTES)
    result: int = _libc.syscall(number, command, buffer, _ATTRIBUTES)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"bpf {command}: {os.strerror(code)}")
    return result


def _owned(opened: contextlib.ExitStack, descriptor: int) -> int:
    opened.callback(os.close, descriptor)
    return descriptor


def _new_map(kind: int, key: int, value: int, entries: int, flags: int = 0) -> int:
    return _bpf(_MAP_CREATE, struct.pack("=IIIII", kind, key, value, entries, flags))


def _update(table: int, key: bytes, value: bytes) -> None:
    key_buffer, value_buffer = (
        ctypes.create_string_buffer(key, len(key)),
        ctypes.create_string_buffer(value, len(value)),
    )
    at = ctypes.addressof(key_buffer), ctypes.addressof(value_buffer)
    _bpf(_MAP_UPDATE, struct.pack("=I4xQQQ", table, *at, 0))


def _delete(table: int, key: bytes) -> None:
    buffer = ctypes.create_string_buffer(key, len(key))
    _bpf(_MAP_DELETE, struct.pack("=I4xQ", table, ctypes.addressof(buffer)))


def _load(code: bytes) -> int:
    """The program in the kernel. Raises OSError; PermissionError also where the verifier refuses it."""
    text, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    head = struct.pack("=IIQQ", _PROGRAM_SK_LOOKUP, len(code) // 8, ctypes.addressof(text), ctypes.addressof(licence))
    return _bpf(_PROGRAM_LOAD, head + struct.pack("=IIQII16sII", 0, 0, 0, 0, 0, b"pileus_ports", 0, _ATTACH_SK_LOOKUP))


def _program(table: int, sockets: int) -> bytes:
    """The program's instructions. Its argument is a struct bpf_sk_lookup (<linux/bpf.h>), whose offsets are below.

    Registers: r6 the argument, r7 the socket, r10 the stack's end.
    """
    family, protocol, local_address, local_port = 8, 12, 40, 60
    key, index = -12, -16
    lines: list[bytes | _Jump] = [
        _line(0xBF, 6, 1),
        *(_line(0x61, 2, 6, family), _Jump(0x55, 2, socket.AF_INET, "pass")),
        *(_line(0x61, 2, 6, protocol), _Jump(0x55, 2, socket.IPPROTO_TCP, "pass")),
        # The key: all its bits count. The argument has the address in the network's order, the port in the machine's.
        _line(0x62, 10, 0, key, _ADDRESS_BITS + _PORT_BITS),
        *(_line(0x61, 2, 6, local_address), _line(0x63, 10, 2, key + 4)),
        *(_line(0x61, 2, 6, local_port), _line(0xDC, 2, 0, 0, _PORT_BITS), _line(0x6B, 10, 2, key + 8)),
        *(_line(0x18, 1, 1, 0, table), _line(0), _line(0xBF, 2, 10), _line(0x07, 2, 0, 0, key)),
        *(_line(0x85, 0, 0, 0, _LOOKUP_ELEMENT), _Jump(0x15, 0, 0, "pass")),
        *(_line(0x71, 2, 0), _Jump(0x15, 2, 0, "drop")),
        _line(0x62, 10, 0, index, 0),
        *(_line(0x18, 1, 1, 0, sockets), _line(0), _line(0xBF, 2, 10), _line(0x07, 2, 0, 0, index)),
        *(_line(0x85, 0, 0, 0, _LOOKUP_ELEMENT), _Jump(0x15, 0, 0, "drop"), _line(0xBF, 7, 0)),
        *(_line(0xBF, 1, 6), _line(0xBF, 2, 7), _line(0xB7, 3), _line(0x85, 0, 0, 0, _ASSIGN)),
        *(_line(0xBF, 1, 7), _line(0x85, 0, 0, 0, _RELEASE)),
    ]
    labels = {"pass": len(lines), "drop": len(lines) + 2}
    lines += [_line(0xB7, 0, 0, 0, 1), _line(0x95), _line(0xB7, 0, 0, 0, 0), _line(0x95)]
    return b"".join(
        _line(line.code, line.register, 0, labels[line.label] - at - 1, line.value) if isinstance(line, _Jump) else line
        for at, line in enumerate(lines)
    )


class _Jump(NamedTuple):
    """To a label, by comparison of a register with a value."""

    code: int
    register: int
    value: int
    label: str


def _line(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    """A struct bpf_insn."""
    return struct.pack("<BBhi", code, target | source << 4, offset, value)
