"""Consuming queues in a thread: each message is given on, then acknowledged, whatever became of it."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from pileus.bus.rabbitmq.session import CHECK_INTERVAL, Broker, BrokerSession, check_heartbeat, drain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kombu.connection import Connection

AHEAD, AHEAD_FURTHER = 50, 10
"""Messages of a queue, and of a further one, that the broker sends ahead of their acknowledgement."""

log = structlog.get_logger()


class Letter(msgspec.Struct, frozen=True):
    """A message as it came. `key` is its routing key; `reply` and `sender` are what its sender said of itself."""

    key: str
    body: bytes
    reply: str = ""
    sender: str = ""


class Consumer:
    """`prepare` is given each new channel and returns the queue's name; `begins` is called whenever letters may come.

    `take` gets each, one at a time. One whose taking raises is logged and forgotten. One for which it returns False is
    acknowledged a moment later, so that its queue waits, and no other one. `further` is given a channel and a name that
    was added, and returns the name of the queue, which is consumed as well.
    """

    def __init__(
        self,
        name: str,
        broker: Broker,
        prepare: Callable[[Any], str],
        take: Callable[[Letter], object],
        begins: Callable[[], None] = lambda: None,
        further: Callable[[Any, str], str] | None = None,
    ) -> None:
        self._prepare = prepare
        self._take = take
        self._begins = begins
        self._further = further
        self._names: frozenset[str] = frozenset()
        self._consumed: frozenset[str] = frozenset()
        self._late: list[int] = []
        self.connected = False
        self.session = BrokerSession(name, broker, self._use)

    def start(self) -> None:
        """Begin to connect and consume."""
        self.session.start()

    def stop(self) -> None:
        """End; what is not acknowledged goes to others."""
        self.session.stop()

    def add(self, names: Iterable[str]) -> None:
        """Consume the queues of these names as well, from now on. Never blocks."""
        added = frozenset(names)
        if not added <= self._names:
            self._names |= added

    def _use(self, connection: Connection) -> None:
        channel = connection.channel()
        # As bytes, whatever encoding the sender claims: the body is ours alone to read.
        channel.auto_decode = False
        name = self._prepare(channel)
        channel.basic_qos(0, AHEAD, a_global=False)
        channel.basic_consume(queue=name, callback=lambda message: self._arrived(channel, message))
        self.session.works()
        self.connected = True
        self._begins()
        looked = time.monotonic()
        self._consumed, self._late = frozenset(), []
        try:
            while not self.session.stopping.is_set():
                if self._consumed != self._names:
                    self._consume_further(channel)
                drain(connection, CHECK_INTERVAL)
                if time.monotonic() - looked > CHECK_INTERVAL / 2:
                    looked = time.monotonic()
                    check_heartbeat(connection)
                    while self._late:
                        channel.basic_ack(self._late.pop())
        finally:
            self.connected = False

    def _consume_further(self, channel: Any) -> None:
        """Consume the queues that were added since."""
        if self._further is None:
            return
        channel.basic_qos(0, AHEAD_FURTHER, a_global=False)
        for name in sorted(self._names - self._consumed):
            channel.basic_consume(
                queue=self._further(channel, name),
                callback=lambda message: self._arrived(channel, message),
                on_cancel=functools.partial(self._cancelled, name),
            )
            self._consumed |= {name}

    def _cancelled(self, name: str, _tag: str) -> None:
        """Forget a queue that was removed; whoever needs it again adds it again."""
        self._names -= {name}
        self._consumed -= {name}

    def _arrived(self, channel: Any, message: Any) -> None:
        if self.session.stopping.is_set():
            return
        properties = message.properties
        accepted: object = None
        try:
            accepted = self._take(
                Letter(
                    key=str(message.delivery_info["routing_key"]),
                    body=message.body if isinstance(message.body, bytes) else b"",
                    reply=str(properties.get("reply_to") or ""),
                    sender=str(properties.get("app_id") or ""),
                )
            )
        except msgspec.DecodeError as error:
            log.warning("not a message", key=message.delivery_info.get("routing_key"), reason=str(error))
        except Exception:
            log.exception("message not taken in", key=message.delivery_info.get("routing_key"))
        if accepted is False:
            self._late.append(message.delivery_tag)
        else:
            channel.basic_ack(message.delivery_tag)
