"""Claims and usage that are wrong are found and set right, and what runs keeps its address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.port import Port
from pileus.rules import recount, securitygroup
from pileus.verbs import floatingip
from pileus.verbs.instance import launch
from pileus.verbs.instance.launch import Launch

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site


def test_nothing_is_changed_where_all_is_well(site: Site, ann: Caller, tiny: Image) -> None:
    site.launch(ann, Launch(image=tiny.uuid, most=2))
    with site.store.write() as tx:
        before = sorted(tx.claims()), tx.usage()
        assert recount.set_right(tx) == []
        assert (sorted(tx.claims()), tx.usage()) == before


def test_what_was_spoiled_is_found_and_set_right(site: Site, ann: Caller, tiny: Image) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    with site.store.write() as tx:
        before = sorted(tx.claims()), tx.usage()
        tx.unclaim("loopback", row.assigned.loopback, row.uuid)
        tx.claim("mac", "02:50:00:00:00:01", row)
        tx.count({(f"project:{row.project}", "vcpus"): 3})
        assert [what.split(":")[0] for what in recount.differences(tx)] == [
            "claim without a right",
            "claim missing",
            "usage of ('project",
        ]
        assert recount.set_right(tx) == []
        assert (sorted(tx.claims()), tx.usage()) == before


def test_what_runs_keeps_an_address_that_two_have(site: Site, ann: Caller, tiny: Image) -> None:
    first, second = site.launch(ann, Launch(image=tiny.uuid, most=2))
    with site.store.write() as tx:
        tx.limited = False
        ports = {port.wanted.instance: port for port in tx.referring(Port, [first.uuid, second.uuid])}
        address = ports[first.uuid].assigned.address
        tx.assign(ports[second.uuid], msgspec.structs.replace(ports[second.uuid].assigned, address=address))
        tx.see(second, msgspec.structs.replace(second.seen, running=True))
        pool = f"subnet:{ports[first.uuid].wanted.subnet}"
        differences = recount.set_right(tx)
        assert tx.claimed(pool, address) == ("port", ports[second.uuid].uuid)
        assert differences == [f"claim missing: {(pool, address, ports[first.uuid].uuid)}"]


def test_a_launch_finds_the_address_that_was_set_free(site: Site, ann: Caller, tiny: Image) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    with site.store.write() as tx:
        port = tx.referring(Port, [row.uuid])[0]
        tx.claim(f"subnet:{port.wanted.subnet}", "172.31.0.5", row)
        recount.set_right(tx)
    other = launch.launch(ann, site.core, Launch(image=tiny.uuid))[0]
    with site.store.read() as tx:
        assert tx.referring(Port, [other])[0].assigned.address == "172.31.0.5"


def test_a_router_leaves_its_address_to_a_floating_one(site: Site, ann: Caller) -> None:
    """Its user knows the one, and nobody the other: a router is given another address."""
    floating = floatingip.allocate(ann, site.core)
    with site.store.write() as tx:
        tx.limited = False
        router = securitygroup.default_router(ann, tx)
        tx.free(floating.uuid)
        tx.assign(router, msgspec.structs.replace(router.assigned, address=floating.assigned.address))
        assert tx.claimed("floating", floating.assigned.address) == ("router", router.uuid)
        differences = recount.set_right(tx)
        assert tx.claimed("floating", floating.assigned.address) == ("floatingip", floating.uuid)
        assert differences == [f"claim missing: {('floating', floating.assigned.address, router.uuid)}"]
