"""A host's end over a broker: it takes what is in its own queue, and speaks under its own name alone."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from pileus.bus import messages
from pileus.bus.rabbitmq import topology
from pileus.bus.rabbitmq.consumer import Consumer
from pileus.bus.rabbitmq.publisher import Parcel, Publisher

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.bus.messages import Opened, Report, ToHost
    from pileus.bus.rabbitmq.consumer import Letter
    from pileus.bus.rabbitmq.session import Broker

QUESTIONS = 1000
"""Questions whose asker is remembered until they are answered."""

_REFUSED = "ACCESS_REFUSED"
"""The broker's refusal of a user who has no account."""


class HostEnd:
    """Declares nothing, for it may not: until the cloud has made its queue it tries again."""

    def __init__(self, broker: Broker, host: str) -> None:
        self._host = topology.checked(host)
        self._askers: OrderedDict[str, str] = OrderedDict()
        self._on_message: Callable[[ToHost], None] = _nobody
        self._publisher = Publisher(broker)
        self._consumer = Consumer("orders", broker, self._own, self._arrived, self._begins)

    def listen(self, on_message: Callable[[ToHost], None]) -> None:
        """Begin to connect and deliver."""
        self._on_message = on_message
        self._publisher.start()
        self._consumer.start()

    def send(self, message: Report | Opened) -> None:
        """Send to the cloud, at once or not at all: an answer to who asked, all else to whichever process takes it."""
        call = message.call if isinstance(message, messages.Opened) else message.answer
        # All pages of an answer go to who asked.
        last = isinstance(message, messages.Opened) or message.page + 1 == message.pages
        process = (self._askers.pop(call, "") if last else self._askers.get(call, "")) if call else ""
        if isinstance(message, messages.Opened) and not process:
            return
        key = topology.answer_key(process, self._host) if process else topology.report_key(self._host)
        self._publisher.send(Parcel(exchange=topology.CLOUD.name, key=key, body=messages.encode(message)))

    def stop(self) -> None:
        """End the connections."""
        self._publisher.session.stopping.set()
        self._consumer.session.stopping.set()
        self._publisher.stop()
        self._consumer.stop()

    @property
    def connected(self) -> bool:
        """Whether messages pass now, as far as is known."""
        return self._publisher.connected and self._consumer.connected

    @property
    def refused(self) -> bool:
        """Whether the broker answers, and refuses this host's login."""
        return any(_REFUSED in part.session.trouble for part in (self._publisher, self._consumer))

    def _own(self, _channel: Any) -> str:
        return str(topology.of_host(self._host).name)

    def _begins(self) -> None:
        """A new connection begins with all that there is to say."""
        self._on_message(messages.Ask())

    def _arrived(self, letter: Letter) -> None:
        message = messages.decode_to_host(letter.body)
        if message is None:
            return
        call = "" if isinstance(message, messages.Order) else message.call
        if call and letter.reply:
            self._askers[call] = letter.reply
            while len(self._askers) > QUESTIONS:
                self._askers.popitem(last=False)
        self._on_message(message)


def _nobody(_message: object) -> None: ...
