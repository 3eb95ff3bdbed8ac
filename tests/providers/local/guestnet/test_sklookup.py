"""Ranges of ports as blocks for the kernel's table."""

from hypothesis import given
from hypothesis import strategies as st

from pileus.providers.local.guestnet.sklookup import EVERY_PORT, blocks

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
