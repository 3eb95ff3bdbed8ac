"""What guests send is bounded where their packets enter the switch, each by its own flavor."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model.securitygroup import Rule
from pileus.providers.local.engine import chassis
from pileus.providers.local.layout import Layout
from pileus.providers.local.network import NetworkProvider
from tests.live import veth
from tests.live.daemons import purge_engine
from tests.live.test_network import ANY, OUT, Cloud
from tests.live.veth import Guest, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.cost(8), pytest.mark.allow_hosts(["10.41.0.0/16"])]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    layout = Layout(tmp_path)
    try:
        chassis.up(layout)
        provider = NetworkProvider(layout.northbound)
        made = Cloud(layout, provider)
        yield made
        made.close()
        provider.close()
    finally:
        purge_engine(layout)


def flood(sender: Guest, receiver: Guest, seconds: float = 2.0) -> float:
    """What arrives, in Mbit/s, while `sender` sends datagrams as fast as it can."""
    server = receiver.listen(receiver.address, 5000, socket.SOCK_DGRAM)
    server.settimeout(0.5)
    arrived: list[int] = []

    def receive() -> None:
        with server, contextlib.suppress(TimeoutError):
            while True:
                arrived.append(len(server.recv(2048)))

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                with contextlib.suppress(OSError):
                    own.sendto(bytes(1400), (receiver.address, 5000))

    thread = threading.Thread(target=receive)
    thread.start()
    veth.within(sender.namespace, send)
    thread.join()
    return sum(arrived) * 8 / seconds / 1e6


def test_a_guest_sends_within_its_bandwidth_and_takes_nothing_of_anothers(cloud: Cloud) -> None:
    network = cloud.network(1)
    group = cloud.group(OUT, Rule(id="in", protocol="all", cidr=ANY))
    (first, port), (second, _) = (cloud.guest(network, group.uuid, bandwidth=20) for _ in range(2))
    receiver, _ = cloud.guest(network, group.uuid)
    cloud.settled()
    eventually(lambda: first.pings(receiver.address), "they reach each other")
    both: list[float] = []
    pairs = ((first, receiver), (second, first))
    threads = [threading.Thread(target=lambda pair=pair: both.append(flood(*pair))) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # With what a burst adds to two seconds.
    assert all(5 < rate < 30 for rate in both), both
    cloud.write(msgspec.structs.replace(port, bandwidth=0, revision=cloud.revision()))
    cloud.settled()
    assert flood(first, receiver) > 60
