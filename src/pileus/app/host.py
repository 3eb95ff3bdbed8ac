"""The host process: root, no database; makes the orders of its cloud true on this machine, and reports."""

from __future__ import annotations

import functools
import grp
import secrets
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from pileus.app import hostmetrics, internal, joining, logs, settings
from pileus.app.machine import fabric_of, layout_of
from pileus.app.memory import Memory
from pileus.app.settings import Settings
from pileus.app.state import StateDirectory
from pileus.bus.channels import ChannelServer
from pileus.bus.unix import HostEnd
from pileus.faces.metadata.service import bind
from pileus.host.agent import Agent
from pileus.host.book import FileBook
from pileus.host.runner import HostRunner
from pileus.model.threads import Thread
from pileus.posix.files import keep_once
from pileus.providers.local.engine import chassis
from pileus.providers.local.guestnet.upstream import host_servers
from pileus.providers.local.provider import LocalProvider, capacity, traits

if TYPE_CHECKING:
    from pileus.bus.rabbitmq import HostEnd as BrokerEnd
    from pileus.bus.tlschannels import TlsChannelServer

log = structlog.get_logger()


def _token_secret(state: StateDirectory) -> bytes:
    """Return the key that seals the metadata tokens of guests; kept, so that the tokens outlive this process."""
    return keep_once(state.host / "token.secret", lambda: secrets.token_bytes(32))


@dataclass(frozen=True)
class _Ways:
    """How this host reaches its cloud, and is reached: on one machine by sockets, across machines as it joined.

    `tls` is what it proves itself with to whoever asks for its metrics.
    """

    name: str
    zone: str
    link: HostEnd | BrokerEnd
    fetch: Callable[[str, Path], None]
    channels: ChannelServer | TlsChannelServer
    refused: Callable[[], bool] = lambda: False
    tls: Callable[[], ssl.SSLContext] | None = None


def _here(state: StateDirectory, settings: Settings, group: str) -> _Ways:
    """On the cloud's own machine. Members of `group` may open channels."""
    name = socket.gethostname()
    channels = ChannelServer(state.channels, grp.getgrnam(group).gr_gid)
    fetch = functools.partial(internal.fetch, functools.partial(internal.near, state.internal))
    if not settings.bus:
        return _Ways(name, settings.zone, HostEnd(state.bus, name), fetch, channels)
    from pileus.bus.rabbitmq import Broker  # noqa: PLC0415  (dear, and most hosts have no broker)
    from pileus.bus.rabbitmq import HostEnd as BrokerEnd  # noqa: PLC0415  (dear, and most hosts have no broker)
    from pileus.bus.tls import TlsFiles  # noqa: PLC0415  (dear, and most hosts have no broker)

    # By the cloud's own papers, on the cloud's own machine; it leaves them when it starts.
    tls = (
        TlsFiles(state.authority, state.bus_identity, state.bus_identity) if settings.bus.startswith("amqps:") else None
    )
    return _Ways(name, settings.zone, BrokerEnd(Broker(settings.bus, tls), name), fetch, channels)


def _joined(state: StateDirectory, settings: Settings, cloud: joining.JoinedCloud) -> _Ways:
    """On a machine that joined the cloud: what it was told then, and its certificate."""
    from pileus.bus.rabbitmq import Broker  # noqa: PLC0415  (dear, and most hosts have no broker)
    from pileus.bus.rabbitmq import HostEnd as BrokerEnd  # noqa: PLC0415  (dear, and most hosts have no broker)
    from pileus.bus.tls import TlsFiles  # noqa: PLC0415  (dear, and most hosts have no broker)
    from pileus.bus.tlschannels import ListenAddress, TlsChannelServer  # noqa: PLC0415  (dear, and most hosts have no broker)

    own = joining.papers(state)
    tls = TlsFiles(own.authority, own.own, own.own)
    link = BrokerEnd(Broker(settings.bus or cloud.bus, tls), cloud.name)
    address, _, port = (settings.channels or f"{cloud.address}:0").rpartition(":")
    address = address.strip("[]")
    # Whoever listens at every address is called at the one that the cloud has seen.
    own_name = cloud.address if address in ("0.0.0.0", "::") else address  # noqa: S104  (compared, not listened at)
    channels = TlsChannelServer(ListenAddress(address, int(port), own_name), tls)
    fetch = functools.partial(internal.fetch, functools.partial(joining.dial, state, cloud))
    return _Ways(cloud.name, cloud.zone or settings.zone, link, fetch, channels, lambda: link.refused, tls.server)


def serve(state: StateDirectory, group: str, provider: str = "local") -> None:
    """Run the host until SIGTERM or SIGINT; guests go on. Members of `group` may open channels.

    Over the provider `stub` nothing but a book of orders is kept: for tests of everything else.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    chosen = settings.read()
    logs.configure(chosen.log_level)
    memory = Memory()
    cloud = joining.joined(state)
    ways = _joined(state, chosen, cloud) if cloud else _here(state, chosen, group)
    body = _stub(state, chosen, ways) if provider == "stub" else _local(state, chosen, ways)
    if cloud is not None:
        renewed = functools.partial(_give_papers, state) if provider != "stub" else _nobody
        Thread("certificate", functools.partial(joining.keep_renewed, state, cloud, ended, renewed), ended).start()
        Thread("refusal", functools.partial(joining.heed, state, cloud, ended, ways.refused), ended).start()
    # Where this machine's supervisor asks whether this process answers; a host that joined gives no channels there.
    pulse = ChannelServer(state.channels) if cloud is not None else None
    if pulse is not None:
        pulse.start()
    ways.channels.start()
    body.start()
    memory.start()
    log.info("ready", host=ways.name)
    ended.wait()
    memory.stop()
    body.stop()
    ways.link.stop()
    ways.channels.stop()
    if pulse is not None:
        pulse.stop()


def _give_papers(state: StateDirectory) -> None:
    """Let the network controller have the new certificate, which it takes as soon as it changes."""
    chassis.give_papers(layout_of(state), fabric_of(state))


def _nobody() -> None:
    """Over the stub there is no controller."""


@dataclass(frozen=True)
class _Body:
    """The provider that runs the instances, to be started and stopped."""

    start: Callable[[], None]
    stop: Callable[[], None]


def _local(state: StateDirectory, settings: Settings, ways: _Ways) -> _Body:
    layout = layout_of(state)
    templates = settings.template_cache if settings.boot_restore else 0
    provider = LocalProvider(
        layout,
        ways.fetch,
        ways.channels,
        bind(_token_secret(state)),
        functools.partial(host_servers, settings.resolv_conf),
        templates=templates,
        cache_bytes=settings.image_cache,
        cache_entries=settings.image_cache_entries,
    )
    agent = Agent(
        ways.name,
        provider,
        FileBook(state.host),
        zone=ways.zone,
        chassis=fabric_of(state).chassis,
        capacity=capacity(layout),
        traits=traits(),
    )
    runner = HostRunner(agent, ways.link, on_specs=provider.serve)
    metrics = hostmetrics.of(settings, agent, provider.statistics, ways.tls)

    def start() -> None:
        provider.serve(agent.specs().values())
        provider.start()
        runner.start()
        metrics.start()

    def stop() -> None:
        metrics.stop()
        runner.stop()
        provider.stop()

    return _Body(start, stop)


def _stub(state: StateDirectory, settings: Settings, ways: _Ways) -> _Body:
    from pileus.app.wiring import load  # noqa: PLC0415  (a host of our own has no need of the cloud's parts)

    provider = load("stub")(latency=settings.stub_latency, channels=ways.channels)
    agent = Agent(ways.name, provider, FileBook(state.host), zone=ways.zone)
    runner, metrics = HostRunner(agent, ways.link), hostmetrics.of(settings, agent, provider.statistics, ways.tls)

    def start() -> None:
        runner.start()
        metrics.start()

    def stop() -> None:
        metrics.stop()
        runner.stop()

    return _Body(start, stop)
