"""The use of this host's machines, by libvirt's statistics in bulk: one call, however many machines there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import libvirt
from msgspec import structs

from pileus.model.errors import Fault
from pileus.model.spec import InstanceSpec
from pileus.model.statistics import NicStatistics, Statistics
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine.disk import Disks
from pileus.providers.local.machine.domain import domain_uuid
from pileus.providers.local.machine.hypervisor import Hypervisor
from pileus.providers.local.measure import resting

_PATIENCE = 5.0
_WHAT = (
    libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
# Of a QEMU that is busy with something else only what can be had without it.
_WHICH = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT


def measure(
    layout: Layout, hypervisor: Hypervisor, disks: Disks, specs: Iterable[InstanceSpec]
) -> tuple[Statistics, ...]:
    """The figures of these machines; where libvirtd does not answer each says so."""
    wanted = list(specs)
    if not wanted:
        return ()
    domain_figures: dict[str, Mapping[str, Any]] = {}
    fault = ""
    try:
        answer = hypervisor.call(hypervisor.connection().getAllDomainStats, _WHAT, _WHICH, seconds=_PATIENCE)
        domain_figures = {domain.UUIDString(): figures for domain, figures in answer}
    except Fault as refused:
        fault = f"{refused.code}: {refused.message}"
    statistics = []
    for spec in wanted:
        still = resting(spec, [file.path for file in disks.files(spec).values()])
        figures = domain_figures.get(domain_uuid(spec.uuid))
        statistics.append(
            structs.replace(still, fault=fault) if figures is None else _running(layout, spec, still, figures)
        )
    return tuple(statistics)


def _running(layout: Layout, spec: InstanceSpec, still: Statistics, figures: Mapping[str, Any]) -> Statistics:
    """The figures of a machine that runs, by the names of virConnectGetAllDomainStats; its cgroup counts its CPU."""
    devices = {figures.get(f"net.{at}.name"): at for at in range(figures.get("net.count", 0))}
    # QEMU's own needs are in it too, and are not of the guest's memory.
    rss_kib = figures.get("balloon.rss")
    occupied = None if rss_kib is None else rss_kib << 10
    return structs.replace(
        still,
        running=True,
        cpu_seconds=figures.get("cpu.time", 0) / 1e9,
        memory_bytes=None if occupied is None else min(occupied, still.memory_limit_bytes),
        overhead_bytes=max(0, (occupied or 0) - still.memory_limit_bytes),
        disk_read_bytes=_disks(figures, "rd.bytes"),
        disk_written_bytes=_disks(figures, "wr.bytes"),
        nics=tuple(_nic(nic.ec2_id, devices.get(layout.tap(nic.uuid)), figures) for nic in spec.nics),
    )


def _disks(figures: Mapping[str, Any], what: str) -> int | None:
    """The sum over the disks; None when QEMU was not asked."""
    counted = [figures.get(f"block.{at}.{what}") for at in range(figures.get("block.count", 0))]
    known_counts = [value for value in counted if value is not None]
    return sum(known_counts) if known_counts else None


def _nic(ident: str, at: int | None, figures: Mapping[str, Any]) -> NicStatistics:
    if at is None:
        return NicStatistics(id=ident)
    return NicStatistics(
        id=ident,
        received_bytes=figures.get(f"net.{at}.rx.bytes", 0),
        received_packets=figures.get(f"net.{at}.rx.pkts", 0),
        sent_bytes=figures.get(f"net.{at}.tx.bytes", 0),
        sent_packets=figures.get(f"net.{at}.tx.pkts", 0),
    )
