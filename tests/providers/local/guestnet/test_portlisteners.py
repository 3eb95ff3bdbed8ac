"""Listeners by port: which are left out at a bound, and that no project takes them all."""

import asyncio
import errno
import os
import resource
import socket
from collections import Counter

import pytest
from structlog.testing import capture_logs

from pileus.model import bounds
from pileus.model.instance import Power
from pileus.model.spec import Ingress, InstanceSpec, NicSpec
from pileus.providers.local.guestnet import descriptors
from pileus.providers.local.guestnet.portlisteners import PortListeners, most_listeners, places


def instance(number: int, *ranges: tuple[int, int], project: str = "p1", address: str = "") -> InstanceSpec:
    nic = NicSpec(
        uuid=f"port-{number}",
        ec2_id=f"eni-{number}",
        mac="",
        address="",
        cidr="",
        gateway="",
        localport="",
        localport_mac="",
        network="",
        ingress=tuple(Ingress(cidr="0.0.0.0/0", port_min=first, port_max=last) for first, last in ranges),
    )
    return InstanceSpec(
        uuid=f"instance-{number:04}",
        project=project,
        power=Power(),
        vcpus=1,
        memory=1,
        ec2_id=f"i-{number}",
        nics=(nic,),
        loopback=address or f"127.251.{number // 250}.{number % 250 + 1}",
    )


def test_few_ports_all_have_listeners() -> None:
    spec = instance(1, (22, 22), (9000, 9003))
    assert set(places([spec], 100)) == {(spec.loopback, port) for port in (22, 9000, 9001, 9002, 9003)}


def test_of_many_ports_the_well_known_have_listeners() -> None:
    ports = {port for _, port in places([instance(1, (1, 65535))], 100)}
    assert len(ports) == bounds.LOOPBACK_LISTENERS_OF_INSTANCE.most
    assert {22, 80, 443, 3389, 5432, 8080} <= ports


def test_no_instance_and_no_project_keeps_listeners_from_others() -> None:
    greedy = [instance(number, (1, 65535)) for number in range(400)]
    modest = [instance(1000 + number, (22, 22), project="p2") for number in range(20)]
    most = most_listeners()
    served_places = places([*greedy, *modest], most)
    assert {(spec.loopback, 22) for spec in modest} <= set(served_places)
    assert len(served_places) <= most
    of_greedy = Counter(address for address, _ in served_places if address in {spec.loopback for spec in greedy})
    assert of_greedy.total() <= bounds.LOOPBACK_LISTENERS_OF_PROJECT.most
    assert len(of_greedy) == len(greedy), "each has one before another has two"


def test_descriptors_are_left_for_everything_else() -> None:
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A connection has its own, and while the guest does not answer, those of two calls.
    taken = 3 * descriptors.share(bounds.LOOPBACK_CONNECTIONS)
    taken += descriptors.share(bounds.LOOPBACK_LISTENERS) + descriptors.share(bounds.METADATA_CONNECTIONS)
    assert taken <= allowed * 3 // 4


@pytest.mark.allow_hosts(["127.0.0.0/8"])
def test_an_address_in_use_is_told_once_and_tried_again() -> None:
    spec = instance(1, (45022, 45023), address="127.251.77.1")
    accepted: list[tuple[str, int]] = []
    both = asyncio.Event()

    def accept(client: socket.socket, _source: str) -> None:
        accepted.append(client.getsockname())
        client.close()
        if len(accepted) == 2:
            both.set()

    async def scene() -> None:
        listeners = PortListeners(accept)
        try:
            with capture_logs() as logs, socket.create_server((spec.loopback, 45022)):
                listeners.admit({spec.loopback: spec})
                listeners.admit({spec.loopback: spec})
            assert [log["place"] for log in logs] == [(spec.loopback, 45022)]
            assert os.strerror(errno.EADDRINUSE) in logs[0]["error"]
            listeners.admit({spec.loopback: spec})
            for port in (45022, 45023):
                _, writer = await asyncio.open_connection(spec.loopback, port)
                writer.close()
            await asyncio.wait_for(both.wait(), 20)
        finally:
            listeners.close()

    asyncio.run(scene())
    assert sorted(accepted) == [(spec.loopback, 45022), (spec.loopback, 45023)]
