"""Consuming one queue in a thread: each message is given on, then acknowledged, whatever became of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from pileus.bus.rabbitmq.session import BEAT, Broker, Session, beat, drain

if TYPE_CHECKING:
    from collections.abc import Callable

    from kombu.connection import Connection

AHEAD = 50
"""Messages that the broker sends ahead of their acknowledgement; others are for other processes meanwhile."""

log = structlog.get_logger()


class Letter(msgspec.Struct, frozen=True):
    """A message as it came. `key` is its routing key; `reply` and `sender` are what its sender said of itself."""

    key: str
    body: bytes
    reply: str = ""
    sender: str = ""


class Consumer:
    """`prepare` is given each new channel and returns the queue's name; `begins` is called whenever letters may come.

    `take` gets each, one at a time. One whose taking raises is logged and forgotten.
    """

    def __init__(
        self,
        name: str,
        broker: Broker,
        prepare: Callable[[Any], str],
        take: Callable[[Letter], None],
        begins: Callable[[], None] = lambda: None,
    ) -> None:
        self._prepare = prepare
        self._take = take
        self._begins = begins
        self.connected = False
        self.session = Session(name, broker, self._use)

    def start(self) -> None:
        """Begin to connect and consume."""
        self.session.start()

    def stop(self) -> None:
        """End; what is not acknowledged goes to others."""
        self.session.stop()

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
        try:
            while not self.session.stopping.is_set():
                drain(connection, BEAT)
                if time.monotonic() - looked > BEAT / 2:
                    looked = time.monotonic()
                    beat(connection)
        finally:
            self.connected = False

    def _arrived(self, channel: Any, message: Any) -> None:
        if self.session.stopping.is_set():
            return
        said = message.properties
        try:
            self._take(
                Letter(
                    key=str(message.delivery_info["routing_key"]),
                    body=message.body if isinstance(message.body, bytes) else b"",
                    reply=str(said.get("reply_to") or ""),
                    sender=str(said.get("app_id") or ""),
                )
            )
        except msgspec.DecodeError as error:
            log.warning("not a message", key=message.delivery_info.get("routing_key"), reason=str(error))
        except Exception:
            log.exception("message not taken in", key=message.delivery_info.get("routing_key"))
        channel.basic_ack(message.delivery_tag)
