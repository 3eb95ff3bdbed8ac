"""Two instances with one address after a recovery: who keeps it, and that the other gets one of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model.floatingip import FloatingIp
from pileus.model.floatingip import Wanted as FloatingWanted
from pileus.model.ids import new_uuid
from pileus.model.port import Port
from pileus.model.subnet import Ipv6Block, Subnet
from pileus.rules import contest, network, recount
from pileus.verbs.instance.launch import Launch

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.instance import Instance
    from pileus.store.writer import Writer
    from tests.site import Site


def _share(tx: Writer, first: Instance, second: Instance) -> None:
    """Both instances have the addresses of the first, as after a recovery."""
    tx.limited = False
    ports = {port.wanted.instance: port for port in tx.referring(Port, [first.uuid, second.uuid])}
    shared_address = ports[first.uuid].assigned.address
    tx.assign(ports[second.uuid], msgspec.structs.replace(ports[second.uuid].assigned, address=shared_address))
    tx.assign(second, msgspec.structs.replace(second.assigned, loopback=first.assigned.loopback))
    recount.set_right(tx)


def _addresses(tx: Writer, row: Instance) -> tuple[str, str]:
    return tx.referring(Port, [row.uuid])[0].assigned.address, tx.need(type(row), row.uuid).assigned.loopback


@pytest.mark.parametrize(
    ("evidence", "who"),
    [
        ((contest.WHOLE, contest.PART), ["second"]),
        ((contest.PART, contest.WHOLE), ["first"]),
        ((contest.PART, contest.UNHEARD), ["first"]),
        ((contest.PART, contest.PART), ["second"]),
        ((contest.PART, contest.NOTHING), ["second"]),
        ((contest.WHOLE, contest.WHOLE), []),
    ],
)
def test_the_instance_with_less_evidence_yields(
    site: Site, ann: Caller, tiny: Image, evidence: tuple[int, int], who: list[str]
) -> None:
    first, second = site.launch(ann, Launch(image=tiny.uuid, most=2))
    names, weights = (
        {first.uuid: "first", second.uuid: "second"},
        dict(zip((first.uuid, second.uuid), evidence, strict=True)),
    )
    with site.store.write() as tx:
        _share(tx, first, second)
        assert [names[row.uuid] for row, _ in contest.losers(tx, lambda row: weights[row.uuid])] == who


def test_who_yields_gets_addresses_of_its_own(site: Site, ann: Caller, tiny: Image) -> None:
    first, second = site.launch(ann, Launch(image=tiny.uuid, most=2))
    with site.store.write() as tx:
        _share(tx, first, second)
        first_addresses = _addresses(tx, first)
        contest.move(tx, tx.need(type(second), second.uuid))
        assert recount.set_right(tx) == []
        assert _addresses(tx, first) == first_addresses
        assert not set(_addresses(tx, second)) & set(first_addresses)
        assert contest.contested(tx) == {}


def test_who_yields_gets_further_addresses_and_those_of_ipv6_of_its_own(site: Site, ann: Caller, tiny: Image) -> None:
    first, second = site.launch(ann, Launch(image=tiny.uuid, most=2))
    with site.store.write() as tx:
        ports = {port.wanted.instance: port for port in tx.referring(Port, [first.uuid, second.uuid])}
        subnet = tx.need(Subnet, ports[first.uuid].wanted.subnet)
        block = Ipv6Block(id="b", cidr="fd00:1:2:3::/64")
        tx.want(subnet, msgspec.structs.replace(subnet.wanted, ipv6=block))
        (spare,) = network.free_addresses(tx, subnet, 1, 1)
        tx.limited = False
        for port in ports.values():
            further = msgspec.structs.replace(port.assigned, secondaries=(spare,), ipv6=("fd00:1:2:3::5",))
            tx.assign(port, further)
        assert recount.set_right(tx) != []
        ((row, _),) = contest.losers(tx, lambda _: contest.PART)
        floating = tx.add(
            FloatingIp(
                uuid=new_uuid(),
                project=ann.project,
                wanted=FloatingWanted(port=ports[row.uuid].uuid, association="eipassoc-1", private=spare),
            )
        )
        contest.move(tx, row)
        assert recount.set_right(tx) == []
        assert contest.contested(tx) == {}
        own = [tx.need(Port, port.uuid).assigned for port in ports.values()]
        moved = tx.need(FloatingIp, floating.uuid)
        assert moved.private_address(ports[row.uuid]) in tx.need(Port, ports[row.uuid].uuid).assigned.secondaries
        assert [(len(each.secondaries), len(each.ipv6)) for each in own] == [(1, 1), (1, 1)]
        assert {each.address for each in own} == {port.assigned.address for port in ports.values()}


def test_a_port_that_is_to_go_leaves_its_addresses_to_one_that_stays(site: Site, ann: Caller, tiny: Image) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    with site.store.write() as tx:
        tx.limited = False
        port = tx.referring(Port, [row.uuid])[0]
        going = [
            msgspec.structs.replace(
                port,
                uuid=new_uuid(),
                created=1.0,
                wanted=msgspec.structs.replace(port.wanted, instance=new_uuid(), gone=True),
                assigned=msgspec.structs.replace(port.assigned, mac=mac, loopback="127.77.0.99"),
            )
            for mac in ("02:50:00:00:00:01", "02:50:00:00:00:02")
        ]
        tx.add_all(going)
        assert recount.set_right(tx) != []
        assert tx.claimed(f"subnet:{port.wanted.subnet}", port.assigned.address) == ("port", port.uuid)
        for each in going:
            contest.leave(tx, each)
        assert recount.set_right(tx) == []
        assert contest.contested(tx) == {}
