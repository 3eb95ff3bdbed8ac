"""The cloud's end over a broker. Any number of processes have one: they share the reports, and each has its answers."""

from __future__ import annotations

import contextlib
import secrets
import time
from typing import TYPE_CHECKING, Any

import amqp.exceptions
import structlog

from pileus.bus import messages
from pileus.bus.calls import Calls
from pileus.bus.channels import TCP
from pileus.bus.rabbitmq import topology
from pileus.bus.rabbitmq.consumer import Consumer
from pileus.bus.rabbitmq.publisher import Parcel, Publisher
from pileus.model.errors import Unavailable
from pileus.model.provider import Access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pileus.bus.messages import Ask, Open, Order, Report
    from pileus.bus.rabbitmq.consumer import Letter
    from pileus.bus.rabbitmq.session import Broker

DECLARED = 10.0
"""Seconds for which a host's queue is taken to be there still."""

log = structlog.get_logger()


class CloudEnd:
    """Declares all that is on the broker, hosts' queues too. `local` names hosts of this very machine.

    Another host's channels are believed to be where they say only if that is over TLS, with that host's certificate.
    """

    def __init__(self, broker: Broker, local: frozenset[str] = frozenset()) -> None:
        self._broker = broker
        self._local = local
        self._calls = Calls()
        self._asked: dict[str, str] = {}
        self._process = ""
        self._declared: dict[str, float] = {}
        self._on_report: Callable[[Report], object] | None = None
        self._on_notification: Callable[[], None] = _nobody
        self._publisher = Publisher(broker, self._renew, self._declare)
        self._answers = Consumer("answers", broker, self._own, self._answered)
        self._reports = Consumer("reports", broker, self._strangers, self._reported, further=self._reports_of)

    def listen(self, on_report: Callable[[Report], object]) -> None:
        """Call `on_report` with every report that this process gets, from threads of the bus.

        To be called before the start; without it this process takes none. Reports of one host may overtake each other
        where several processes listen: their order is in (epoch, sequence). Where `on_report` returns False, for want
        of room, the broker sends no more of that host for a moment.
        """
        self._on_report = on_report

    def on_notification(self, callback: Callable[[], None]) -> None:
        """Call back when another process woke something."""
        self._on_notification = callback

    def start(self) -> None:
        """Begin to connect."""
        self._publisher.start()
        self._answers.start()
        if self._on_report is not None:
            self._reports.start()

    def stop(self) -> None:
        """End the connections."""
        parts = (self._publisher, self._answers, self._reports)
        for part in parts:
            part.session.stopping.set()
        for part in parts:
            part.stop()

    @property
    def connected(self) -> bool:
        """Whether messages pass now, as far as is known."""
        taking = self._on_report is None or self._reports.connected
        return self._publisher.connected and self._answers.connected and taking

    def send(self, host: str, message: Order | Ask) -> None:
        """Send a message, at once or not at all."""
        self._send(host, message)

    def attend(self, hosts: Iterable[str]) -> None:
        """Take the reports of these hosts from now on, if this process takes any. Never blocks."""
        if self._on_report is not None:
            self._reports.add(filter(topology.is_host, hosts))

    def open(self, host: str, request: Open) -> Access:
        """Have a host open a channel."""
        self._asked[request.call] = host
        try:
            access = self._calls.ask(request, (lambda: self._send(host, request)) if self.connected else None)
        finally:
            self._asked.pop(request.call, None)
        if access.address.startswith(TCP):
            tls = self._broker.tls
            return Access(address=access.address, ticket=access.ticket, name=host, ca=str(tls.ca) if tls else "")
        if host not in self._local:
            raise Unavailable("The host offers no channel that another machine can reach.", noun="host")
        return access

    def notify(self) -> None:
        """Tell the other processes that something was woken; they look at once. Never blocks; losing it is no harm."""
        self._publisher.notify()

    def _send(self, host: str, message: Order | Ask | Open) -> None:
        self.attend([host])
        body = messages.encode(message)
        self._publisher.send(Parcel(exchange=topology.HOSTS.name, key=host, body=body, reply=self._process))

    # -- what is on the broker -------------------------------------------------------------------------------------

    def _renew(self, channel: Any) -> None:
        self._declared.clear()
        topology.declare(channel)

    def _declare(self, channel: Any, parcel: Parcel) -> None:
        if parcel.exchange != topology.HOSTS.name:
            return
        now = time.monotonic()
        if now - self._declared.get(parcel.key, -DECLARED) >= DECLARED:
            topology.of_host(parcel.key)(channel).declare()
            self._declared[parcel.key] = now

    def _strangers(self, channel: Any) -> str:
        topology.declare(channel)
        apart = channel.connection.channel()
        with contextlib.suppress(amqp.exceptions.ChannelError):  # processes of an earlier version use it
            apart.queue_delete(queue=topology.SHARED_BEFORE, if_unused=True)
            apart.close()
        queue = topology.strangers()
        queue(channel).declare()
        return str(queue.name)

    def _reports_of(self, channel: Any, host: str) -> str:
        queue = topology.of_reports(host)
        queue(channel).declare()
        return str(queue.name)

    def _own(self, channel: Any) -> str:
        """A new name each time: the broker may still hold the last one for a connection that it has not missed yet."""
        process = secrets.token_hex(8)
        topology.declare(channel)
        queue = topology.of_process(process)
        queue(channel).declare()
        self._process = self._publisher.sender = process
        return str(queue.name)

    # -- what arrives ----------------------------------------------------------------------------------------------

    def _reported(self, letter: Letter) -> object:
        message = messages.decode_to_cloud(letter.body)
        if isinstance(message, messages.Report) and self._on_report is not None:
            if message.host != topology.speaker(letter.key):
                log.warning("a host reports as another one", said=message.host, key=letter.key)
                return None
            self.attend([message.host])
            return self._on_report(message)
        return None

    def _answered(self, letter: Letter) -> None:
        if not letter.key:
            if letter.sender != self._process:
                self._on_notification()
            return
        message = messages.decode_to_cloud(letter.body)
        if isinstance(message, messages.Report):
            self._reported(letter)
        elif isinstance(message, messages.Opened) and self._asked.get(message.call) == topology.speaker(letter.key):
            self._calls.answer(message)


def _nobody() -> None: ...
