"""The doctor's part of the store: nothing to find in one that only verbs and loops wrote; what is planted is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model.errors import Forbidden, NotFound
from pileus.model.floatingip import FloatingIp
from pileus.model.ids import new_uuid
from pileus.model.image import shared_with
from pileus.model.natgateway import NatGateway
from pileus.model.noun import SeenFault
from pileus.model.peering import Peering
from pileus.model.port import Port
from pileus.model.port import Wanted as PortWanted
from pileus.model.provider import BodyRef, SeenBody
from pileus.model.spec import InstanceSpec
from pileus.model.views import StoreView
from pileus.model.volume import Volume
from pileus.rules import doctor as doctor_rules
from pileus.rules.routetable import gateway_of
from pileus.store import tables
from pileus.verbs import doctor, image, peering
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch
from tests import nouns

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.instance import Instance
    from tests.site import Site


@pytest.fixture
def admin(site: Site) -> Caller:
    return site.caller("root", admin=True)


@pytest.fixture
def row(site: Site, ann: Caller, tiny: Image) -> Instance:
    """An instance that runs."""
    instance = site.launch(ann, Launch(image=tiny.uuid, flavor="m1.tiny"))[0]
    site.settle()
    return site.row(instance.uuid)


def nobody() -> Port:
    return Port(uuid=new_uuid(), wanted=PortWanted(network="", subnet=""))


def codes(view: StoreView) -> list[tuple[str, str]]:
    return [(finding.code, finding.ident) for finding in view.findings]


def test_a_store_that_only_verbs_and_loops_wrote_is_well(site: Site, admin: Caller, row: Instance) -> None:
    view = doctor.look(admin, site.core)
    assert codes(view) == []
    assert [(entry.uuid, entry.host, entry.settled, entry.gone) for entry in view.instances] == [
        (row.uuid, "h1", True, False)
    ]
    kinds = {entry.kind for entry in view.engine}
    assert kinds == {"router", "network", "port", "securitygroup"}
    assert all(entry.settled and not entry.gone for entry in view.engine)
    assert view.highest >= row.revision
    assert view.now - 10 < view.newest <= view.now
    assert msgspec.convert(msgspec.to_builtins(view), StoreView) == view, "it crosses HTTP"


def test_what_ended_stays_in_view_as_a_tombstone(site: Site, ann: Caller, admin: Caller, row: Instance) -> None:
    power.terminate(ann, site.core, [row.uuid])
    site.settle()
    view = doctor.look(admin, site.core)
    assert codes(view) == []
    assert [(entry.gone, entry.settled) for entry in view.instances] == [(True, False)]
    assert [(entry.gone, entry.settled) for entry in view.engine if entry.kind == "port"] == [(True, False)]


def test_leaks_of_claims_usage_and_wakes_are_found_and_mended(site: Site, admin: Caller, row: Instance) -> None:
    lost = nobody()
    with site.store.write() as tx:
        tx.claim("mac", "02:50:00:00:00:99", lost)
        tx.unclaim("loopback", row.assigned.loopback, row.uuid)
        tx.count({(f"project:{row.project}", "vcpus"): 2})
        tx.wake(lost, site.now + 5)
    wrong = {
        ("ClaimLeaked", "mac 02:50:00:00:00:99"),
        ("ClaimMissing", f"loopback {row.assigned.loopback}"),
        ("UsageWrong", f"project:{row.project} vcpus"),
        ("WakeLeaked", lost.uuid),
    }
    assert set(codes(doctor.look(admin, site.core))) == wrong
    assert doctor.mend(admin, site.core) == []
    assert codes(doctor.look(admin, site.core)) == []


def test_rows_that_cannot_go_on_are_found(site: Site, admin: Caller, row: Instance) -> None:
    with site.store.write() as tx:
        tx.see(tx.need(type(row), row.uuid), msgspec.structs.replace(row.seen, fault=SeenFault(code="X", message="y")))
        port = tx.referring(Port, [row.uuid])[0]
        tx.want(port, msgspec.structs.replace(port.wanted, subnet=new_uuid()))
    finding_codes = codes(doctor.look(admin, site.core))
    assert ("RowFaulty", row.uuid) in finding_codes
    assert ("ReferenceBroken", port.uuid) in finding_codes


def test_requests_and_wakes_that_wait_too_long_and_silent_hosts_are_found(
    site: Site, ann: Caller, admin: Caller, row: Instance
) -> None:
    power.stop(ann, site.core, [row.uuid])
    site.now += doctor_rules.PATIENCE + 1
    assert {code for code, _ in codes(doctor.look(admin, site.core))} == {"RowWaits", "WakeLate", "HostSilent"}
    site.settle(12)
    assert codes(doctor.look(admin, site.core)) == []


def test_only_what_is_known_to_be_gone_is_swept(site: Site, ann: Caller, admin: Caller, row: Instance) -> None:
    with site.store.read() as tx:
        port = tx.referring(Port, [row.uuid])[0]
    for kind, uuid in (("port", port.uuid), ("port", new_uuid()), ("image", row.wanted.image)):
        with pytest.raises(NotFound):
            doctor.sweep(admin, site.core, kind, uuid)
    power.terminate(ann, site.core, [row.uuid])
    site.settle()
    site.engine.bodies["port", port.uuid] = SeenBody(kind="port", uuid=port.uuid, revision=port.revision)
    doctor.sweep(admin, site.core, "port", port.uuid)
    assert site.engine.observe(BodyRef(kind="port", uuid=port.uuid)) is None


def test_an_order_for_an_instance_that_is_gone_is_taken_back(
    site: Site, ann: Caller, admin: Caller, row: Instance
) -> None:
    agent = site.agents["h1"]
    book_entry = agent.book.entries[row.uuid]
    power.terminate(ann, site.core, [row.uuid])
    site.settle()
    agent.book.removed.clear()
    agent.book.keep(book_entry)
    agent.provider.ensure(book_entry.spec)  # type: ignore[arg-type]
    doctor.sweep(admin, site.core, "instance", row.uuid)
    assert site.sent
    site.settle()
    assert row.uuid not in agent.book.entries
    assert agent.provider.observe(BodyRef(kind="instance", uuid=row.uuid)) is None
    assert codes(doctor.look(admin, site.core)) == []


def test_an_instance_that_no_row_names_is_taken_in_and_goes_on(
    site: Site, ann: Caller, admin: Caller, row: Instance
) -> None:
    book_entry = site.agents["h1"].book.entries[row.uuid]
    assert isinstance(book_entry.spec, InstanceSpec)
    with site.store.write() as tx:
        for noun in (row, *tx.referring(Port, [row.uuid]), *tx.referring(Volume, [row.uuid])):
            tx.make_tombstone(noun)
            tx.sql.execute(tables.nouns[noun.KIND].delete().where(tables.nouns[noun.KIND].c.uuid == noun.uuid))
            tx.unwake(noun.KIND, noun.uuid)
    doctor.mend(admin, site.core)
    assert doctor.look(admin, site.core).instances == ()
    with pytest.raises(Forbidden):
        doctor.adopt(ann, site.core, book_entry.spec, "h1", book_entry.body)
    doctor.adopt(admin, site.core, book_entry.spec, "h1", book_entry.body)
    site.settle()
    view = doctor.look(admin, site.core)
    assert codes(view) == []
    assert [(entry.uuid, entry.host, entry.settled) for entry in view.instances] == [(row.uuid, "h1", True)]
    power.terminate(ann, site.core, [row.uuid])
    site.settle()
    assert codes(doctor.look(admin, site.core)) == []
    assert row.uuid not in site.agents["h1"].book.entries


def test_only_administrators_examine(site: Site, ann: Caller) -> None:
    for refused in (doctor.look, doctor.mend):
        with pytest.raises(Forbidden):
            refused(ann, site.core)
    with pytest.raises(Forbidden):
        doctor.sweep(ann, site.core, "port", new_uuid())


def test_gateways_and_links_that_lead_nowhere_are_told(site: Site, admin: Caller, ann: Caller) -> None:
    nouns.make_natgateway(ann, site.core)
    nouns.make_peering(ann, site.core)
    site.work()
    with site.store.read() as tx:
        (link,) = tx.list(Peering, project=ann.project)
        (nat,) = tx.list(NatGateway, project=ann.project)
    peering.accept(ann, site.core, link.uuid)
    site.work()
    assert codes(doctor.look(admin, site.core)) == []
    with site.store.write() as tx:
        floating = tx.need(FloatingIp, nat.wanted.floatingip)
        tx.assign(floating, msgspec.structs.replace(floating.assigned, address=""))
        active = tx.need(Peering, link.uuid)
        tx.assign(active, msgspec.structs.replace(active.assigned, link=0))
    finding_codes = codes(doctor.look(admin, site.core))
    assert {("NatGatewayCutOff", nat.uuid), ("PeeringUnlinked", link.uuid)} <= {*finding_codes}


def test_a_nat_gateway_without_a_way_out_is_told(site: Site, admin: Caller, ann: Caller) -> None:
    nouns.make_natgateway(ann, site.core)
    with site.store.write() as tx:
        (nat,) = tx.list(NatGateway, project=ann.project)
        gateway = gateway_of(tx, nat.wanted.router)
        assert gateway is not None
        tx.want(gateway, msgspec.structs.replace(gateway.wanted, router=None))
    assert ("NatGatewayCutOff", nat.uuid) in codes(doctor.look(admin, site.core))


def test_a_share_that_an_earlier_version_wrote_is_found_and_mended(site: Site, ann: Caller, admin: Caller) -> None:
    """A process of before decision 0059 writes the row of an image, and no claim of its audience."""
    picture = site.image(ann, "own", public=False)
    friend = msgspec.structs.replace(site.caller("friend"), account_id="123456789012")
    picture = image.modify(ann, site.core, picture.uuid, image.ImageChange(add=(friend.account_id,)))
    pool = shared_with(friend.account_id)
    with site.store.write() as tx:
        tx.unclaim(pool, picture.uuid, picture.uuid)
    assert picture.uuid not in {each.uuid for each in image.listing(friend, site.core)}
    assert codes(doctor.look(admin, site.core)) == [("ClaimMissing", f"{pool} {picture.uuid}")]
    assert doctor.mend(admin, site.core) == []
    assert picture.uuid in {each.uuid for each in image.listing(friend, site.core)}
    assert codes(doctor.look(admin, site.core)) == []
