"""Ranges of ports as blocks for the kernel's table, and the table where the kernel has no memory for all of them."""

from __future__ import annotations

import errno
import os
import socket
import struct
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.model import bounds
from pileus.providers.local.guestnet import bpf
from pileus.providers.local.guestnet.sklookup import EVERY_PORT, PortTable, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

ports = st.integers(0, 65535)


def test_a_port_is_a_block_and_all_ports_are_two() -> None:
    assert list(blocks(((22, 22), (80, 95)))) == [(22, 16), (80, 12)]
    assert list(blocks(EVERY_PORT)) == [(0, 1), (32768, 1)]


@given(st.tuples(ports, ports).map(sorted))
def test_blocks_are_the_range_without_gaps(edges: list[int]) -> None:
    first, last = edges
    at = first
    for start, bits in blocks(((first, last),)):
        size = 1 << 16 - bits
        assert start == at
        assert start % size == 0
        at += size
    assert at == last + 1


class Kernel:
    """The table of a kernel, which has memory for `room` entries."""

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes] = {}
        self.room = 1000

    def update(self, _table: int, key: bytes, value: bytes) -> None:
        """Write an entry."""
        if key not in self.entries and len(self.entries) >= self.room:
            raise OSError(errno.ENOMEM, "no memory")
        self.entries[key] = value

    def delete(self, _table: int, key: bytes) -> None:
        """Remove an entry, which exists."""
        del self.entries[key]

    def admitted(self) -> dict[str, list[tuple[int, int]]]:
        """The blocks that are admitted, by address."""
        blocks_of: dict[str, list[tuple[int, int]]] = {}
        for key, value in self.entries.items():
            bits, address, port = struct.unpack("=I4s2s", key)
            if value == b"\1":
                block = int.from_bytes(port, "big"), bits - 32
                blocks_of.setdefault(socket.inet_ntoa(address), []).append(block)
        return blocks_of


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """A kernel in the place of the machine's."""
    made = Kernel()
    for name in ("new_map", "load", "link"):
        monkeypatch.setattr(bpf, name, lambda *_, **__: os.open(os.devnull, os.O_RDONLY))
    monkeypatch.setattr(bpf, "update", made.update)
    monkeypatch.setattr(bpf, "delete", made.delete)
    return made


@pytest.fixture
def table(kernel: Kernel) -> Iterator[PortTable]:
    """A table in that kernel."""
    listener: Any = SimpleNamespace(fileno=lambda: 0)
    made = PortTable(listener)
    kernel.entries.clear()  # of the socket
    yield made
    made.close()


def test_what_a_full_kernel_refused_counts_for_nothing(
    kernel: Kernel, table: PortTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    ten = tuple((port, port) for port in range(1, 20, 2))
    most = bounds.Bound(what="blocks", per="host", most=30, answer="")
    monkeypatch.setattr(bounds, "LOOPBACK_BLOCKS", most)
    kernel.room = 5
    for _ in range(10):
        with pytest.raises(OSError, match="no memory"):
            table.admit({"127.0.0.2": ten})
    kernel.room = 1000
    table.admit({"127.0.0.2": ten, "127.0.0.3": ten})
    # 22 entries are within the bound: neither address is admitted as a whole.
    assert {address: len(of) for address, of in kernel.admitted().items()} == {"127.0.0.2": 10, "127.0.0.3": 10}


def test_an_address_that_was_written_in_part_is_removed_and_written_again(kernel: Kernel, table: PortTable) -> None:
    table.admit({"127.0.0.2": ((22, 22),)})
    kernel.room = 3
    wider = ((22, 22), (80, 80), (443, 443))
    with pytest.raises(OSError, match="no memory"):
        table.admit({"127.0.0.2": wider})
    table.admit({"127.0.0.2": ((22, 22),)})
    assert kernel.admitted() == {"127.0.0.2": [(22, 16)]}
    with pytest.raises(OSError, match="no memory"):
        table.admit({"127.0.0.2": ((22, 22),), "127.0.0.3": wider})
    table.admit({})
    assert kernel.entries == {}
