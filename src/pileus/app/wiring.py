"""Puts a cloud together: the store, the bus, the faces and a provider, from settings and a state directory."""

from __future__ import annotations

import dataclasses
import functools
import secrets
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pileus.app import kits
from pileus.app.audit import Audit, Journal
from pileus.app.faces import MountedFace, mount
from pileus.app.keyuse import KeyUseWriter
from pileus.app.memory import Memory
from pileus.app.metrics import Metrics
from pileus.app.presence import Presence
from pileus.app.registers import registers
from pileus.app.settings import Settings
from pileus.app.state import StateDirectory
from pileus.bus.memory import MemoryBus
from pileus.loops.collect import Collector
from pileus.loops.fetch import Fetcher
from pileus.loops.gate import Gate
from pileus.loops.recover import Recovery
from pileus.loops.registers import RegisterReconciler
from pileus.loops.runner import Runner, spread_notifications
from pileus.loops.standing import Awaited
from pileus.model.errors import Fault, NotFound
from pileus.model.kit import Kit, Site
from pileus.model.provider import NetworkEngine
from pileus.model.within import WITHIN_CLOUD
from pileus.objects import ObjectStore
from pileus.posix.files import keep_once, write_file
from pileus.rules.core import Core, Place
from pileus.rules.credential import Authority
from pileus.rules.password import PasswordChecks
from pileus.store.migrate import migrate
from pileus.store.store import Store

if TYPE_CHECKING:
    from pileus.bus.rabbitmq import CloudEnd as BrokerEnd
    from pileus.bus.tls import TlsFiles
    from pileus.bus.unix import CloudEnd as UnixEnd

Part = tuple[Callable[[], object], Callable[[], object]]
"""How something that runs beside the HTTP server is started, and stopped."""


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
    are (start, stop) of what runs beside the HTTP server, in the order of starting.
    """

    role: Role
    settings: Settings
    core: Core
    authority: Authority
    objects: ObjectStore
    faces: tuple[MountedFace, ...]
    metrics: Metrics
    audit: Audit
    recovery: Recovery | Awaited
    connected: Callable[[], bool]
    processes: Callable[[], int] = lambda: 1
    parts: list[Part] = field(default_factory=list)

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
    state: StateDirectory, settings: Settings, kit: Kit, role: Role = CLOUD, *, join: str = "", fingerprint: str = ""
) -> Cloud:
    """The cloud of a state directory over the provider of `kit`; nothing is started.

    Hosts of other machines join at the URL `join`, and know the cloud there by `fingerprint`.
    """
    store = Store(settings.database(state.database), sync=settings.store_sync)
    migrate(store.engine)
    site = kits.site(kit, state, settings)
    engine = kit.engine(site, shared=not role.alone)
    place = Place(
        region=settings.region,
        zone=settings.zone,
        floating_cidr=settings.floating_cidr,
        ipv6_cidr=settings.ipv6_cidr,
        join=join,
        fingerprint=fingerprint,
    )
    if engine.loopback_prefix is not None:
        place = dataclasses.replace(place, loopback_prefix=engine.loopback_prefix)
    within = role.alone and not kit.own_process
    bus: MemoryBus | UnixEnd | BrokerEnd = MemoryBus() if within else _bus(state, settings)
    gate = Gate(bus)
    bounds = settings.bounds(site.settings)
    core = Core(
        store, gate, engine.provider, _key(state), place, settings.policy, bounds=bounds, passwords=_passwords(settings)
    )
    cloud = _cloud(state, settings, core, gate, kit, engine.provider, role)
    around: list[Part] = [(_nothing, engine.close)]
    if isinstance(bus, MemoryBus):
        first, last = _host_within(state, cloud, kit, site, bus)
        cloud.parts = [*around, *first, (bus.start, bus.stop), *cloud.parts, *last]
    else:
        cloud.parts = [*around, *cloud.parts, (bus.start, bus.stop)]
    host_registers = registers(settings, kit, site, loops=role.loops)
    if host_registers:
        # Where there are loops, each report touches a host: what verbs did is then found by looking.
        reconciler = RegisterReconciler(cloud.core, host_registers, prompt=not role.loops)
        cloud.parts.append((reconciler.start, reconciler.stop))
    return cloud


def _passwords(settings: Settings) -> PasswordChecks:
    """The proof of users by their passwords: by the directory, too, where the settings name one."""
    if not settings.ldap_url:
        return PasswordChecks()
    from pileus.app.ldap import LdapDirectory  # noqa: PLC0415  (dear, and most clouds have no directory)
    from pileus.verbs.directory import DirectoryPasswords  # noqa: PLC0415  (most clouds have no directory)

    return DirectoryPasswords(LdapDirectory(settings))


def _host_within(
    state: StateDirectory, cloud: Cloud, kit: Kit, site: Site, bus: MemoryBus
) -> tuple[list[Part], list[Part]]:
    """The host of a cloud whose only body is within its process: what starts before the rest, and after it."""
    from pileus.app.hostbody import HostBodyRunner, services  # noqa: PLC0415  (other clouds have hosts elsewhere)
    from pileus.bus.channels import ChannelServer  # noqa: PLC0415  (other clouds have hosts elsewhere)

    channels = ChannelServer(state.channels)
    body = kit.body(site, services(state, functools.partial(_copy, cloud.objects), channels))
    host = HostBodyRunner(WITHIN_CLOUD, body, bus.host(WITHIN_CLOUD), state, cloud.settings)
    return [(channels.start, channels.stop)], [(host.start, host.stop)]


def _copy(objects: ObjectStore, digest: str, target: Path) -> None:
    """Bring an object to the file of a host in this process. Raises Fault, OSError."""
    try:
        shutil.copyfile(objects.path(digest), target)
    except NotFound as error:
        raise Fault("ImageMissing", error.message, permanent=True) from error


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
    state: StateDirectory, settings: Settings, core: Core, gate: Gate, kit: Kit, engine: NetworkEngine, role: Role
) -> Cloud:
    objects = ObjectStore(state.objects)
    if role.loops:
        core = dataclasses.replace(core, captures=Fetcher(core.hosts, objects))
    authority = Authority(core, shared=not role.alone)
    metrics = Metrics(core.store)
    audit = Audit(Journal(state.audit, settings.audit_size, settings.audit_files))
    opening: Recovery | Awaited
    memory = Memory()
    parts: list[Part] = [(_nothing, audit.close), (memory.start, memory.stop)]
    if role.loops:
        opening = Recovery(core, gate, engine, requested=state.recover.exists(), shared=not role.alone)
        runner = Runner(core, workers=settings.loop_workers, observer=metrics.step, recovery=opening)
        collector = Collector(core, objects, settings.keep_objects)
        parts += [(runner.start, runner.stop), (collector.start, collector.stop)]
    else:
        opening = Awaited(core)
        spread_notifications(core)
    if role.faces:
        writer = KeyUseWriter(authority.uses)
        parts.append((writer.start, writer.stop))
    presence = Presence(core.store)
    if role.faces and not role.alone:
        parts.append((presence.start, presence.stop))
    return Cloud(
        role=role,
        settings=settings,
        core=core,
        authority=authority,
        objects=objects,
        faces=mount(core, authority, objects, kit) if role.faces else (),
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
