"""The resource use of instances: asked of their hosts on request, one question a host, and never stored."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import msgspec

from pileus.bus import channels
from pileus.bus.messages import Open
from pileus.model import listing as pages
from pileus.model import statistics
from pileus.model.errors import Fault, PileusError, Unavailable
from pileus.model.ids import new_uuid
from pileus.model.instance import Instance, State, state
from pileus.model.statistics import Statistics
from pileus.rules import find
from pileus.rules.host import Heard
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.caller import Caller
    from pileus.rules.core import Core

AT_ONCE = 16
"""Hosts that are asked at the same time."""

PATIENCE = 20.0
"""Seconds that all of them have together to answer, for one page."""


class InstanceStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """An instance and the statistics of its use; `trouble` says why that is not known, else it is empty.

    `since` is when it was seen to start (seconds since the epoch), 0 unless it runs; `asked` is the store's clock.
    """

    instance: Instance
    state: State
    statistics: Statistics
    since: float
    asked: float
    trouble: str = ""


@requires("reader")
def of_one(caller: Caller, core: Core, uuid: str) -> InstanceStatistics:
    """Return the statistics of the instance with this uuid. Raises NotFound, Unavailable, Fault."""
    with core.store.read() as tx:
        instance = find.present(caller, tx, Instance, uuid)
    host = instance.assigned.host
    measurements = _asked(core, host, instance.uuid) if host is not None else {}
    measured = _with_instance(instance, measurements, core.store.now())
    if measured.trouble:
        raise Unavailable(f"The host cannot say what {instance.label} uses: {measured.trouble}", noun="host")
    return measured


@requires("reader")
def of_all(
    caller: Caller, core: Core, *, everywhere: bool = False, after: int = 0, limit: int = 1000
) -> tuple[list[InstanceStatistics], str | None]:
    """Return the statistics of the project's instances, oldest first, and the token to continue, None at the end.

    `everywhere` gives an administrator the instances of all projects. Hosts are asked side by side, and lost
    hosts not at all: their instances say so.
    """
    project = None if everywhere and caller.admin else caller.project
    with core.store.read() as tx:
        instances = tx.list(Instance, project=project, after=after, limit=limit + 1)
        shown, rest = pages.page(instances, lambda instance: instance.id, after, limit)
        liveness = Heard(tx, core.store.now())
    hosts = {instance.assigned.host for instance in shown if instance.assigned.host is not None}
    lost = {host for host in hosts if liveness.lost(host)}
    measurements, silent = _answers(core, hosts - lost)
    silent |= {host: "host removed" if liveness.since(host) is None else "host lost" for host in lost}
    now = core.store.now()
    all_measured = []
    for instance in shown:
        host = instance.assigned.host or ""
        all_measured.append(_with_instance(instance, measurements.get(host, {}), now, silent.get(host, "")))
    return all_measured, rest


def _answers(core: Core, hosts: Iterable[str]) -> tuple[dict[str, dict[str, Statistics]], dict[str, str]]:
    """Return each host's figures by uuid, of its own instances alone, and why the other hosts gave none."""
    measurements: dict[str, dict[str, Statistics]] = {}
    silent: dict[str, str] = {}
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="stats")
    try:
        futures = {pool.submit(_asked, core, host): host for host in hosts}
        done, late = wait(futures, timeout=PATIENCE)
        silent |= {futures[future]: "The host does not answer now; try again later." for future in late}
        for future in done:
            try:
                measurements[futures[future]] = future.result()
            except (PileusError, Fault) as error:
                silent[futures[future]] = error.message
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return measurements, silent


def _asked(core: Core, host: str, uuid: str = "") -> dict[str, Statistics]:
    """Return the host's present measurements, of one instance or of all, by uuid. Raises Unavailable, Fault."""
    try:
        with core.waits.on(host):
            access = core.hosts.open(host, Open(call=new_uuid(), uuid=uuid, channel="stats"))
            return {measurement.uuid: measurement for measurement in statistics.decode(channels.read_all(access))}
    except msgspec.DecodeError as error:
        raise Unavailable(f"The host's figures came incomplete: {error}", noun="host") from error


def _with_instance(
    instance: Instance, measurements: dict[str, Statistics], now: float, trouble: str = ""
) -> InstanceStatistics:
    none = Statistics(uuid=instance.uuid, id="", project=instance.project)
    figures = measurements.get(instance.uuid, none)
    return InstanceStatistics(
        instance=instance,
        state=state(instance),
        statistics=figures,
        since=instance.seen.since if figures.running else 0.0,
        asked=now,
        trouble=trouble or figures.fault,
    )
