"""The bus within one process: for the stub and for tests. Messages still pass as bytes, so nothing is shared."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING

from pileus.bus import messages
from pileus.bus.calls import Calls
from pileus.model import bounds
from pileus.model.threads import Thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.bus.messages import Ask, Open, Opened, Order, Report, ToHost
    from pileus.model.provider import Access


def _ignore(_message: object) -> None: ...


class MemoryBus:
    """The cloud's end; `host(name)` gives a host's."""

    def __init__(self) -> None:
        self._hosts: dict[str, MemoryLink] = {}
        self._calls = Calls()
        self._on_report: Callable[[Report], object] = _ignore

    def listen(self, on_report: Callable[[Report], object]) -> None:
        """Call `on_report` with every report, from the thread of the host that sent it."""
        self._on_report = on_report

    def start(self) -> None:
        """Nothing to begin."""

    def stop(self) -> None:
        """End the hosts' threads."""
        for link in self._hosts.values():
            link.close()

    def host(self, name: str) -> MemoryLink:
        """The end of the host `name`."""
        self._hosts[name] = MemoryLink(self)
        return self._hosts[name]

    def send(self, host: str, message: Order | Ask) -> None:
        """Send a message; lost when there is no such host."""
        if host in self._hosts:
            self._hosts[host].deliver(messages.encode(message))

    def open(self, host: str, request: Open) -> Access:
        """Have a host open a channel."""
        link = self._hosts.get(host)
        return self._calls.ask(request, (lambda: link.deliver(messages.encode(request))) if link else None)

    def arrived(self, data: bytes) -> None:
        """A message of a host."""
        message = messages.decode_to_cloud(data)
        if isinstance(message, messages.Report):
            self._on_report(message)
        elif isinstance(message, messages.Opened):
            self._calls.answer(message)


class MemoryLink:
    """A host's end."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._queue: queue.Queue[bytes | None] = queue.Queue(bounds.MESSAGE_QUEUE.most)
        self._on_message: Callable[[ToHost], None] | None = None
        self._ended = threading.Event()
        self._thread = Thread("memory-bus", self._deliver, self._ended)

    def listen(self, on_message: Callable[[ToHost], None]) -> None:
        """Begin to deliver."""
        self._on_message = on_message
        self._thread.start()

    def send(self, message: Report | Opened) -> None:
        """Send to the cloud."""
        self._bus.arrived(messages.encode(message))

    def deliver(self, data: bytes) -> None:
        """Have a message of the cloud wait for the host; dropped when too many do, for it will be sent again."""
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(data)

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)

    def _deliver(self) -> None:
        data = self._queue.get()
        message = messages.decode_to_host(data) if data is not None else None
        if self._on_message is not None and message is not None:
            self._on_message(message)
