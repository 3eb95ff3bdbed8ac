"""The host process: root, no database; makes the orders of its cloud true on this machine, and reports."""

from __future__ import annotations

import functools
import grp
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from pileus.app import internal, joining, kits, logs, settings
from pileus.app.hostbody import HostBodyRunner, services
from pileus.app.memory import Memory
from pileus.app.settings import Settings
from pileus.app.state import StateDirectory
from pileus.bus.channels import ChannelServer
from pileus.bus.unix import HostEnd
from pileus.host.rolecredentials import RoleCredentialsKeeper
from pileus.model import addresses
from pileus.model.kit import Kit, Site
from pileus.model.threads import Thread

if TYPE_CHECKING:
    from pileus.bus.rabbitmq import HostEnd as BrokerEnd
    from pileus.bus.tlschannels import TlsChannelServer

log = structlog.get_logger()


@dataclass(frozen=True)
class _Ways:
    """How this host reaches its cloud, and is reached: on one machine by sockets, across machines as it joined.

    `tls` is what it proves itself with to whoever asks for its metrics.
    """

    name: str
    zone: str
    link: HostEnd | BrokerEnd
    fetch: Callable[[str, Path], None]
    roles: RoleCredentialsKeeper
    channels: ChannelServer | TlsChannelServer
    refused: Callable[[], bool] = lambda: False
    tls: Callable[[], ssl.SSLContext] | None = None


def _here(state: StateDirectory, settings: Settings, group: str) -> _Ways:
    """On the cloud's own machine. Members of `group`, where there is one, may open channels."""
    name = socket.gethostname()
    channels = ChannelServer(state.channels, grp.getgrnam(group).gr_gid if group else None)
    dial = functools.partial(internal.near, state.internal)
    fetch, roles = _fetching(dial)
    if not settings.bus:
        return _Ways(name, settings.zone, HostEnd(state.bus, name), fetch, roles, channels)
    from pileus.bus.rabbitmq import Broker  # noqa: PLC0415  (dear, and most hosts have no broker)
    from pileus.bus.rabbitmq import HostEnd as BrokerEnd  # noqa: PLC0415  (dear, and most hosts have no broker)
    from pileus.bus.tls import TlsFiles  # noqa: PLC0415  (dear, and most hosts have no broker)

    # With the cloud's own certificate, on the cloud's own machine: the cloud writes it when it starts.
    tls = (
        TlsFiles(state.authority, state.bus_identity, state.bus_identity) if settings.bus.startswith("amqps:") else None
    )
    return _Ways(name, settings.zone, BrokerEnd(Broker(settings.bus, tls), name), fetch, roles, channels)


def _joined(state: StateDirectory, settings: Settings, cloud: joining.JoinedCloud) -> _Ways:
    """On a machine that joined the cloud: what it was told then, and its certificate."""
    from pileus.bus.rabbitmq import Broker  # noqa: PLC0415  (dear, and most hosts have no broker)
    from pileus.bus.rabbitmq import HostEnd as BrokerEnd  # noqa: PLC0415  (dear, and most hosts have no broker)
    from pileus.bus.tls import TlsFiles  # noqa: PLC0415  (dear, and most hosts have no broker)
    from pileus.bus.tlschannels import ListenAddress, TlsChannelServer  # noqa: PLC0415  (dear, and most hosts have no broker)

    tls = TlsFiles(state.host_authority, state.host_identity, state.host_identity)
    link = BrokerEnd(Broker(settings.bus or cloud.bus, tls), cloud.name)
    address, port = addresses.split_socket_address(settings.channels or f"{cloud.address}:0")
    # Whoever listens at every address is called at the one that the cloud has seen.
    own_name = cloud.address if address in ("0.0.0.0", "::") else address  # noqa: S104  (compared, not listened at)
    channels = TlsChannelServer(ListenAddress(address, port, own_name), tls)
    fetch, roles = _fetching(functools.partial(joining.dial, state, cloud))
    return _Ways(
        cloud.name, cloud.zone or settings.zone, link, fetch, roles, channels, lambda: link.refused, tls.server
    )


def _fetching(dial: Callable[[], socket.socket]) -> tuple[Callable[[str, Path], None], RoleCredentialsKeeper]:
    """The ways to fetch objects, and credentials of roles, over connections that `dial` makes."""
    keeper = RoleCredentialsKeeper(functools.partial(internal.fetch_credentials, dial))
    return functools.partial(internal.fetch, dial), keeper


def serve(state: StateDirectory, group: str, kit: Kit) -> None:
    """Run the host, over the provider of `kit`, until SIGTERM or SIGINT; guests go on.

    Members of `group` may open channels. The cloud's own provider may be another.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    # Beside its cloud a host has that cloud's defaults.
    chosen = settings.read(kit=kits.of(state) or kit)
    logs.configure(chosen.log_level)
    memory = Memory()
    cloud = joining.joined(state)
    ways = _joined(state, chosen, cloud) if cloud else _here(state, chosen, group)
    site = kits.site(kit, state, chosen)
    body = kit.body(site, services(state, ways.fetch, ways.channels, ways.roles))
    runner = HostBodyRunner(ways.name, body, ways.link, state, chosen, zone=ways.zone, tls=ways.tls, roles=ways.roles)
    if cloud is not None:
        renewed = functools.partial(_certified, kit, site)
        Thread("certificate", functools.partial(joining.keep_renewed, state, cloud, ended, renewed), ended).start()
        Thread("refusal", functools.partial(joining.heed, state, cloud, ended, ways.refused), ended).start()
    # Where this machine's supervisor asks whether this process answers; a host that joined gives no channels there.
    probe = ChannelServer(state.channels) if cloud is not None else None
    if probe is not None:
        probe.start()
    ways.channels.start()
    runner.start()
    memory.start()
    log.info("ready", host=ways.name, provider=kit.name)
    ended.wait()
    memory.stop()
    runner.stop()
    ways.link.stop()
    ways.channels.stop()
    if probe is not None:
        probe.stop()


def _certified(kit: Kit, site: Site) -> None:
    kit.machine(site).certified()
