"""Rates: how often a caller may ask, and how often an address may be refused, as token buckets.

They are as EC2's: one bucket for calls that only read, one for calls that change something, one for the instances of
launches. A rate of 0 is no limit.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from pileus.model import bounds
from pileus.model.errors import Throttled

if TYPE_CHECKING:
    from pileus.app.settings import Settings
    from pileus.model.caller import Caller

BURST = 20.0
"""Seconds of a rate that a bucket holds."""

DELAY = 0.5
"""Seconds for which the answer to a request that was refused for its rate is held back."""

PREFIX = 64
"""Bits of the network of an IPv6 client: addresses that agree in them count as one."""


class Buckets:
    """A bucket for each key, which `rate` tokens a second come into, divided among `processes()` processes.

    A bucket holds the tokens of `burst` seconds.
    """

    def __init__(self, rate: float, processes: Callable[[], int] = lambda: 1, burst: float = BURST) -> None:
        self._rate = rate
        self._processes = processes
        self._burst = burst
        self._lock = threading.Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, amount: float = 1.0) -> bool:
        """Take `amount` tokens; False, and nothing is taken, where the bucket has fewer.

        A full bucket gives any amount: its level is below zero afterwards, by as much as it holds at most.
        """
        if not self._rate:
            return True
        with self._lock:
            level, capacity, now = self._level(key)
            enough = level >= min(amount, capacity)
            self._levels[key] = (max(level - amount, -capacity) if enough else level, now)
            self._levels.move_to_end(key)
            if len(self._levels) > bounds.RATE_KEYS.most:
                self._levels.popitem(last=False)
        return enough

    def empty(self, key: str) -> bool:
        """Whether the bucket has no token now."""
        if not self._rate:
            return False
        with self._lock:
            return self._level(key)[0] < 1

    def _level(self, key: str) -> tuple[float, float, float]:
        """Return the tokens in the bucket, its capacity, and the time."""
        rate, now = self._rate / self._processes(), time.monotonic()
        capacity = max(1.0, rate * self._burst)
        level, at = self._levels.get(key, (capacity, now))
        return min(capacity, level + (now - at) * rate), capacity, now


class Rates:
    """The rates of one process. Its methods may be called from any thread."""

    def __init__(self, settings: Settings, processes: Callable[[], int] = lambda: 1) -> None:
        self._reads = Buckets(settings.rate_reads, processes)
        self._changes = Buckets(settings.rate_changes, processes)
        self._launches = Buckets(settings.rate_launches, processes)
        self._refusals = Buckets(settings.rate_refusals, processes)
        # Apart from refusals: the address may be that of a balancer, which asks for the health too.
        self._open = Buckets(settings.rate_refusals, processes)
        self._lock = threading.Lock()
        # In the order in which they were good last.
        self._proven: OrderedDict[str, None] = OrderedDict()

    def take(self, caller: Caller, *, reads: bool, launches: int = 0) -> None:
        """Count a call of `caller`, which may launch instances. Raises Throttled."""
        key = f"{caller.user} {caller.project}"
        if not (self._reads if reads else self._changes).take(key):
            raise Throttled("Request limit exceeded.", reason="rate")
        if launches and not self._launches.take(key, launches):
            raise Throttled("Request limit exceeded: too many instances are launched.", reason="rate")

    def turn(self, address: str, credential: str) -> tuple[str, bool]:
        """The key under which a request from `address` takes turns to be identified, and whether that was proven.

        Raises Throttled.
        A `credential` that was good there before has turns of its own, and is looked at however much is refused there.
        """
        network = client_network(address)
        own = f"{network} {credential}"
        if own in self._proven:
            return own, True
        if self._refusals.empty(network):
            raise Throttled("Too many requests of this address were refused.", reason="rate")
        return network, False

    def refused(self, address: str, credential: str = "") -> bool:
        """Count a request that was refused for want of a good credential; whether that was one too many.

        A `credential` that was good there before, and is refused too often, has turns of its own no more.
        """
        network = client_network(address)
        own = f"{network} {credential}"
        if own in self._proven and not self._refusals.take(own):
            with self._lock:
                self._proven.pop(own, None)
        return not self._refusals.take(network)

    def admit(self, address: str) -> bool:
        """Count a request that needs no credential; whether it is within the rate of its address."""
        return self._open.take(client_network(address))

    def proved(self, address: str, credential: str) -> None:
        """Remember that `credential` was good, at this address."""
        if not credential:
            return
        own = f"{client_network(address)} {credential}"
        with self._lock:
            self._proven[own] = None
            self._proven.move_to_end(own)
            if len(self._proven) > bounds.RATE_KEYS.most:
                self._proven.popitem(last=False)


def client_network(address: str) -> str:
    """The key by which an address counts: for IPv6 its /64 network, of which one client has every address."""
    if ":" not in address:
        return address
    number = IPv6Address(address.partition("%")[0])
    return str(number.ipv4_mapped or f"{int(number) >> (128 - PREFIX):x}::")
