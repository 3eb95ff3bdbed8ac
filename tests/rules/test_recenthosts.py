"""Launches that choose from a copy of the hosts, and addresses behind the last one, are as right as those that look."""

from __future__ import annotations

import msgspec
import pytest

from pileus.model.errors import NoCapacity
from pileus.model.host import Capacity, Host
from pileus.model.port import Port
from pileus.rules import network
from pileus.rules.instance import recenthosts
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch, launch
from tests.rules import test_place
from tests.site import Site


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cloud counts as a large one, and every subnet as crowded."""
    monkeypatch.setattr(recenthosts, "LARGE", 1)
    monkeypatch.setattr(network, "CROWDED", 1)


@pytest.mark.usefixtures("large")
def test_no_host_is_given_more_than_it_has_and_none_is_refused_that_fits() -> None:
    test_place.test_no_host_is_given_more_than_it_has()


@pytest.mark.usefixtures("large")
def test_a_host_that_was_drained_since_the_copy_gets_nothing() -> None:
    site = Site()
    for name in ("h0", "h1"):
        site.host(name, Capacity(vcpus=8, memory=4096, disk=64))
    ann = site.caller("blue")
    request = Launch(image=site.image(ann).uuid, flavor="m1.tiny")
    launch(ann, site.core, request)
    with site.store.write() as tx:
        (host,) = tx.list(Host, name="h1")
        tx.want(host, msgspec.structs.replace(host.wanted, state="drained"))
    uuids = [launch(ann, site.core, request)[0] for _ in range(3)]
    assert {site.row(uuid).assigned.host for uuid in uuids} == {"h0"}


def spread() -> list[str | None]:
    """The hosts of instances of two sizes, in turns."""
    site = Site()
    for number in range(4):
        site.host(f"h{number}", Capacity(vcpus=16, memory=8192, disk=64))
    ann = site.caller("blue")
    image = site.image(ann).uuid
    sizes = ("m1.tiny", "m1.small") * 8
    uuids = [launch(ann, site.core, Launch(image=image, flavor=size))[0] for size in sizes]
    return [site.row(uuid).assigned.host for uuid in uuids]


def test_instances_are_spread_by_the_copy_as_by_all_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    by_all = spread()
    monkeypatch.setattr(recenthosts, "LARGE", 1)
    assert spread() == by_all


@pytest.mark.usefixtures("large")
def test_every_address_of_a_subnet_is_given_once() -> None:
    site = Site()
    site.host("h0", Capacity(vcpus=None, memory=None, disk=None))
    ann = site.caller("blue", {})
    request = Launch(image=site.image(ann).uuid, flavor="m1.tiny")
    uuids = [launch(ann, site.core, request)[0] for _ in range(20)]
    power.terminate(ann, site.core, uuids[:10])
    site.settle(3)
    uuids += launch(ann, site.core, msgspec.structs.replace(request, least=30, most=30))
    with site.store.read() as tx:
        addresses = [port.assigned.address for port in tx.list(Port)]
    assert len(set(addresses)) == len(addresses) == 40


@pytest.mark.usefixtures("large")
def test_a_cloud_without_room_refuses() -> None:
    site = Site()
    site.host("h0", Capacity(vcpus=1, memory=128, disk=1))
    ann = site.caller("blue")
    request = Launch(image=site.image(ann).uuid, flavor="m1.tiny")
    launch(ann, site.core, request)
    with pytest.raises(NoCapacity):
        launch(ann, site.core, request)
