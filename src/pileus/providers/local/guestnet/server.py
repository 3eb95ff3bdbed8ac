"""The thread in `pileus host` that serves guests and users: metadata, names, loopback listeners, streams.

One event loop in one thread carries all connections. Blocking work (making namespaces, reading the host's
specs) runs in one worker thread beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from pileus.model.errors import Fault
from pileus.model.spec import InstanceSpec, NicSpec
from pileus.providers.local.guestnet import namespaces
from pileus.providers.local.guestnet.arrivals import Arrivals
from pileus.providers.local.guestnet.loopback import Loopback
from pileus.providers.local.guestnet.metadata import Metadata, Respond
from pileus.providers.local.guestnet.resolver import Resolver
from pileus.providers.local.guestnet.stream import call
from pileus.providers.local.guestnet.upstream import Servers
from pileus.providers.local.layout import Layout

INTERVAL = 30.0
"""Seconds between passes that nobody asked for: they repair, and try again what failed."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class NetworkSetup:
    """How this host makes a network, removes it, and removes all but some; tests have their own."""

    ensure: Callable[[Layout, NicSpec], None] = namespaces.ensure_network
    remove: Callable[[Layout, str], None] = namespaces.remove_network
    clear: Callable[[Layout, frozenset[str]], list[Fault]] = namespaces.remove_networks


class GuestNet:
    """Serves the instances whose specs this host holds.

    `specs` gives all of them by uuid whenever it is called (from a thread of ours; it may block); `respond`
    answers metadata requests; `servers` are asked for names that are no guest's. `interval` is in seconds. `sync`
    may be called from any thread.
    """

    def __init__(
        self,
        layout: Layout,
        specs: Callable[[], Mapping[str, InstanceSpec]],
        respond: Respond,
        *,
        servers: Servers = tuple,
        engine: NetworkSetup | None = None,
        interval: float = INTERVAL,
    ) -> None:
        self._layout = layout
        self._specs = specs
        self._engine = engine or NetworkSetup()
        self._interval = interval
        self._metadata = Metadata(layout, respond)
        self._resolver = Resolver(layout, servers)
        self._loopback = Loopback(layout)
        self._arrivals = Arrivals(self._call, self._arrived)
        self._up: set[str] = set()
        self.arrived: Callable[[str], None] = lambda _uuid: None
        """Called, in the thread of the loop, with the uuid of a guest that has come up."""
        self._thread: threading.Thread | None = None
        # The loop is there for others only while it takes orders.
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._orders = 0
        # All below belongs to the loop's thread, and what is not set here is made with the loop.
        self._nics: dict[str, dict[str, NicSpec]] = {}
        self._guests: dict[str, dict[str, str]] = {}
        self._told: dict[str, tuple[int | None, dict[str, str]]] = {}
        self._made: set[str] = set()
        self._waiting: list[Future[None]] = []
        self._faults: dict[str, str] = {}
        self._wake: asyncio.Event
        self._stopping: asyncio.Event
        self._worker: ThreadPoolExecutor

    def start(self) -> None:
        """Start serving what `specs()` says now, and remove all other networks of this cloud; then return.

        Raises RuntimeError when it runs already, and whatever `specs` raises. A network that cannot be made
        is logged and tried again.
        """
        if self._thread is not None:
            raise RuntimeError("started already")
        started: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(started)), name="guestnet", daemon=True)
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            raise

    def stop(self) -> None:
        """Close all listeners and connections and end the thread. Idempotent; the namespaces stay."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with self._lock:
            loop, self._loop = self._loop, None
            if loop is not None:
                loop.call_soon_threadsafe(self._stopping.set)
        thread.join()

    def sync(self, specs: Iterable[InstanceSpec]) -> Future[None]:
        """Serve exactly these instances from now on; idempotent.

        Listeners and connections follow at once, namespaces soon after. The future, which nobody has to wait
        for, is done after one full pass, whether or not every network could be made; `stop` cancels it.
        Raises RuntimeError when nothing runs.
        """
        order = tuple(specs)
        done: Future[None] = Future()
        with self._lock:
            if self._loop is None:
                raise RuntimeError("not started")
            self._orders += 1
            self._loop.call_soon_threadsafe(self._take, order, done)
        return done

    def up(self, spec: InstanceSpec) -> bool:
        """Whether a guest that runs has come up; it is called from now on if it has not. From any thread."""
        if spec.uuid in self._up or not spec.nics:
            return True
        nic = min(spec.nics, key=lambda nic: nic.index)
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._arrivals.expect, spec.uuid, nic)
        return False

    def down(self, uuid: str) -> None:
        """A guest does not run: when it does again, it comes up anew. From any thread."""
        with self._lock:
            self._up.discard(uuid)
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._forget, uuid)

    def _forget(self, uuid: str) -> None:
        self._arrivals.forget(uuid)
        with self._lock:
            self._up.discard(uuid)

    async def _call(self, nic: NicSpec, port: int) -> None:
        (await call(self._layout, nic, port)).close()

    def _arrived(self, uuid: str) -> None:
        with self._lock:
            self._up.add(uuid)
        self.arrived(uuid)

    async def _main(self, started: Future[None]) -> None:
        self._wake, self._stopping = asyncio.Event(), asyncio.Event()
        with ThreadPoolExecutor(1, "guestnet-worker") as self._worker:
            try:
                await self._begin()
            except BaseException as error:  # noqa: BLE001  (handed to `start`)
                await self._close()
                started.set_exception(error)
                return
            with self._lock:
                self._loop = asyncio.get_running_loop()
            started.set_result(None)
            working = asyncio.create_task(self._work())
            await self._stopping.wait()
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working
            await self._close()

    async def _begin(self) -> None:
        self._take(await self._blocking(self._read_specs))
        keep = frozenset(self._nics)
        for fault in await self._blocking(partial(self._engine.clear, self._layout, keep)):
            log.warning("old network not removed", error=str(fault))
        await self._pass()

    async def _close(self) -> None:
        await self._arrivals.close()
        await self._loopback.close()
        await self._resolver.close()
        await self._metadata.close()
        self._settle()

    def _read_specs(self) -> tuple[InstanceSpec, ...]:
        return tuple(self._specs().values())

    async def _blocking(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, function)

    def _take(self, specs: tuple[InstanceSpec, ...], done: Future[None] | None = None) -> None:
        """Make true at once what needs no waiting: who is who, listeners, cuts; the rest is the pass's."""
        nics: dict[str, dict[str, NicSpec]] = {}
        guests: dict[str, dict[str, str]] = {}
        for spec in specs:
            for nic in spec.nics:
                of_network = nics.setdefault(nic.network, {})
                # Orders from before their subnet had IPv6 do not say that it has.
                if nic.ipv6_cidr or nic.localport not in of_network:
                    of_network[nic.localport] = nic
                macs = dict.fromkeys((nic.address, *nic.secondaries, *nic.ipv6), nic.mac)
                guests.setdefault(nic.network, {}).update(macs)
        self._nics, self._guests = nics, guests
        self._metadata.apply(specs)
        self._resolver.apply(specs)
        self._loopback.apply(specs)
        if done is not None:
            self._waiting.append(done)
        self._wake.set()

    async def _work(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._interval):
                    await self._wake.wait()
            except TimeoutError:
                await self._refresh()
            try:
                await self._pass()
            except Exception:
                # The thread serves everybody: it outlives every mistake.
                log.exception("pass failed")

    async def _refresh(self) -> None:
        """Take what `specs()` says, unless somebody gives newer ones meanwhile."""
        orders = self._orders
        try:
            specs = await self._blocking(self._read_specs)
        except Exception:
            # The same, and it is the host's function.
            log.exception("specs not to be had")
            return
        if orders == self._orders:
            self._take(specs)

    async def _pass(self) -> None:
        """Make each wanted network and its listeners, remove the others, then tell those who wait."""
        self._wake.clear()
        waiting, self._waiting = self._waiting, []
        try:
            for network in self._made - self._nics.keys():
                await self._remove(network)
            for network, nics in self._nics.items():
                await self._ensure(network, tuple(nics.values()))
        except BaseException:
            self._waiting += waiting
            self._settle()
            raise
        for done in waiting:
            if done.set_running_or_notify_cancel():
                done.set_result(None)

    def _settle(self) -> None:
        for done in self._waiting:
            done.cancel()
        self._waiting.clear()

    async def _ensure(self, network: str, nics: tuple[NicSpec, ...]) -> None:
        self._made.add(network)
        try:
            for nic in nics:
                await self._blocking(partial(self._engine.ensure, self._layout, nic))
            await self._introduce(network)
            self._metadata.listen(network, ipv6=any(nic.ipv6_cidr for nic in nics))
            self._resolver.listen(network, [nic.localport for nic in nics])
        except (Fault, OSError) as error:
            self._complain(network, error)
        else:
            self._faults.pop(network, None)

    async def _introduce(self, network: str) -> None:
        """Have the namespace know the guests; a new one of the same name knows none."""
        guests, identity = self._guests.get(network, {}), namespaces.identity(self._layout.network_netns(network))
        last_identity, before = self._told.get(network, (None, {}))
        old = before if last_identity == identity else {}
        await self._blocking(partial(namespaces.set_neighbours, self._layout, network, old, guests))
        self._told[network] = identity, guests

    async def _remove(self, network: str) -> None:
        self._metadata.ignore(network)
        self._resolver.ignore(network)
        try:
            await self._blocking(partial(self._engine.remove, self._layout, network))
        except (Fault, OSError) as error:
            self._complain(network, error)
        else:
            self._made.discard(network)
            self._told.pop(network, None)
            self._faults.pop(network, None)

    def _complain(self, network: str, error: Exception) -> None:
        """Log a network's fault once, and again when it changes."""
        if self._faults.get(network) != str(error):
            self._faults[network] = str(error)
            log.warning("network not as wanted", network=network, error=str(error))
