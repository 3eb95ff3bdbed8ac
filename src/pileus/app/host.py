"""The host process: root, no database; makes the orders of its cloud true on this machine, and reports."""

from __future__ import annotations

import functools
import grp
import resource
import secrets
import signal
import socket
import threading
from typing import TYPE_CHECKING

import structlog

from pileus.app import internal, logs
from pileus.app.local import fabric_of, layout_of
from pileus.app.settings import Settings
from pileus.app.state import State
from pileus.bus.channels import ChannelServer
from pileus.bus.unix import HostEnd
from pileus.faces.metadata.service import bind
from pileus.loops.host.agent import Agent
from pileus.loops.host.book import FileBook
from pileus.loops.host.runner import HostRunner
from pileus.providers.local.guestnet.upstream import host_servers
from pileus.providers.local.provider import LocalProvider, capacity

if TYPE_CHECKING:
    from pileus.bus.rabbitmq import HostEnd as BrokerEnd

log = structlog.get_logger()


def _token_secret(state: State) -> bytes:
    """What seals the metadata tokens that guests hold; kept, so that they outlive this process."""
    kept = state.host / "token.secret"
    if not kept.exists():
        aside = kept.with_suffix(".new")
        aside.write_bytes(secrets.token_bytes(32))
        aside.chmod(0o600)
        aside.rename(kept)
    return kept.read_bytes()


def _more_files() -> None:
    """Let this process hold as many connections as the machine allows: each to a guest takes two descriptors."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _link(state: State, settings: Settings, name: str) -> HostEnd | BrokerEnd:
    """The host's end of the bus that the settings name."""
    if not settings.bus:
        return HostEnd(state.bus, name)
    from pileus.bus.rabbitmq import Broker  # noqa: PLC0415  (dear, and most hosts have no broker)
    from pileus.bus.rabbitmq import HostEnd as BrokerEnd  # noqa: PLC0415

    return BrokerEnd(Broker(settings.bus), name)


def serve(state: State, group: str) -> None:
    """Run the host until SIGTERM or SIGINT; guests go on. Members of `group` may open channels."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    settings = Settings()
    logs.configure(settings.log_level)
    channels = ChannelServer(state.channels, grp.getgrnam(group).gr_gid)
    layout = layout_of(state)
    respond = bind(_token_secret(state))
    _more_files()
    fetch = functools.partial(internal.fetch, state.internal)
    servers = functools.partial(host_servers, settings.resolv_conf)
    templates = settings.template_cache if settings.boot_restore else 0
    provider = LocalProvider(
        layout, fetch, channels, respond, servers, templates=templates, cache_bytes=settings.image_cache
    )
    name = socket.gethostname()
    agent = Agent(
        name,
        provider,
        FileBook(state.host),
        zone=settings.zone,
        chassis=fabric_of(layout).chassis,
        capacity=capacity(layout),
    )
    link = _link(state, settings, name)
    runner = HostRunner(agent, link, on_specs=provider.serve)
    channels.start()
    provider.serve(agent.specs().values())
    provider.start()
    runner.start()
    log.info("ready", host=name)
    ended.wait()
    runner.stop()
    link.stop()
    provider.stop()
    channels.stop()
