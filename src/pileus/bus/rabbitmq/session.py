"""A connection to the broker that comes back: made, used, and made again when it breaks, in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import structlog
from kombu.connection import Connection

from pileus.bus.tls import TlsFiles
from pileus.model.backoff import backoff
from pileus.model.threads import Thread

if TYPE_CHECKING:
    from collections.abc import Callable

HEARTBEAT = 10
"""Seconds: a peer that has said nothing for twice as long is taken for dead."""

PATIENCE = 10.0
"""Seconds for which the broker may keep a thread waiting: to connect, to declare, to take what is sent."""

CHECK_INTERVAL = 1.0
"""Seconds between two checks of the heartbeat."""

SOONEST, LATEST = 0.2, 5.0
"""Seconds before a broken connection is made again: doubling, with jitter."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Broker:
    """Where the broker is: `amqp://` or `amqps://user:password@host:port/vhost`, and the certificates for the latter.

    Without a user the certificate says who one is (SASL EXTERNAL). Without `tls` the system's authorities are
    believed. Raises ValueError for another URL.
    """

    url: str = field(repr=False)
    tls: TlsFiles | None = None

    def __post_init__(self) -> None:
        """Check."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
            raise ValueError("the broker's URL is amqp://… or amqps://USER:PASSWORD@HOST:PORT/VHOST")
        if not parts.username and (parts.scheme == "amqp" or self.tls is None or self.tls.certificate is None):
            raise ValueError("the broker's URL names no user, and there is no certificate that could say who this is")

    @property
    def place(self) -> str:
        """Host and port, for logs."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or (5671 if parts.scheme == 'amqps' else 5672)}"

    def connection(self) -> Connection:
        """A connection, not made yet."""
        parts = urlsplit(self.url)
        secure = parts.scheme == "amqps"
        return Connection(
            transport="pyamqp",
            hostname=parts.hostname,
            port=parts.port or (5671 if secure else 5672),
            userid=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password or "") if parts.username else None,
            login_method="PLAIN" if parts.username else "EXTERNAL",
            virtual_host=unquote(parts.path[1:]) or "/",
            ssl=self._ssl(parts.hostname or "") if secure else False,
            connect_timeout=PATIENCE,
            heartbeat=HEARTBEAT,
            transport_options={"read_timeout": PATIENCE, "write_timeout": PATIENCE},
        )

    def _ssl(self, name: str) -> dict[str, Any]:
        options: dict[str, Any] = {
            "cert_reqs": ssl.CERT_REQUIRED,
            "server_hostname": name,
            "tls_minimum_version": ssl.TLSVersion.TLSv1_2,
        }
        if self.tls is not None:
            options["ca_certs"] = str(self.tls.ca)
            if self.tls.certificate is not None:
                options |= {"certfile": str(self.tls.certificate), "keyfile": str(self.tls.key or self.tls.certificate)}
        return options


class BrokerSession:
    """Has `use` called with each connection that is made, until `stopping`; it returns when `stopping` is set."""

    def __init__(self, name: str, broker: Broker, use: Callable[[Connection], None]) -> None:
        self.stopping = threading.Event()
        self.trouble = ""
        """Why it does not work; empty while it does."""
        self._name = name
        self._broker = broker
        self._use = use
        self._tries = 0
        self._thread = Thread(f"bus-{name}", self._attempt, self.stopping)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self) -> None:
        """End; a thread that a hung broker keeps waiting ends by itself."""
        self.stopping.set()
        self._thread.join(2 * CHECK_INTERVAL)

    def works(self) -> None:
        """Note that the connection does its work again."""
        if self.trouble:
            log.info("broker answers", broker=self._broker.place, session=self._name)
        self.trouble = ""

    def _attempt(self) -> None:
        """Connect once, use the connection until it breaks, and wait before the next one."""
        began = time.monotonic()
        try:
            self._once()
        except Exception as error:  # noqa: BLE001  (`trouble` shows it)
            # Whatever the broker or the library came up with: a connection is made anew.
            self._complain(error)
        self._tries = 0 if time.monotonic() - began > LATEST else self._tries + 1
        self.stopping.wait(backoff(self._tries, SOONEST, LATEST))

    def _complain(self, error: Exception) -> None:
        trouble = f"{type(error).__name__}: {error}"
        if trouble != self.trouble and not self.stopping.is_set():
            log.warning("broker does not answer", broker=self._broker.place, session=self._name, reason=trouble)
        self.trouble = trouble

    def _once(self) -> None:
        connection = self._broker.connection()
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        transport = connection.connection.transport
        try:
            self._use(connection)
            connection.release()
        finally:
            _abandon(transport)


def _abandon(transport: Any) -> None:
    """Close the socket without a word: a broker that hangs would let a proper farewell wait."""
    link = transport.sock
    if link is not None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(link, socket.SHUT_RDWR)
    with contextlib.suppress(Exception):
        transport.close()


def check_heartbeat(connection: Connection) -> None:
    """Send the heartbeat that is due, and check that of the broker; to be called about once a second."""
    connection.heartbeat_check()


def drain(connection: Connection, seconds: float) -> bool:
    """Take in what the broker says, for `seconds` at most; False when it said nothing."""
    try:
        connection.drain_events(timeout=seconds)
    except TimeoutError:
        return False
    return True
