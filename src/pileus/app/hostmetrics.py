"""The metrics that a host gives Prometheus: the use of each of its instances, measured at the scrape."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import structlog

from pileus.model import addresses
from pileus.model.statistics import Statistics
from pileus.model.threads import Thread

if TYPE_CHECKING:
    from pileus.app.settings import Settings
    from pileus.host.agent import Agent

PATIENCE = 5.0
"""Seconds that a caller has for each line of its request, and to take the answer."""

MOST = 8
"""Callers that are answered at once; more are hung up on."""

_GAUGES = (
    ("pileus_instance_running", "1 while the guest runs, else 0.", "running"),
    ("pileus_instance_vcpus", "Virtual processors.", "vcpus"),
    ("pileus_instance_memory_bytes", "Memory of this machine that the guest occupies.", "memory_bytes"),
    ("pileus_instance_overhead_bytes", "Memory that its QEMU occupies beyond the guest's.", "overhead_bytes"),
    ("pileus_instance_memory_limit_bytes", "Memory that it may have.", "memory_limit_bytes"),
    ("pileus_instance_disk_allocated_bytes", "Room that its disks take here.", "disk_allocated_bytes"),
    ("pileus_instance_disk_size_bytes", "Room that they may take.", "disk_size_bytes"),
)
_COUNTERS = (
    ("pileus_instance_cpu_seconds", "Time of processors since the guest started.", "cpu_seconds"),
    ("pileus_instance_disk_read_bytes", "Bytes read from its disks since then.", "disk_read_bytes"),
    ("pileus_instance_disk_written_bytes", "Bytes written to them since then.", "disk_written_bytes"),
)
_NETWORK = (
    ("pileus_instance_network_received_bytes", "Bytes that it received at a port since then.", "received_bytes"),
    ("pileus_instance_network_received_packets", "Packets that it received.", "received_packets"),
    ("pileus_instance_network_sent_bytes", "Bytes that it sent.", "sent_bytes"),
    ("pileus_instance_network_sent_packets", "Packets that it sent.", "sent_packets"),
)

_LABELS = ["instance_id", "project"]
"""Not `instance`, which is what Prometheus calls the machine that it asks."""

log = structlog.get_logger()


class _Instances:
    """A collector of prometheus_client's: the instances there are now, and no others."""

    def __init__(self, measure: Callable[[], Iterable[Statistics]], since: Callable[[str], float]) -> None:
        self._measure = measure
        self._since = since

    def collect(self) -> Iterator[Any]:
        """One measurement's figures; what is not known is left out."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415  (few hosts are asked)

        measured = [instance for instance in self._measure() if not instance.fault]
        for families, shape in ((_GAUGES, GaugeMetricFamily), (_COUNTERS, CounterMetricFamily)):
            for name, says, field in families:
                family = shape(name, says, labels=_LABELS)
                for instance in measured:
                    value = getattr(instance, field)
                    if value is not None:
                        family.add_metric([instance.id, instance.project], float(value))
                yield family
        started = GaugeMetricFamily(
            "pileus_instance_start_time_seconds", "When it was seen to start, since the epoch.", labels=_LABELS
        )
        for instance in measured:
            if instance.running:
                started.add_metric([instance.id, instance.project], self._since(instance.uuid))
        yield started
        for name, says, field in _NETWORK:
            family = CounterMetricFamily(name, says, labels=[*_LABELS, "port"])
            for instance in measured:
                for nic in instance.nics:
                    family.add_metric([instance.id, instance.project, nic.id], getattr(nic, field))
            yield family


class HostMetrics:
    """Answers at `where` (ADDRESS:PORT; empty: nowhere), by TLS where there is a context; `page` makes an answer."""

    def __init__(self, where: str, page: Callable[[], bytes], tls: Callable[[], ssl.SSLContext] | None) -> None:
        self._where = where
        self._page = page
        self._tls = tls
        self._server: _Server | None = None
        self._stopping = threading.Event()

    @property
    def port(self) -> int:
        """The port that it listens at; 0 while it does not."""
        return int(self._server.server_address[1]) if self._server else 0

    def start(self) -> None:
        """Begin to answer. Where that is not possible the log says so: guests matter more."""
        if not self._where:
            return
        address, port = addresses.split_socket_address(self._where)
        try:
            self._server = _Server(address, port, self._page, self._tls)
        except (OSError, OverflowError) as error:
            log.warning("no metrics", listen=self._where, reason=str(error))
            return
        log.info("metrics", port=self.port)
        Thread("host-metrics", self._server.serve_forever, self._stopping).start()

    def stop(self) -> None:
        """Answer no more."""
        self._stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, address: str, port: int, page: Callable[[], bytes], tls: Callable[[], ssl.SSLContext] | None
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.page = page
        self._tls = tls
        self._room = threading.BoundedSemaphore(MOST)
        super().__init__((address, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, while there are not too many."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In that thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands first, where that is asked for: here, where a silent caller holds up nobody else."""
        request.settimeout(PATIENCE)
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        # Read anew each time: a host's certificate is renewed while it runs.
        with self._tls().wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that hang up, or speak something else, are no news."""
        log.debug("metrics not given", to=str(client_address))


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE
    server: _Server

    def do_GET(self) -> None:
        """The figures at /metrics; nothing elsewhere."""
        from prometheus_client.exposition import CONTENT_TYPE_LATEST  # noqa: PLC0415  (few hosts are asked)

        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        try:
            body = self.server.page()
        except Exception:
            log.exception("metrics not measured")
            self.send_error(500)
            return
        self.send_response(200)
        self.send_header("content-type", CONTENT_TYPE_LATEST)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Scrapes are no news."""

    def version_string(self) -> str:
        """Return the server's name; without Python's version."""
        return "pileus"


def of(
    settings: Settings,
    agent: Agent,
    measure: Callable[[], Iterable[Statistics]],
    tls: Callable[[], ssl.SSLContext] | None = None,
) -> HostMetrics:
    """The metrics of a host whose instances `measure` measures, where the settings ask for them."""

    def since(uuid: str) -> float:
        entry = agent.book.entries.get(uuid)
        return entry.since if entry is not None else 0.0

    def page() -> bytes:
        from prometheus_client import CollectorRegistry  # noqa: PLC0415  (few hosts are asked)
        from prometheus_client.exposition import generate_latest  # noqa: PLC0415  (few hosts are asked)

        from pileus.app.metrics import Failing  # noqa: PLC0415  (few hosts are asked)

        registry = CollectorRegistry(auto_describe=False)
        # Anew each time: to register is to collect nothing, and a page is a measurement.
        registry.register(_Instances(measure, since))
        registry.register(Failing())
        return generate_latest(registry)

    return HostMetrics(settings.host_metrics, page, tls)
