"""BPF programs and their maps, by the system call bpf(2): nothing is compiled, no library is used.

A descriptor that is returned belongs to the caller, who closes it. All functions raise OSError as the kernel does.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

_SYSTEM_CALLS = {"x86_64": 321, "aarch64": 280}
"""Number of bpf(2) by machine; instructions are written for little-endian ones."""

# From the kernel's include/uapi/linux/bpf.h.
_MAP_CREATE, _MAP_UPDATE, _MAP_DELETE, _MAP_NEXT_KEY, _PROGRAM_LOAD = 0, 2, 3, 4, 5
_PROGRAM_BY_ID, _MAP_BY_ID, _INFORMATION, _LINK_CREATE = 13, 14, 15, 28
ARRAY, LPM_TRIE, SOCKET_MAP = 2, 11, 15
SK_LOOKUP, XDP = 30, 6
"""Types of programs."""

NAME_BYTES = 15
_ATTRIBUTES = 128
_NAME_AT, _INFORMATION_BYTES = 64, 80
"""Where a struct bpf_prog_info has the name, and its bytes up to the end of the name."""

_libc = ctypes.CDLL(None, use_errno=True)


# -- maps ----------------------------------------------------------------------------------------------------------


def new_map(kind: int, key: int, value: int, entries: int, flags: int = 0) -> int:
    """A map of at most `entries` entries, with `key` and `value` in bytes."""
    return _call(_MAP_CREATE, struct.pack("=IIIII", kind, key, value, entries, flags))


def map_by_id(ident: int) -> int:
    """A map of any process, by its id."""
    return _call(_MAP_BY_ID, struct.pack("=III", ident, 0, 0))


def update(table: int, key: bytes, value: bytes) -> None:
    """Have the map hold `value` for `key`."""
    key_buffer, value_buffer = (
        ctypes.create_string_buffer(key, len(key)),
        ctypes.create_string_buffer(value, len(value)),
    )
    at = ctypes.addressof(key_buffer), ctypes.addressof(value_buffer)
    _call(_MAP_UPDATE, struct.pack("=I4xQQQ", table, *at, 0))


def delete(table: int, key: bytes) -> None:
    """Have the map hold nothing for `key`. FileNotFoundError when it does not."""
    buffer = ctypes.create_string_buffer(key, len(key))
    _call(_MAP_DELETE, struct.pack("=I4xQ", table, ctypes.addressof(buffer)))


def keys(table: int, size: int, most: int) -> Iterator[bytes]:
    """All keys of `size` bytes, `most` at most, in the kernel's order.

    Of a map that is changed meanwhile, perhaps not all, or some twice.
    """
    following = ctypes.create_string_buffer(size)
    before = 0
    for _ in range(most):
        try:
            _call(_MAP_NEXT_KEY, struct.pack("=I4xQQ", table, before, ctypes.addressof(following)))
        except FileNotFoundError:
            return
        yield following.raw
        # The kernel reads the key before it writes the next one to the same place.
        before = ctypes.addressof(following)


# -- programs ------------------------------------------------------------------------------------------------------


def load(kind: int, name: str, code: bytes, *, attached: int = 0, flags: int = 0) -> int:
    """The program in the kernel, under a name of at most NAME_BYTES letters, digits, `_` and `.`.

    `attached` is the attach type that some types of programs need. PermissionError also where the verifier refuses it.
    """
    text, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    head = struct.pack("=IIQQ", kind, len(code) // 8, ctypes.addressof(text), ctypes.addressof(licence))
    rest = struct.pack("=IIQII16sII", 0, 0, 0, 0, flags, name.encode("ascii"), 0, attached)
    return _call(_PROGRAM_LOAD, head + rest)


def link(program: int, target: int, attached: int) -> int:
    """Attach the program to what the descriptor `target` stands for, until the link is closed."""
    return _call(_LINK_CREATE, struct.pack("=IIII", program, target, attached, 0))


def name_of(ident: int) -> str:
    """The name of a program, by its id. FileNotFoundError when there is none."""
    program = _call(_PROGRAM_BY_ID, struct.pack("=III", ident, 0, 0))
    try:
        buffer = ctypes.create_string_buffer(_INFORMATION_BYTES)
        _call(_INFORMATION, struct.pack("=IIQ", program, len(buffer), ctypes.addressof(buffer)))
        return buffer.raw[_NAME_AT:].rstrip(b"\0").decode("ascii", "replace")
    finally:
        os.close(program)


# -- instructions --------------------------------------------------------------------------------------------------


class Jump(NamedTuple):
    """To a label, by comparison of a register with a value or, as `code` says, with another register."""

    code: int
    register: int
    value: int
    label: str
    source: int = 0


def instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    """A struct bpf_insn."""
    return struct.pack("<BBhi", code, target | source << 4, offset, value)


def constant(register: int, value: int) -> bytes:
    """Load 64 bits into a register: two instructions in size."""
    low, high = struct.unpack("<ii", value.to_bytes(8, "little"))
    return instruction(0x18, register, value=low) + instruction(0, value=high)


def table_of(register: int, table: int) -> bytes:
    """Load a map, by its descriptor, into a register: two instructions in size."""
    return instruction(0x18, register, 1, value=table) + instruction(0)


def assemble(blocks: Mapping[str, Iterable[bytes | Jump]]) -> bytes:
    """Instructions in blocks, each with the label that jumps name. Of jumps, the length is filled in."""
    lines: list[bytes | Jump] = []
    labels: dict[str, int] = {}
    at = 0
    for label, block in blocks.items():
        labels[label] = at
        for line in block:
            lines.append(line)
            at += 1 if isinstance(line, Jump) else len(line) // 8
    code = b""
    for line in lines:
        if isinstance(line, Jump):
            length = labels[line.label] - len(code) // 8 - 1
            code += instruction(line.code, line.register, line.source, length, line.value)
        else:
            code += line
    return code


def _call(command: int, attributes: bytes) -> int:
    """As the system call of that name: a descriptor, or 0."""
    number = _SYSTEM_CALLS.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, "bpf: not on this processor")
    buffer = ctypes.create_string_buffer(attributes, _ATTRIBUTES)
    result: int = _libc.syscall(number, command, buffer, _ATTRIBUTES)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"bpf {command}: {os.strerror(code)}")
    return result
