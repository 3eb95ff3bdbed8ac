"""Which 127.N.0.0/16 the instances of a cloud have their addresses from: on one machine no two clouds have the same.

The state directory remembers N, and in a folder of all clouds of this machine the link N leads to the state directory
of its holder. A link counts as long as that directory says the same, so that a process which died between the two, or a
state directory that was moved or copied, leaves nothing that needs mending.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pileus.model.errors import Fault
from pileus.posix.files import read_file, write_file, write_link
from pileus.posix.locks import alone
from pileus.providers.local.layout import Layout

_FIRST, _COUNT = 2, 253
_TCP = Path("/proc/self/net/tcp")
_LISTENING = "0A"
"""A listening socket (the kernel's include/net/tcp_states.h)."""


class _Kept(msgspec.Struct, frozen=True):
    prefix: int


def of(layout: Layout) -> int:
    """The N that this cloud has taken; before that, the one it would like to have."""
    return _kept(layout.prefix_file) or _FIRST + int(layout.digest, 16) % _COUNT


def take(layout: Layout) -> int:
    """The N of this cloud, kept from its first start on: another one only when a second cloud holds it by now.

    Raises Fault PrefixesExhausted.
    """
    with alone(layout.prefixes):  # who may open it could keep the lock
        holders, own = _holders(layout.prefixes), str(layout.state)
        stored_number = _kept(layout.prefix_file)
        number = stored_number or next((held_number for held_number, state in holders.items() if state == own), 0)
        if not number or (holders.get(number, own) != own and _holds(holders[number], number)):
            number = _free(of(layout), holders)
        if number != stored_number:
            write_file(layout.prefix_file, msgspec.json.encode(_Kept(number)), 0o644)
        if holders.get(number) != own:
            write_link(layout.prefixes / str(number), own)
        return number


def free(layout: Layout) -> None:
    """Give up what this cloud holds. Idempotent."""
    if layout.prefixes.is_dir():
        with alone(layout.prefixes):
            for number, state in _holders(layout.prefixes).items():
                if state == str(layout.state):
                    (layout.prefixes / str(number)).unlink()


def _free(preferred: int, holders: dict[int, str]) -> int:
    """The first N from `preferred` on that nobody has; of those whose holder is gone, only when there is no other."""
    # Of a cloud that is in no folder of ours, perhaps.
    listening_numbers = {address.packed[1] for address, *_ in listening(_TCP.read_text()) if address.is_loopback}
    order = [_FIRST + (preferred - _FIRST + step) % _COUNT for step in range(_COUNT)]
    quiet = [number for number in order if number not in listening_numbers]
    for number in sorted(quiet, key=lambda number: number in holders):
        if number not in holders or not _holds(holders[number], number):
            return number
    raise Fault("PrefixesExhausted", "every 127.N.0.0/16 of this machine has its cloud: purge one", permanent=True)


def _holders(folder: Path) -> dict[int, str]:
    return {int(name): os.readlink(folder / name) for name in os.listdir(folder) if name.isdecimal()}  # noqa: PTH208,PTH115  (texts, not paths)


def _holds(state: str, number: int) -> bool:
    return _kept(Layout(Path(state)).prefix_file) == number


def listening(table: str) -> Iterator[tuple[ipaddress.IPv4Address, int, str]]:
    """The address, port and inode of each listening socket, by the text of /proc/net/tcp."""
    for line in table.splitlines()[1:]:
        words = line.split()
        if words[3] == _LISTENING:
            address, _, port = words[1].partition(":")
            # The kernel prints the four bytes as one number of this machine's order.
            yield ipaddress.IPv4Address(int.from_bytes(bytes.fromhex(address), "little")), int(port, 16), words[9]


def _kept(file: Path) -> int:
    """Return the prefix that a state directory remembers; 0 for none. It may be anybody's: no link, no pipe."""
    try:
        number = msgspec.json.decode(read_file(file, 100) or b"", type=_Kept).prefix
    except msgspec.DecodeError:
        return 0
    return number if number in range(_FIRST, _FIRST + _COUNT) else 0
