"""Numbers and addresses of mcc's instances: the lowest free ones, each one's own, and free again afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model.errors import InvalidValue, NoCapacity
from pileus.model.instance import Instance
from pileus.model.port import Port
from pileus.model.record import recall
from pileus.rules import recount, recover
from pileus.verbs import network
from pileus.verbs.instance import number, power
from pileus.verbs.instance.launch import Launch

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.verbs.network import Flat
    from tests.site import Site

POOL = "10.0.0.110-10.0.0.200"


@pytest.fixture
def flat(site: Site, ann: Caller) -> Flat:
    """The project's flat network."""
    return network.flat(ann, site.core, POOL)


def one(site: Site, caller: Caller, image: Image, flat: Flat) -> tuple[int, str]:
    """Launch an instance as mcc does: its number and address."""
    request = Launch(image=image.uuid, subnet=flat.subnet, groups=(flat.group,), numbered=True)
    row = site.launch(caller, request)[0]
    with site.store.read() as tx:
        (port,) = tx.referring(Port, [row.uuid])
    return row.assigned.number, port.assigned.address


def numbered(site: Site, caller: Caller, wanted: int) -> Instance | None:
    with site.store.read() as tx:
        instances = tx.list(Instance, project=caller.project)
    return next((instance for instance in instances if instance.assigned.number == wanted), None)


def uuid_of(site: Site, caller: Caller, wanted: int) -> str:
    instance = numbered(site, caller, wanted)
    assert instance is not None
    return instance.uuid


def test_the_lowest_free_ones_are_given_and_given_again(site: Site, ann: Caller, tiny: Image, flat: Flat) -> None:
    assert [one(site, ann, tiny, flat) for _ in range(3)] == [
        (500, "10.0.0.110"),
        (501, "10.0.0.111"),
        (502, "10.0.0.112"),
    ]
    power.terminate(ann, site.core, [uuid_of(site, ann, 501)])
    assert one(site, ann, tiny, flat) == (503, "10.0.0.113"), "what goes still has its own"
    site.settle()
    assert numbered(site, ann, 501) is None
    assert one(site, ann, tiny, flat) == (501, "10.0.0.111")
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_guests_are_called_by_their_numbers_in_their_network(site: Site, ann: Caller, tiny: Image, flat: Flat) -> None:
    one(site, ann, tiny, flat)
    assert number.listing(ann, site.core)[0].instance.wanted.hostname == "mcc-id-500"


def test_those_of_other_faces_get_numbers_at_the_first_look(site: Site, ann: Caller, tiny: Image, flat: Flat) -> None:
    rows = site.launch(ann, Launch(image=tiny.uuid, most=2))
    other = site.caller("green")
    site.launch(other, Launch(image=tiny.uuid))
    one(site, ann, tiny, flat)
    assert [row.assigned.number for row in site.rows([row.uuid for row in rows])] == [0, 0]
    seen = [(view.instance.assigned.number, view.instance.uuid) for view in number.listing(ann, site.core)]
    assert seen[1:] == [(501, rows[0].uuid), (502, rows[1].uuid)]
    assert numbered(site, other, 501) is None, "another project's"
    assert [view.instance.assigned.number for view in number.listing(other, site.core)] == [503]
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_a_host_keeps_the_number_with_the_order(site: Site, ann: Caller, tiny: Image) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    number.listing(ann, site.core)
    site.settle()
    spec = site.agents["h1"].book.entries[row.uuid].spec
    assert spec is not None
    instances = [noun for noun in recall(spec.record, "host") if isinstance(noun, Instance)]
    assert [noun.assigned.number for noun in instances] == [500]


def test_sixty_four_at_once_have_sixty_four_numbers_and_addresses(site: Site, tiny: Image) -> None:
    big = site.caller("big", quota={})
    flat = network.flat(big, site.core, POOL)
    with ThreadPoolExecutor(16) as threads:
        pairs = list(threads.map(lambda _: one(site, big, tiny, flat), range(64)))
    assert {number for number, _ in pairs} == set(range(500, 564))
    assert {address for _, address in pairs} == {f"10.0.0.{110 + place}" for place in range(64)}
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_of_two_with_one_number_the_younger_gets_another(site: Site, ann: Caller, tiny: Image, flat: Flat) -> None:
    for _ in range(2):
        one(site, ann, tiny, flat)
    young = numbered(site, ann, 501)
    assert young is not None
    with site.store.write() as tx:
        tx.limited = False
        tx.assign(young, msgspec.structs.replace(young.assigned, number=500))
        assert recover.recover(tx, {}, []).left == []
        assert recount.differences(tx) == []
    assert [view.instance.assigned.number for view in number.listing(ann, site.core)] == [500, 501]
    assert site.row(young.uuid).assigned.number == 501


def test_a_range_is_given_away_to_its_end(site: Site, ann: Caller, tiny: Image) -> None:
    flat = network.flat(ann, site.core, "10.0.0.1-10.0.0.2")
    assert [one(site, ann, tiny, flat)[1] for _ in range(2)] == ["10.0.0.1", "10.0.0.2"]
    with pytest.raises(NoCapacity) as caught:
        one(site, ann, tiny, flat)
    assert caught.value.reason == "addresses"
    assert len(number.listing(ann, site.core)) == 2, "nothing is left of what was refused"


def test_a_flat_network_is_made_once_and_changed_within_itself(site: Site, ann: Caller, tiny: Image) -> None:
    flat = network.flat(ann, site.core, POOL)
    assert network.flat(ann, site.core, POOL) == flat
    one(site, ann, tiny, flat)
    assert network.flat(ann, site.core, "10.0.0.105-10.0.0.120") == flat
    assert one(site, ann, tiny, flat) == (501, "10.0.0.105")
    for other in ("10.0.1.1-10.0.1.9", "10.0.0.1-10.0.0.20", "10.0.0.3-10.0.0.255", "nonsense"):
        with pytest.raises(InvalidValue):
            network.flat(ann, site.core, other)
