"""A thousand hosts and ten thousand instances over PostgreSQL and RabbitMQ on this one machine (ten minutes at most).

    python -m bench.scale [--hosts N] [--instances M] [--api N] [--loops N]

Hosts and clients share the processors with what is measured. The peer of launches is OpenStack Zed over nova's fake
driver on two such processors, as `python -m bench.openstack` measured it there once; of lists, the shorter one.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import statistics
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from bench.idle import pss
from bench.load import Client
from bench.machines import Machines, ask, running
from bench.server import cpu

if TYPE_CHECKING:
    from bench.load import Target

OPENSTACK_RATE, OPENSTACK_CPU, OPENSTACK_MEMORY = 0.84, 1400.0, 2048.0
"""Launches per second until active, milliseconds of CPU each, megabytes of all its processes."""

SINGLES = 400
"""Launches of one instance each that are measured, at most; by so many clients at once:"""
CLIENTS = 8

BATCH = 50
"""Instances that one request of the rest asks for."""

SETTLED = 10.0
QUIET = 15.0
"""Seconds between the last launch and the look at a converged cloud, and of that look."""

LISTS = 3

_ID = re.compile(rb"<instanceId>(i-[0-9a-f]+)<")
_STATE = re.compile(r"<instanceId>(i-[0-9a-f]+)<.*?<instanceState>.*?<name>([a-z-]+)<", re.DOTALL)
_LAG = re.compile(r"^pileus_loop_lag_seconds_(bucket|sum|count)\{(.*?)\} (\S+)$", re.MULTILINE)


_TOTALS = {"sum": -2.0, "count": -1.0}
"""Where a histogram's sum and count are kept, beside its edges."""


class Scale:
    """One run."""

    def __init__(self, machines: Machines, target: Target, image: str) -> None:
        self.machines = machines
        self.target = target
        self.held = 0
        self.parts: dict[str, float] = {}
        """Milliseconds of CPU of each part for each instance of the last launches."""
        self._lags: defaultdict[float, float] = defaultdict(float)
        self._form = f"RunInstances&ImageId={image}&InstanceType=m1.tiny"

    def launch(self, count: int, each: int) -> tuple[float, float, float]:
        """Launch `count` more: answered per second, seen running per second, milliseconds of server CPU for each."""
        pids = {name: own for name, own in self.machines.pids().items() if name != "hosts"}
        request = self.target.request(f"Action={self._form}&MinCount={each}&MaxCount={each}&Version=2016-11-15")
        before = {name: _cpu(own) for name, own in pids.items()}
        begun, ids = time.perf_counter(), list[str]()
        left = iter(range(count // each))
        lock = threading.Lock()

        def work() -> None:
            client = Client(self.target.port)
            while True:
                with lock:
                    if next(left, None) is None:
                        return
                ids.extend(found.decode() for found in _ID.findall(client.ask(request)))

        threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        answered = time.perf_counter() - begun
        self._until_running(ids)
        took = time.perf_counter() - begun
        if len(ids) != count:
            raise RuntimeError(f"{len(ids)} of {count} instances were launched")
        self.held += count
        self.parts = {name: (_cpu(own) - before[name]) * 1000 / count for name, own in pids.items()}
        return count / answered, count / took, sum(self.parts.values())

    def _until_running(self, ids: list[str]) -> None:
        pending, since = ids, time.monotonic()
        while pending:
            shown = "&".join(f"InstanceId.{number}={ident}" for number, ident in enumerate(pending[:100], 1))
            found = ask(self.target, f"DescribeInstances&{shown}")
            run = {ident for ident, state in _STATE.findall(found) if state == "running"}
            still = [ident for ident in pending[:100] if ident not in run]
            if len(still) == len(pending[:100]):
                if time.monotonic() - since > 180:
                    raise RuntimeError(f"{len(pending)} instances stay pending")
                time.sleep(0.05)
            else:
                since = time.monotonic()
            pending = still + pending[100:]

    def listing(self) -> float:
        """Milliseconds of a list of all, for each of them (median)."""
        took = []
        for _ in range(LISTS):
            begun, token, rows = time.perf_counter(), "", 0
            while True:
                more = f"&NextToken={token}" if token else ""
                found = ask(self.target, f"DescribeInstances&MaxResults=1000{more}")
                rows += found.count("<instanceId>")
                token = found.partition("<nextToken>")[2].partition("<")[0]
                if not token:
                    break
            if rows != self.held:
                raise RuntimeError(f"{rows} of {self.held} instances were listed")
            took.append((time.perf_counter() - begun) * 1000 / rows)
        return statistics.median(took)

    def lag(self) -> tuple[float, float]:
        """Of the loops' wakes since the last call: their mean lag, and one that 99 of 100 were below; seconds."""
        now: defaultdict[float, float] = defaultdict(float)
        for name in self.machines.processes:
            if name.startswith("loops"):
                for what, labels, value in _LAG.findall(self.machines.metrics(name)):
                    edge = re.findall(r'le="(.*?)"', labels)
                    now[float(edge[0]) if edge else _TOTALS[what]] += float(value)
        since = {key: value - self._lags[key] for key, value in now.items()}
        self._lags = now
        count = max(since.get(_TOTALS["count"], 0.0), 1.0)
        high = (edge for edge, below in sorted(since.items()) if edge >= 0 and below >= 0.99 * count)
        return since.get(_TOTALS["sum"], 0.0) / count, next(high, 0.0)


def _cpu(pids: list[int]) -> float:
    spent = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):  # a connection's process of the database may be gone
            spent += cpu([pid])
    return spent


def _show(name: str, ours: float, peer: float, unit: str, form: str = ".2f") -> None:
    print(f"{name} ratio={ours / peer:.3g} ours={ours:{form}}{unit} peer={peer:{form}}{unit}", flush=True)


def _tell(name: str, value: float, unit: str, form: str = ".2f") -> None:
    print(f"{name} ours={value:{form}}{unit}", flush=True)


def run(machines: Machines, hosts: int, instances: int) -> None:
    """Print all figures."""
    _tell("hosts-known-seconds", machines.wait(lambda: machines.known() >= hosts, "hosts are heard"), "s")
    target = machines.target()
    image = ask(target, "DescribeImages").partition("<imageId>")[2].partition("<")[0]
    scale = Scale(machines, target, image)
    scale.launch(CLIENTS, 1)  # warms up
    scale.lag()
    singles = min(SINGLES, instances // 4)
    answered, ran, spent = scale.launch(singles, 1)
    _show("launches-1", ran, OPENSTACK_RATE, "/s")
    _tell("launches-1-answered", answered, "/s")
    _show("launches-1-cpu", spent, OPENSTACK_CPU, "ms")
    for name, milliseconds in scale.parts.items():
        _tell(f"launches-1-cpu-{name}", milliseconds, "ms")
    _lag(scale, "1")
    small = instances // 10
    if small > scale.held:
        scale.launch(small - scale.held, small - scale.held)
    scale.lag()
    short = scale.listing()
    answered, ran, spent = scale.launch((instances - scale.held) // BATCH * BATCH, BATCH)
    _show(f"launches-{BATCH}", ran, OPENSTACK_RATE, "/s")
    _tell(f"placements-{BATCH}", answered * 1.0, "/s")
    _show(f"launches-{BATCH}-cpu", spent, OPENSTACK_CPU, "ms")
    _lag(scale, str(BATCH))
    time.sleep(SETTLED)
    long = scale.listing()
    _show(f"list-a-row-of-{scale.held}", long, short, "ms", ".3f")
    _rest(machines)


def _lag(scale: Scale, what: str) -> None:
    mean, high = scale.lag()
    _tell(f"loop-lag-{what}-mean", mean, "s", ".3f")
    _tell(f"loop-lag-{what}-99-of-100-below", high, "s", ".3f")


def _rest(machines: Machines) -> None:
    """Memory and CPU of each part while hosts only repeat themselves."""
    parts = machines.pids()
    before = {name: _cpu(pids) for name, pids in parts.items()}
    time.sleep(QUIET)
    for name, pids in parts.items():
        _tell(f"rest-cpu-{name}", (_cpu(pids) - before[name]) * 100 / QUIET, "%", ".1f")
    held = {name: _memory(pids) for name, pids in machines.pids().items()}
    for name, megabytes in held.items():
        _tell(f"memory-{name}", megabytes, "MB", ".0f")
    _show("memory", sum(value for name, value in held.items() if name != "hosts"), OPENSTACK_MEMORY, "MB", ".0f")


def _memory(pids: list[int]) -> float:
    found = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            found += pss([pid])
    return found


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--api", type=int, default=1, help="processes that answer requests")
    parser.add_argument("--loops", type=int, default=1, help="processes that run loops")
    given = parser.parse_args()
    with running(given.hosts, given.api, given.loops) as machines:
        run(machines, given.hosts, given.instances)


if __name__ == "__main__":
    main()
