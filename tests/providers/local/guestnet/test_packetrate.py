"""The program at a guest's interface: its instructions, done one by one, keep to rate and burst, and drop what lies."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.providers.local.guestnet import bpf, packetrate

SECOND = 10**9
DROP, PASS = 1, 2
MASK = (1 << 64) - 1


ARITHMETIC: dict[int, Callable[[int, int, int], int]] = {
    0xBF: lambda _, source, __: source,
    0xB7: lambda _, __, value: value,
    0x07: lambda target, _, value: target + value & MASK,
    0x0F: lambda target, source, _: target + source & MASK,
    0x1F: lambda target, source, _: target - source & MASK,
    0x57: lambda target, _, value: target & value,
}
JUMPS: dict[int, Callable[[int, int, int], bool]] = {
    0x05: lambda *_: True,
    0x15: lambda target, _, value: target == value,
    0x2D: lambda target, source, _: target > source,
    0x55: lambda target, _, value: target != value,
}


class Machine:
    """As much of a BPF machine as the program needs: one number in a map, and a clock."""

    def __init__(self, rate: int) -> None:
        code = packetrate.program(7, rate)
        self.lines = [struct.unpack_from("<BBhi", code, at) for at in range(0, len(code), 8)]
        self.number = 0

    def packet(self, now: int, frame: bytes = bytes(60)) -> bool:
        """Whether a frame that comes at `now` ns passes."""
        registers: list[int] = [0] * 11
        at = 0
        while (line := self.lines[at])[0] != 0x95:
            code, both, offset, value = line
            target, source = both & 15, registers[both >> 4]
            at += 1
            if code in ARITHMETIC:
                registers[target] = ARITHMETIC[code](registers[target], source, value)
            elif code in JUMPS:
                at += offset if JUMPS[code](registers[target], source, value) else 0
            elif code == 0x18:
                registers[target] = value & 0xFFFFFFFF | (self.lines[at][3] & 0xFFFFFFFF) << 32
                at += 1
            elif code == 0x85:
                # The clock; else the place of the number in the map.
                registers[0] = now if value == 5 else 1
            elif code == 0x61:
                # Of the context: where the frame begins, and where it ends.
                registers[target] = len(frame) if offset else 0
            elif code in (0x69, 0x71):
                size = 2 if code == 0x69 else 1
                assert source + offset + size <= len(frame)
                registers[target] = int.from_bytes(frame[source + offset :][:size], sys.byteorder)
            else:
                self.memory(code, registers, target, source)
        assert registers[0] in (DROP, PASS)
        return registers[0] == PASS

    def memory(self, code: int, registers: list[int], target: int, source: int) -> None:
        """Read or write the number; the key on the stack is always the same."""
        if code == 0x79:
            registers[target] = self.number
        else:
            self.number = {0x7B: source, 0xDB: self.number + source & MASK, 0x62: self.number}[code]


def passing(rate: int, times: list[int]) -> list[int]:
    machine = Machine(rate)
    return [time for time in times if machine.packet(time)]


def test_a_flood_is_held_to_the_rate_and_a_burst() -> None:
    passed = passing(1000, [SECOND * 5 + at * SECOND // 20_000 for at in range(40_000)])
    assert 2000 <= len(passed) <= 2000 + 102
    assert len([time for time in passed if time >= SECOND * 6]) == pytest.approx(1000, abs=2)


def test_what_keeps_to_the_rate_loses_nothing() -> None:
    times = [SECOND + at * SECOND // 1000 for at in range(3000)]
    assert passing(1000, times) == times
    assert passing(10, [SECOND] * 100) == [SECOND] * 100, "the smallest burst"


def test_a_pause_saves_up_one_burst_and_no_more() -> None:
    flood = [SECOND] * 5000 + [SECOND * 100] * 5000
    assert len(passing(10_000, flood)) == 2 * 1001


@given(st.integers(1, 10**8), st.lists(st.integers(0, SECOND), max_size=400))
def test_no_stretch_of_time_has_more_than_its_share(rate: int, pauses: list[int]) -> None:
    now, times = SECOND, []
    for pause in pauses:
        now += pause // rate
        times.append(now)
    passed = passing(rate, times)
    interval, burst = packetrate.tolerance(rate)
    for first, start in enumerate(passed):
        for count, end in enumerate(passed[first:], 1):
            assert (count - 1) * interval <= end - start + burst + interval


def packet(kind: int, body: int, hops: int = 255, source: bytes = b"\xfe\x80") -> bytes:
    """A frame with a packet of IPv6 whose next header is `kind`, and whose body begins with the byte `body`."""
    ipv6 = b"\x60" + bytes(5) + bytes([kind, hops]) + source + bytes(14) + b"\xff\x02" + bytes(14)
    return bytes(12) + b"\x86\xdd" + ipv6 + bytes([body]) + bytes(20)


@pytest.mark.parametrize("rate", [0, 1000])
def test_no_router_advertisement_passes(rate: int) -> None:
    def passes(frame: bytes) -> bool:
        return Machine(rate).packet(SECOND, frame)

    assert not passes(packet(58, 134))
    assert not passes(packet(58, 134, hops=64, source=b"\xfd\x00"))
    assert all(passes(packet(58, kind)) for kind in (128, 133, 135, 136))
    assert passes(packet(17, 134))
    for header in (0, 43, 44, 60):
        assert not passes(packet(header, 58)), "an advertisement may be behind it"
        assert passes(packet(header, 58, hops=1)), "of reports of groups"
        assert passes(packet(header, 58, source=b"\xfd\x00"))
    advertised = packet(58, 134)
    assert passes(advertised[:54]), "too short to be one"
    assert passes(advertised[:12] + b"\x08\x00" + advertised[14:])


def test_the_name_has_room_for_every_rate() -> None:
    assert len(f"{packetrate._NAME}{1 << 30}") <= bpf.NAME_BYTES
