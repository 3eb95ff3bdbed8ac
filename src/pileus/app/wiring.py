"""Puts a cloud together: the store, the bus, the faces and a provider, from settings and a state directory."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pileus.app.audit import Audit, Journal
from pileus.app.memory import Memory
from pileus.app.metrics import Metrics
from pileus.app.presence import Presence
from pileus.app.registers import registers
from pileus.app.settings import Settings
from pileus.app.state import StateDirectory
from pileus.faces.ec2 import Ec2Face
from pileus.faces.rest import RestFace
from pileus.loops.admission import Admission
from pileus.loops.collect import Collector
from pileus.loops.fetch import Fetcher
from pileus.loops.gate import Gate
from pileus.loops.recover import Recovery
from pileus.loops.runner import Runner, spread_nudges
from pileus.loops.standing import Awaited
from pileus.model.provider import NetworkEngine
from pileus.objects import ObjectStore
from pileus.posix.files import keep_once, write_file
from pileus.store.migrate import migrate
from pileus.store.store import Store
from pileus.verbs.core import Core, Place
from pileus.verbs.credential import Authority

if TYPE_CHECKING:
    from pileus.bus.rabbitmq import CloudEnd as BrokerEnd
    from pileus.bus.tls import TlsFiles
    from pileus.bus.unix import CloudEnd as UnixEnd
    from pileus.faces.mcc import MccFace

PROVIDERS = "pileus.providers"
"""The entry points' group."""


@dataclass(frozen=True)
class Role:
    """The role of a process of a cloud: it answers requests, or runs loops, or both; `alone` with the store or not."""

    faces: bool = True
    loops: bool = True
    alone: bool = True


CLOUD, API, LOOPS = Role(), Role(loops=False, alone=False), Role(faces=False, alone=False)


@dataclass
class Cloud:
    """A cloud put together, or a process of one.

    `connected` says whether messages pass to and from hosts, `processes` how many processes answer requests. `parts`
    are (start, stop) of what runs beside the HTTP server, in the order of starting. `mcc` is there once the store is
    open, where that face is asked for.
    """

    role: Role
    settings: Settings
    core: Core
    authority: Authority
    objects: ObjectStore
    ec2: Ec2Face
    rest: RestFace
    metrics: Metrics
    audit: Audit
    recovery: Recovery | Awaited
    connected: Callable[[], bool]
    processes: Callable[[], int] = lambda: 1
    mcc: MccFace | None = None
    parts: list[tuple[Callable[[], object], Callable[[], object]]] = field(default_factory=list)

    def start(self) -> None:
        """Start the parts."""
        for start, _ in self.parts:
            start()

    def stop(self) -> None:
        """Stop the parts, last one first, and close the store."""
        for _, stop in reversed(self.parts):
            stop()
        self.core.store.close()


def build(
    state: StateDirectory,
    settings: Settings,
    provider: str,
    role: Role = CLOUD,
    *,
    join: str = "",
    fingerprint: str = "",
) -> Cloud:
    """The cloud of a state directory over the provider `local` or `stub`; nothing is started.

    Hosts of other machines join at the URL `join`, and know the cloud there by `fingerprint`.
    """
    store = Store(settings.database(state.database), sync=settings.store_sync)
    migrate(store.engine)
    place = Place(
        region=settings.region,
        zone=settings.zone,
        floating_cidr=settings.floating_cidr,
        join=join,
        fingerprint=fingerprint,
    )
    build_one = _local if provider != "stub" else _stub if role.alone else _stubs
    cloud = build_one(state, settings, store, place, role)
    host_registers = registers(settings, provider, loops=role.loops)
    if host_registers:
        # Where there are loops, each report touches a host: what verbs did is then found by looking.
        admission = Admission(cloud.core, host_registers, prompt=not role.loops)
        cloud.parts.append((admission.start, admission.stop))
    return cloud


def load(name: str) -> Any:
    """Return the provider of the entry point `name`. Raises LookupError when nothing is installed by that name."""
    for point in importlib.metadata.entry_points(group=PROVIDERS, name=name):
        return point.load()
    raise LookupError(f"no provider is installed by the name '{name}'")


def _stubs(state: StateDirectory, settings: Settings, store: Store, place: Place, role: Role) -> Cloud:
    """One of several processes over stub hosts: these are processes of their own, `pileus host run --provider stub`."""
    engine = load("stub")(latency=settings.stub_latency, database=state.cloud / "engine.db")
    bus = _bus(state, settings)
    gate = Gate(bus)
    core = Core(store, gate, engine, _key(state), place, settings.policy, bounds=settings.bounds)
    cloud = _cloud(state, settings, core, gate, engine, role)
    cloud.parts = [*cloud.parts, (bus.start, bus.stop)]
    return cloud


def _stub(state: StateDirectory, settings: Settings, store: Store, place: Place, role: Role) -> Cloud:
    from pileus.app import hostmetrics  # noqa: PLC0415  (each provider's own parts)
    from pileus.bus.channels import ChannelServer  # noqa: PLC0415  (each provider's own parts)
    from pileus.bus.memory import MemoryBus  # noqa: PLC0415  (each provider's own parts)
    from pileus.host.agent import Agent  # noqa: PLC0415  (each provider's own parts)
    from pileus.host.book import FileBook  # noqa: PLC0415  (each provider's own parts)
    from pileus.host.runner import HostRunner  # noqa: PLC0415  (each provider's own parts)

    channels = ChannelServer(state.channels)
    provider = load("stub")(latency=settings.stub_latency, channels=channels)
    bus = MemoryBus()
    agent = Agent("stub", provider, FileBook(state.host), zone=place.zone)
    host = HostRunner(agent, bus.host("stub"))
    metrics = hostmetrics.of(settings, agent, provider.statistics)
    gate = Gate(bus)
    core = Core(store, gate, provider, _key(state), place, settings.policy, bounds=settings.bounds)
    cloud = _cloud(state, settings, core, gate, provider, role)
    cloud.parts = [
        (channels.start, channels.stop),
        (bus.start, bus.stop),
        *cloud.parts,
        (host.start, host.stop),
        (metrics.start, metrics.stop),
    ]
    return cloud


def _local(state: StateDirectory, settings: Settings, store: Store, place: Place, role: Role) -> Cloud:
    from pileus.providers.local import prefix  # noqa: PLC0415  (each provider's own parts)
    from pileus.providers.local.layout import Layout  # noqa: PLC0415  (each provider's own parts)
    from pileus.providers.local.network.provider import NetworkProvider  # noqa: PLC0415  (each provider's own parts)

    layout = Layout(state.root)
    bus = _bus(state, settings)
    place = dataclasses.replace(place, loopback_prefix=prefix.of(layout))
    networks = NetworkProvider(settings.northbound or layout.northbound, gateway=layout.netns)
    gate = Gate(bus)
    core = Core(store, gate, networks, _key(state), place, settings.policy, bounds=settings.bounds)
    cloud = _cloud(state, settings, core, gate, networks, role)
    cloud.parts = [(_nothing, networks.close), *cloud.parts, (bus.start, bus.stop)]
    return cloud


def _bus(state: StateDirectory, settings: Settings) -> UnixEnd | BrokerEnd:
    """The cloud's end of the bus that the settings name."""
    if settings.bus:
        from pileus.bus.rabbitmq import Broker, CloudEnd  # noqa: PLC0415  (dear, and most clouds have no broker)

        return CloudEnd(Broker(settings.bus, _trust(state, settings)), local=frozenset({socket.gethostname()}))
    from pileus.bus.unix import CloudEnd as UnixEnd  # noqa: PLC0415  (dear, and most clouds have no broker)

    return UnixEnd(state.bus)


def _trust(state: StateDirectory, settings: Settings) -> TlsFiles | None:
    """By what the broker and hosts are known over TLS: the cloud's own authority."""
    if not settings.bus.startswith("amqps:"):
        return None
    from pileus.app import certificates, tls  # noqa: PLC0415  (dear, and most clouds have no broker)
    from pileus.bus.tls import TlsFiles  # noqa: PLC0415  (dear, and most clouds have no broker)

    authority, own = certificates.authority(state.cloud), state.bus_identity
    write_file(state.authority, authority.pem)
    tls.own(authority, own, settings.server_names)
    return TlsFiles(state.authority, own, own)


def _nothing() -> None:
    """Start a part that needs no start."""


def _cloud(
    state: StateDirectory, settings: Settings, core: Core, gate: Gate, engine: NetworkEngine, role: Role
) -> Cloud:
    objects = ObjectStore(state.objects)
    if role.loops:
        core = dataclasses.replace(core, captures=Fetcher(core.hosts, objects))
    authority = Authority(core, shared=not role.alone)
    metrics = Metrics(core.store)
    audit = Audit(Journal(state.audit, settings.audit_size, settings.audit_files))
    opening: Recovery | Awaited
    memory = Memory()
    parts: list[tuple[Callable[[], object], Callable[[], object]]] = [
        (_nothing, audit.close),
        (memory.start, memory.stop),
    ]
    if role.loops:
        opening = Recovery(core, gate, engine, requested=state.recover.exists(), shared=not role.alone)
        runner = Runner(core, workers=settings.loop_workers, observer=metrics.step, recovery=opening)
        collector = Collector(core, objects, settings.keep_objects)
        parts += [(runner.start, runner.stop), (collector.start, collector.stop)]
    else:
        opening = Awaited(core)
        spread_nudges(core)
    presence = Presence(core.store)
    if role.faces and not role.alone:
        parts.append((presence.start, presence.stop))
    return Cloud(
        role=role,
        settings=settings,
        core=core,
        authority=authority,
        objects=objects,
        ec2=Ec2Face(core, authority),
        rest=RestFace(core, authority),
        metrics=metrics,
        audit=audit,
        recovery=opening,
        connected=gate.connected,
        processes=presence.count,
        parts=parts,
    )


def _key(state: StateDirectory) -> bytes:
    """The key that seals secrets, made once."""
    return keep_once(state.key, lambda: secrets.token_bytes(32))
