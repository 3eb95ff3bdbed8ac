"""The metrics of requests, loops and hosts for Prometheus. Names and units follow Prometheus's naming practice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from pileus.faces.wire.http import Response
from pileus.model import threads
from pileus.model.host import Host, condition
from pileus.model.nouns import NOUNS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from pileus.store.store import LeasedWake, Store

_REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_LAG = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


CONDITIONS = ("active", "drained", "maintenance", "lost")


class Metrics:
    """The figures of one cloud process; its methods may be called from any thread."""

    def __init__(self, store: Store) -> None:
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "pileus_request_seconds",
            "Time from a request's last byte to its answer, by face, action and error code (ok when it was none).",
            ("face", "action", "code"),
            buckets=_REQUEST,
            registry=self._registry,
        )
        self._lag = Histogram(
            "pileus_loop_lag_seconds",
            "Time from the due time of a wake to the loop that takes it.",
            ("kind",),
            buckets=_LAG,
            registry=self._registry,
        )
        self._steps = Histogram(
            "pileus_loop_step_seconds",
            "Time of one step of a loop.",
            ("kind",),
            buckets=_REQUEST,
            registry=self._registry,
        )
        self._failures = Counter(
            "pileus_loop_failures",
            "Steps of loops that failed and are tried again.",
            ("kind",),
            registry=self._registry,
        )
        self._registry.register(_Stored(store))
        self._registry.register(Failing())
        ProcessCollector(registry=self._registry)

    def request(self, response: Response, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(response.face, response.action, response.code or "ok").observe(seconds)

    def step(self, wake: LeasedWake, seconds: float, *, failed: bool) -> None:
        """A loop did a step."""
        self._lag.labels(wake.kind).observe(max(0.0, wake.lag))
        self._steps.labels(wake.kind).observe(seconds)
        if failed:
            self._failures.labels(wake.kind).inc()

    def page(self) -> Response:
        """All of them, in Prometheus's text format. Reads the store."""
        return Response(200, {"content-type": CONTENT_TYPE_LATEST}, generate_latest(self._registry))


class Failing:
    """The threads of this process that fail now."""

    def collect(self) -> Iterator[Metric]:
        """One gauge, with a sample for each of them."""
        family = GaugeMetricFamily(
            "pileus_thread_failing", "1 for a thread whose last iterations failed unexpectedly.", labels=["thread"]
        )
        for name in sorted(threads.failing()):
            family.add_metric([name], 1.0)
        yield family


class _Stored:
    """The gauges that are read from the store at each scrape."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """One snapshot's gauges."""
        now = self._store.now()
        with self._store.read() as tx:
            counts, hosts, usage = tx.counts(), tx.list(Host), tx.usage()
            waiting, oldest = tx.backlog(now)
        nouns = GaugeMetricFamily("pileus_nouns", "Living nouns, by kind.", labels=["kind"])
        for kind in NOUNS:
            nouns.add_metric([kind], counts.get(kind, 0))
        yield nouns
        yield GaugeMetricFamily("pileus_loop_backlog", "Wakes that are due and that no loop holds.", waiting)
        age = now - oldest if oldest is not None else 0.0
        yield GaugeMetricFamily("pileus_loop_backlog_age_seconds", "How long the first of those has been due.", age)
        report_ages = GaugeMetricFamily(
            "pileus_host_report_age_seconds", "Time since a host's last report.", labels=["host"]
        )
        unknown = GaugeMetricFamily("pileus_host_unknown_bodies", "Bodies that no order names.", labels=["host"])
        states = GaugeMetricFamily("pileus_host_state", "1 for the state that a host is in.", labels=["host", "state"])
        used = GaugeMetricFamily(
            "pileus_host_used", "What is used of a host (memory MiB, disk GiB).", labels=["host", "resource"]
        )
        for host in hosts:
            report_ages.add_metric([host.name], max(0.0, now - host.seen.heard))
            now_is = condition(host, now)
            for state in CONDITIONS:
                states.add_metric([host.name, state], float(state == now_is))
            unknown.add_metric([host.name], len(host.seen.unknown))
            for resource in ("vcpus", "memory", "disk"):
                used.add_metric([host.name, resource], usage.get((f"host:{host.name}", resource), 0))
        yield from (report_ages, states, unknown, used)
