"""Ends of the bus on a real broker: they keep what they hear, and are stopped with the test."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self

from pileus.bus.messages import Ask, Open, Opened, Order, Report
from pileus.bus.rabbitmq import Accounts, Broker, CloudEnd, HostEnd
from tests.bus.waiting import until

if TYPE_CHECKING:
    from pileus.bus.messages import ToHost
    from pileus.bus.tls import TlsFiles
    from tests.services.rabbitmq import RabbitMq


class Ends:
    """Makes clouds' and hosts' ends on a broker, in which nothing waits that was said to the ends of another test."""

    def __init__(self, broker: RabbitMq) -> None:
        self.broker = broker
        self._stack = contextlib.ExitStack()
        self.accounts = self._stack.enter_context(Accounts(broker.management, "admin", broker.password))

    def __enter__(self) -> Self:
        self.broker.clear()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def end(self) -> CloudEnd:
        """A cloud's end, not started."""
        made = CloudEnd(Broker(self.broker.url, self.broker.cloud))
        self._stack.callback(made.stop)
        return made

    def cloud(self) -> Cloud:
        """A cloud's process, connected."""
        made = Cloud(self.end())
        until(lambda: made.end.connected)
        return made

    def certificate(self, host: str) -> TlsFiles:
        """A good certificate of a host that has an account."""
        self.accounts.add(host)
        return self.broker.authority.issue(host)

    def host_end(self, host: str, tls: TlsFiles | None = None) -> HostEnd:
        """A host's end, with an account, or with another certificate and none; not started."""
        made = HostEnd(Broker(self.broker.host_url(), tls or self.certificate(host)), host)
        self._stack.callback(made.stop)
        return made

    def host(self, host: str, *clouds: Cloud) -> Host:
        """A host's process, connected; the cloud is there."""
        made = Host(host, self.host_end(host))
        for cloud in clouds:
            cloud.end.send(host, Ask())  # which makes its queue
        until(lambda: made.end.connected)
        return made


class Cloud:
    """A cloud's process: what it hears, how often it is notified."""

    def __init__(self, end: CloudEnd) -> None:
        self.end = end
        self.heard: list[Report] = []
        self.notifications = 0
        end.listen(self.heard.append)
        end.on_notification(self._notified)
        end.start()

    def _notified(self) -> None:
        self.notifications += 1

    def last(self, host: str) -> int:
        """The highest number that a host reported."""
        return max((report.sequence for report in self.heard if report.host == host), default=0)


class Host:
    """A host's process: what it gets. It opens what is asked with the uuid as the ticket."""

    def __init__(self, name: str, end: HostEnd) -> None:
        self.name = name
        self.end = end
        self.got: list[ToHost] = []
        end.listen(self._message)

    def report(self, number: int) -> None:
        """Report; the number is that of the report."""
        self.end.send(Report(host=self.name, epoch=1, sequence=number))

    def orders(self) -> list[int]:
        """The numbers of the orders that came."""
        return [message.revision[1] for message in self.got if isinstance(message, Order)]

    def _message(self, message: ToHost) -> None:
        self.got.append(message)
        if isinstance(message, Open):
            self.end.send(Opened(call=message.call, address="tcp://127.0.0.1:9", ticket=message.uuid))
        elif isinstance(message, Ask) and message.call:
            self.end.send(Report(host=self.name, epoch=1, sequence=1, full=True, answer=message.call))


def order(number: int, size: int = 0) -> Order:
    """An order that says its number, and `size` bytes more."""
    return Order(uuid="u", revision=(1, number), why="gone", request="x" * size)
