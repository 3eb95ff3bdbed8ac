"""The bus as verbs and loops have it: orders pass to compared hosts alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pileus.bus.messages import Ask, Open, Order, Report
    from pileus.model.provider import Access


class Bus(Protocol):
    """The cloud's end of the bus."""

    def send(self, host: str, message: Order | Ask) -> None:
        """Send a message, at once or not at all. Never blocks, never raises."""

    def open(self, host: str, request: Open) -> Access:
        """Have a host open a channel."""


class Gate:
    """The bus as verbs and loops have it: orders pass to those hosts alone that the store was compared with."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.admitted: frozenset[str] = frozenset()

    def send(self, host: str, order: Order | Ask) -> None:
        """Send an order to a host that was compared; lost otherwise, for the loop will send it again."""
        if host in self.admitted:
            self.bus.send(host, order)

    def open(self, host: str, request: Open) -> Access:
        """Have a host open a channel."""
        return self.bus.open(host, request)

    def connected(self) -> bool:
        """Whether messages pass now, as far as is known; a bus that cannot tell has nothing that could be away."""
        return bool(getattr(self.bus, "connected", True))

    def listen(self, on_report: Callable[[Report], object]) -> None:
        """Call `on_report` with every report, where the bus has some."""
        listen = getattr(self.bus, "listen", None)
        if listen is not None:
            listen(on_report)

    def attend(self, hosts: Iterable[str]) -> None:
        """Take the reports of these hosts, where each host has a queue of its own."""
        attend = getattr(self.bus, "attend", None)
        if attend is not None:
            attend(hosts)

    def notify(self) -> None:
        """Tell the cloud's other processes that something was woken, where there may be some."""
        notify = getattr(self.bus, "notify", None)
        if notify is not None:
            notify()

    def on_notification(self, callback: Callable[[], None]) -> None:
        """Call back when another process of the cloud woke something, where there may be some."""
        listen = getattr(self.bus, "on_notification", None)
        if listen is not None:
            listen(callback)
