"""What a host tells Prometheus of its instances."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pileus.app import hostmetrics, processes
from pileus.app.certificates import authority
from pileus.app.hostmetrics import MOST, HostMetrics
from pileus.app.settings import Settings
from pileus.app.tls import own
from pileus.host.agent import Agent
from pileus.host.book import Book
from pileus.model.instance import Power
from pileus.model.provider import BodyRef
from pileus.model.spec import DiskSpec, InstanceSpec, NicSpec
from pileus.providers.stub.provider import StubProvider
from tests.app.test_http import client
from tests.app.test_metrics import launch, lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.app.stub import Stub

HERE = "127.0.0.1:0"


def spec(number: int) -> InstanceSpec:
    """A guest that runs."""
    nic = NicSpec(
        uuid=f"n{number}",
        ec2_id=f"eni-{number}",
        mac="",
        address="",
        cidr="",
        gateway="",
        localport="",
        localport_mac="",
        network="",
    )
    disk = DiskSpec(uuid=f"d{number}", ec2_id=f"vol-{number}", size=1)
    power = Power(state="running", n=1)
    return InstanceSpec(
        uuid=f"u{number}",
        ec2_id=f"i-{number}",
        project="p",
        power=power,
        vcpus=1,
        memory=64,
        disks=(disk,),
        nics=(nic,),
    )


@pytest.fixture
def provider() -> StubProvider:
    """Two guests that run."""
    stub_provider = StubProvider()
    for number in (1, 2):
        stub_provider.ensure(spec(number))
    return stub_provider


@pytest.fixture
def metrics(provider: StubProvider) -> Iterator[HostMetrics]:
    """They are told of."""
    host_metrics = hostmetrics.of(Settings(host_metrics=HERE), Agent("h", provider, Book()), provider.statistics)
    host_metrics.start()
    yield host_metrics
    host_metrics.stop()


def scraped(port: int, path: str = "/metrics") -> dict[str, dict[tuple[str, ...], float]]:
    """Samples by name, then by the values of their labels, as Prometheus's own parser reads them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        text = answer.read().decode()
    samples: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return samples


def test_a_cloud_tells_of_its_instances_on_every_way(stub: Stub) -> None:
    """By its host's metrics, as a table and as JSON; a stopped one's figures are zero."""
    ident, _ = launch(stub)
    port = next(line["port"] for line in lines(stub) if line["event"] == "metrics")
    (project,) = {project for named, project in scraped(port)["pileus_instance_running"] if named == ident}
    assert scraped(port)["pileus_instance_start_time_seconds"][ident, project] > 0
    (own,) = (figures for figures in json.loads(stub.pileus("stats", "--json").stdout) if figures["id"] == ident)
    assert (own["project"], own["state"]) == (project, "running")
    heading, *rows = stub.pileus("stats").stdout.splitlines()
    assert heading.split()[:5] == ["ID", "NAME", "STATE", "UPTIME", "VCPUS"]
    assert any(row.split()[:3] == [ident, "-", "running"] for row in rows)
    client(stub, "ec2").stop_instances(InstanceIds=[ident])
    assert processes.until(lambda: scraped(port)["pileus_instance_running"][ident, project] == 0, 30, 0.05)
    sheet = stub.pileus("stats", ident).stdout
    assert "cpu      0.0 s" in sheet
    assert "uptime   0m00s" in sheet
    refused = stub.pileus("stats", "i-00000000000000000", check=False)
    assert refused.returncode == 1
    assert "does not exist" in refused.stderr


def test_each_instance_has_its_series(metrics: HostMetrics) -> None:
    first, then = scraped(metrics.port), scraped(metrics.port)
    assert first["pileus_instance_running"] == {("i-1", "p"): 1, ("i-2", "p"): 1}
    assert first["pileus_instance_memory_limit_bytes"]["i-1", "p"] == 64 << 20
    assert (
        then["pileus_instance_cpu_seconds_total"]["i-1", "p"] > first["pileus_instance_cpu_seconds_total"]["i-1", "p"]
    )
    assert ("i-2", "eni-2", "p") in then["pileus_instance_network_received_bytes_total"]


def test_a_guest_that_goes_takes_its_series_along(metrics: HostMetrics, provider: StubProvider) -> None:
    stopped = msgspec.structs.replace(spec(2), power=Power(state="stopped", n=2), revision=(1, 2))
    provider.ensure(stopped)
    assert scraped(metrics.port)["pileus_instance_running"] == {("i-1", "p"): 1, ("i-2", "p"): 0}
    assert ("i-2", "p") not in scraped(metrics.port)["pileus_instance_start_time_seconds"]
    provider.remove(BodyRef(kind="instance", uuid="u2"))
    assert {labels[0] for samples in scraped(metrics.port).values() for labels in samples} == {"i-1"}


def test_nothing_else_is_there(metrics: HostMetrics) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        scraped(metrics.port, "/")


def test_nobody_listens_unasked(provider: StubProvider) -> None:
    host_metrics = hostmetrics.of(Settings(), Agent("h", provider, Book()), provider.statistics)
    host_metrics.start()
    assert host_metrics.port == 0
    host_metrics.stop()


def test_a_port_that_is_taken_keeps_no_host_from_its_work(metrics: HostMetrics) -> None:
    second = HostMetrics(f"127.0.0.1:{metrics.port}", lambda: b"", None)
    second.start()
    assert second.port == 0
    second.stop()


def patient(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """How long callers may be silent from now on."""
    monkeypatch.setattr(hostmetrics, "PATIENCE", seconds)
    monkeypatch.setattr(hostmetrics._Handler, "timeout", seconds)


def test_silent_callers_hold_up_nobody(metrics: HostMetrics, monkeypatch: pytest.MonkeyPatch) -> None:
    patient(monkeypatch, 60)
    silent = [socket.create_connection(("127.0.0.1", metrics.port)) for _ in range(MOST - 1)]
    assert scraped(metrics.port)["pileus_instance_running"], "there is room beside them"
    for link in silent:
        link.close()


def test_silent_callers_are_hung_up_on(metrics: HostMetrics, monkeypatch: pytest.MonkeyPatch) -> None:
    patient(monkeypatch, 0.5)
    silent = [socket.create_connection(("127.0.0.1", metrics.port)) for _ in range(MOST - 1)]
    for link in silent:
        link.settimeout(30)
        assert link.recv(1) == b""
        link.close()


def test_a_host_that_joined_speaks_tls(provider: StubProvider, tmp_path: Path) -> None:
    ca = authority(tmp_path)
    identity = own(ca, tmp_path / "own.pem", ["127.0.0.1"])
    host_metrics = HostMetrics(HERE, lambda: b"figures", lambda: identity.context.current)
    host_metrics.start()
    try:
        trusting = ssl.create_default_context(cadata=ca.pem.decode())
        with urllib.request.urlopen(
            f"https://127.0.0.1:{host_metrics.port}/metrics", timeout=10, context=trusting
        ) as answer:
            assert answer.read() == b"figures"
        with pytest.raises((urllib.error.URLError, OSError)):
            urllib.request.urlopen(f"http://127.0.0.1:{host_metrics.port}/metrics", timeout=10)
    finally:
        host_metrics.stop()
