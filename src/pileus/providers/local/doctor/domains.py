"""Guests: libvirt's domains and our containers, and the QEMU processes themselves, against the host's orders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pileus.model.finding import Finding
from pileus.model.instance import Body
from pileus.model.noun import Revision
from pileus.model.provider import BodyRef
from pileus.model.spec import InstanceSpec
from pileus.model.views import Held
from pileus.providers.local.doctor.expected import Expected
from pileus.providers.local.doctor.folders import no_fetch
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine.hypervisor import GONE, Hypervisor, tolerating
from pileus.providers.local.machine.provider import MachineProvider, mark_of
from pileus.providers.local.machine.restore.freezer import is_template
from pileus.providers.local.machine.wire import TapWire

KIND = "instance"
_GUEST = re.compile(r"guest=([^,\0]+),")


@dataclass(frozen=True)
class Domain:
    """One guest by its own uuid as libvirt, or its folder, knows it; `spec` as told there, None for a stranger."""

    uuid: str
    name: str
    running: bool
    spec: InstanceSpec | None = None


def domains(layout: Layout) -> list[Domain]:
    """Every domain of this cloud's libvirtd. Raises Fault."""
    hypervisor = Hypervisor(layout)
    all_domains = []
    try:
        for domain in hypervisor.call(hypervisor.connection().listAllDomains):
            with tolerating(GONE):
                mark, running = mark_of(hypervisor, domain), bool(hypervisor.call(domain.isActive))
                all_domains.append(Domain(domain.UUIDString(), domain.name(), running, mark.spec if mark else None))
    finally:
        hypervisor.close()
    return all_domains


def processes(layout: Layout) -> dict[str, int]:
    """Domain name → process of every QEMU whose files are in this cloud's state directory."""
    pids = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        guest = _GUEST.search(words)
        if guest and "qemu" in words.partition("\0")[0] and f"{layout.state}/" in words:
            pids[guest[1]] = int(entry.name)
    return pids


def compare(expected: Expected, domains: Iterable[Domain], running: dict[str, int]) -> Iterator[Finding]:
    """Where domains, QEMU processes and orders disagree."""
    names, seen_uuids = set(), set()
    for domain in domains:
        names.add(domain.name)
        if is_template(domain.uuid):
            continue
        if domain.spec is None:
            yield Finding(code="DomainForeign", kind="domain", ident=domain.uuid, detail=domain.name)
        else:
            seen_uuids.add(domain.spec.uuid)
            yield from _compare(expected, domain, domain.spec)
    for uuid, order in expected.converged.items():
        if order.body.exists and uuid not in seen_uuids and order.spec is not None:
            yield Finding(code="DomainMissing", kind=KIND, ident=uuid, detail=order.spec.ec2_id)
    for name, pid in running.items():
        if name not in names:
            yield Finding(code="ProcessUnknown", kind="process", ident=name, detail=f"pid {pid}")


def _compare(expected: Expected, domain: Domain, spec: InstanceSpec) -> Iterator[Finding]:
    state = "runs" if domain.running else "is off"
    if spec.uuid in expected.host.orders:
        order = expected.converged.get(spec.uuid)
        if order is not None and order.body.running != domain.running:
            detail = f"{domain.name} {state}, and its host says that it {'runs' if order.body.running else 'is off'}"
            yield Finding(code="DomainPower", kind=KIND, ident=spec.uuid, detail=detail)
        return
    if not spec.project:
        return  # a guest of no project is its host's own affair, such as a template in the making
    removed = expected.removed(spec.uuid)
    leaked = removed is not None and removed >= spec.revision
    detail = f"{domain.name} ({spec.name or 'no name'}) of project {spec.project} {state}"
    yield Finding(code="DomainLeaked" if leaked else "DomainUnknown", kind=KIND, ident=spec.uuid, detail=detail)


def held(domain: Domain) -> Held:
    """Return the order and body of a guest of ours from its domain alone. Raises ValueError for a stranger's."""
    spec = domain.spec
    if spec is None:
        raise ValueError(f"{domain.name} is not ours")
    body = Body(exists=True, running=domain.running, n=spec.power.n, reboot=spec.reboot, satisfied=spec.satisfied)
    return Held(uuid=spec.uuid, revision=spec.revision, spec=spec, body=body, applied=spec.revision)


def remove(layout: Layout, uuid: str, revision: Revision) -> None:
    """Remove a guest whose removal was confirmed at `revision`, with its disk; one by a later order stays.

    Raises Fault.
    """
    provider = MachineProvider(layout, no_fetch, TapWire(layout))
    try:
        provider.remove(BodyRef(kind=KIND, uuid=uuid, revision=revision))
    finally:
        provider.close()
