"""Publishing without waiting: a bounded queue, and a thread that empties it while the broker answers."""

from __future__ import annotations

import contextlib
import queue
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pileus.bus.rabbitmq.session import CHECK_INTERVAL, Broker, BrokerSession, check_heartbeat, drain
from pileus.bus.rabbitmq.topology import TTL, WAKES
from pileus.model import bounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from kombu.connection import Connection

WAITING = bounds.MESSAGE_QUEUE.most
"""Messages that may wait for the broker; more are dropped, for they will be sent again."""

NOTIFICATION_INTERVAL = 0.05
"""Seconds between two notifications at least."""


@dataclass(frozen=True)
class Parcel:
    """A message on its way to an exchange; `reply` is the process that an answer is for."""

    exchange: str
    key: str
    body: bytes = b""
    reply: str = ""
    made: float = field(default_factory=time.monotonic)


_NOTIFICATION = Parcel(exchange=WAKES.name, key="", made=float("inf"))


class Publisher:
    """`prepare` is given each new channel, `before` each parcel with its channel ahead of being published."""

    def __init__(
        self,
        broker: Broker,
        prepare: Callable[[Any], None] = lambda _channel: None,
        before: Callable[[Any, Parcel], None] = lambda _channel, _parcel: None,
    ) -> None:
        self.sender = ""
        """Which process's notifications these are."""
        self._prepare = prepare
        self._before = before
        self._queue: queue.Queue[Parcel] = queue.Queue(WAITING)
        self._notification_due = False
        self._last = 0.0
        self.session = BrokerSession("publish", broker, self._use)
        self.connected = False

    def start(self) -> None:
        """Begin to connect and publish."""
        self.session.start()

    def stop(self) -> None:
        """End; what still waits is dropped."""
        self.session.stopping.set()
        self._put(_NOTIFICATION)
        self.session.stop()

    def send(self, parcel: Parcel) -> None:
        """Have a message published soon, or not at all. Never blocks, never raises."""
        self._put(parcel)

    def notify(self) -> None:
        """Have a notification published soon; several within a moment are one."""
        if not self._notification_due:
            self._notification_due = True
            self._put(_NOTIFICATION)

    def _put(self, parcel: Parcel) -> None:
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(parcel)

    def _use(self, connection: Connection) -> None:
        channel = connection.channel()
        self._prepare(channel)
        self.session.works()
        self.connected = True
        looked = 0.0
        try:
            while not self.session.stopping.is_set():
                idle = not self._publish_next(channel)
                now = time.monotonic()
                if idle or now - looked > CHECK_INTERVAL:
                    looked = now
                    while drain(connection, 0.001):
                        """An objection of the broker ends the connection here."""
                    check_heartbeat(connection)
        finally:
            self.connected = False

    def _publish_next(self, channel: Any) -> bool:
        """Publish what comes next, waiting a moment for it; False when there was nothing."""
        due = self._last + NOTIFICATION_INTERVAL - time.monotonic() if self._notification_due else CHECK_INTERVAL
        parcel = None
        with contextlib.suppress(queue.Empty):
            parcel = self._queue.get(timeout=min(CHECK_INTERVAL, max(0.0, due)))
        if parcel is not None and parcel is not _NOTIFICATION and time.monotonic() - parcel.made < TTL:
            self._before(channel, parcel)
            self._publish(channel, parcel)
        if self._notification_due and time.monotonic() - self._last >= NOTIFICATION_INTERVAL:
            # Before it is sent: a notification from now on may be of a commit that this one is too early for.
            self._notification_due, self._last = False, time.monotonic()
            self._publish(channel, _NOTIFICATION)
        return parcel is not None

    def _publish(self, channel: Any, parcel: Parcel) -> None:
        properties = {"delivery_mode": 1, "reply_to": parcel.reply or None, "app_id": self.sender or None}
        message = channel.prepare_message(
            parcel.body,
            content_type="application/msgpack",
            content_encoding="binary",
            properties={name: value for name, value in properties.items() if value is not None},
        )
        channel.basic_publish(message, exchange=parcel.exchange, routing_key=parcel.key)
