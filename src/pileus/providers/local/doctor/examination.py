"""One look at everything that is on this machine, compared with what ought to be; what cannot be seen is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from pileus.model.errors import Fault
from pileus.model.finding import Finding
from pileus.model.provider import BodyRef
from pileus.model.views import BookView, Held, StoreView
from pileus.providers.local.doctor import (
    cache,
    captures,
    containers,
    domains,
    folders,
    kernellimits,
    links,
    listeners,
    machine,
    namespaces,
    ovn,
)
from pileus.providers.local.doctor.expected import Expected
from pileus.providers.local.engine import switch
from pileus.providers.local.guestnet.namespaces import remove_network
from pileus.providers.local.layout import Layout

T = TypeVar("T")


@dataclass
class Bodies:
    """The bodies that are there, None for a kind that could not be seen; `unchecked` has the reason, by kind."""

    layout: Layout
    domains: list[domains.Domain] | None = None
    processes: dict[str, int] = field(default_factory=dict)
    folders: list[str] | None = None
    captures: list[str] | None = None
    cache: dict[str, int] | None = None
    links: list[str] | None = None
    plugs: dict[str, str] | None = None
    networks: list[str] = field(default_factory=list)
    listeners: listeners.Accepting | None = None
    ovn: list[ovn.Row] | None = None
    unchecked: dict[str, str] = field(default_factory=dict)

    def try_to(self, what: str, see: Callable[[], T]) -> T | None:
        """Return the result of `see`; on a Fault or OSError None, with the reason in `unchecked`."""
        try:
            return see()
        except Fault as fault:
            self.unchecked[what] = f"{fault.code}: {fault.message}"
        except OSError as error:
            self.unchecked[what] = str(error)
        return None

    def compare(self, host: BookView, store: StoreView | None) -> Iterator[Finding]:
        """Every disagreement between bodies and orders, and between OVN and rows where the store can be asked."""
        marks = tuple(domain.spec for domain in self.domains or () if domain.spec is not None)
        expected = Expected(host, store, marks, complete=self.domains is not None)
        yield from machine.compare(self.layout)
        yield from kernellimits.compare(expected.specs.values())
        if self.domains is not None:
            yield from domains.compare(expected, self.domains, self.processes)
        if self.folders is not None:
            yield from folders.compare(expected, self.layout, self.folders)
        if self.captures is not None:
            yield from captures.compare(expected, self.layout, self.captures)
        if self.cache is not None:
            yield from cache.compare(self.layout, self.cache, store.images if store else {})
        yield from self._wires(expected)
        if store is not None:
            yield from self.agree(store)

    def agree(self, store: StoreView) -> Iterator[Finding]:
        """Every disagreement of OVN with the rows of the store."""
        if self.ovn is not None:
            yield from ovn.compare(store, self.ovn)

    def strays(self) -> dict[str, Held]:
        """Every guest of ours by its instance's uuid, as an order would have it: for one that no order names."""
        return {domain.spec.uuid: domains.held(domain) for domain in self.domains or () if domain.spec is not None}

    def _wires(self, expected: Expected) -> Iterable[Finding]:
        serves = self.listeners is not None
        if self.links is not None and self.plugs is not None:
            yield from links.compare(expected, self.layout, self.links, self.plugs, self.domains or ())
        if self.links is not None:
            yield from namespaces.compare(expected, self.networks, self.links, serves=serves)
        if self.listeners is not None:
            yield from listeners.compare(expected, self.listeners)


def look(layout: Layout, host: int | None, *, central: bool = True) -> Bodies:
    """See everything; `host` is the host process, None when it does not run; `central`: OVN's rows are here. As root.

    To be done before orders and rows are read: what is made meanwhile has both, what is removed is gone next time.
    """
    bodies = Bodies(layout)
    bodies.processes = domains.processes(layout)
    bodies.domains = bodies.try_to(
        "guests in libvirt", lambda: [*domains.domains(layout), *containers.containers(layout)]
    )
    bodies.folders = bodies.try_to("instances' folders", lambda: folders.folders(layout))
    bodies.captures = bodies.try_to("captures", lambda: captures.captures(layout))
    bodies.cache = bodies.try_to("the image cache", lambda: cache.files(layout))
    bodies.links = bodies.try_to("guests' interfaces", lambda: links.links(layout))
    bodies.plugs = bodies.try_to("the switch's ports", lambda: switch.ports(layout))
    bodies.networks = namespaces.networks(layout)
    if central:
        bodies.ovn = bodies.try_to("OVN's rows", lambda: ovn.rows(layout.northbound))
    else:
        bodies.unchecked["OVN's rows"] = "they are on the cloud's side"
    if host is None:
        bodies.unchecked["loopback listeners"] = "the host does not run"
    else:
        bodies.listeners = bodies.try_to("loopback listeners", lambda: listeners.listeners(host))
    return bodies


def side(layout: Layout, remote: str) -> Bodies:
    """The same of the cloud's side of several machines, which has OVN's rows alone, in the database at `remote`."""
    bodies = Bodies(layout)
    if remote:
        bodies.ovn = bodies.try_to("OVN's rows", lambda: ovn.rows(remote))
    else:
        bodies.unchecked["OVN's rows"] = "PILEUS_NORTHBOUND does not say where they are"
    return bodies


def repair(layout: Layout, finding: Finding, host: BookView, store: StoreView | None) -> None:
    """Mend what this machine's part can of `finding`, whose meaning says that it is mended. Raises Fault, OSError."""
    if finding.code == "DomainLeaked":
        revision = Expected(host, store).removed(finding.ident)
        if revision is not None:
            ref = BodyRef(kind=domains.KIND, uuid=finding.ident, revision=revision)
            if not containers.remove(layout, ref):
                domains.remove(layout, finding.ident, revision)
        return
    if finding.code == "FolderLeaked" and containers.remove(layout, BodyRef(kind=domains.KIND, uuid=finding.ident)):
        return
    _REMOVE[finding.code](layout, finding.ident)


_REMOVE: dict[str, Callable[[Layout, str], None]] = {
    "FolderLeaked": folders.remove,
    "CaptureLeaked": captures.remove,
    "CacheLeaked": cache.remove,
    "TapLeaked": links.remove_tap,
    "PlugLeaked": switch.detach,
    "NamespaceLeaked": remove_network,
}
