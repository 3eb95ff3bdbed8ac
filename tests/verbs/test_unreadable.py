"""A damaged row stops nothing but itself: reports, lists, loops and the doctor go on, and a recovery makes it anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import literal_column, update

from pileus.loops.runner import resync
from pileus.model.caller import SYSTEM
from pileus.model.errors import DamagedRow, NotFound, Unavailable
from pileus.model.flavor import Flavor
from pileus.model.floatingip import FloatingIp
from pileus.model.host import Host
from pileus.model.instance import Instance, State, state
from pileus.model.network import Network
from pileus.model.port import Port
from pileus.model.router import Router
from pileus.model.securitygroup import SecurityGroup
from pileus.model.spec import NetworkSpec
from pileus.model.subnet import Subnet
from pileus.model.volume import Volume
from pileus.rules import find, recount
from pileus.store import tables
from pileus.store.cache import Cache
from pileus.store.rows import encode
from pileus.verbs import doctor, flavor, floatingip
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch
from tests.databases import SERVER
from tests.loops.test_recover import Process

if TYPE_CHECKING:
    from sqlalchemy import Table

    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.noun import Noun
    from tests.site import Site


@pytest.fixture
def admin(site: Site) -> Caller:
    return site.caller("root", admin=True)


@pytest.fixture
def rows(site: Site, ann: Caller, tiny: Image) -> list[Instance]:
    """Three instances that run; the second one's row is damaged."""
    instances = site.launch(ann, Launch(image=tiny.uuid, flavor="m1.tiny", least=3, most=3))
    site.settle()
    damage(site, Instance, instances[1].uuid)
    return instances


def damage(site: Site, cls: type[Noun], uuid: str, column: str = "assigned") -> None:
    table = tables.nouns[cls.KIND]
    with site.store.write() as tx:
        tx.sql.execute(update(table).where(table.c.uuid == uuid).values(**{column: '{"host": 7'}))
    site.store._cache = Cache()


def test_its_project_its_host_and_the_others_go_on(site: Site, ann: Caller, rows: list[Instance]) -> None:
    first, bad, other = rows
    with site.store.read() as tx:
        assert [row.uuid for row in tx.list(Instance, project=ann.project)] == [first.uuid, other.uuid]
        page = tx.list(Instance, project=ann.project, limit=2)
        assert [row.uuid for row in page] == [first.uuid, other.uuid], "a page is whole"
    power.stop(ann, site.core, [first.uuid])
    resync(site.core)
    site.settle()
    assert state(site.row(first.uuid)) is State.STOPPED, "its host's reports are taken in"
    with pytest.raises(Unavailable, match="damaged") as caught:
        power.stop(ann, site.core, [bad.uuid])
    assert (caught.value.ident, type(caught.value)) == (bad.ec2_id, DamagedRow)


def test_it_is_not_told_to_strangers(site: Site, rows: list[Instance]) -> None:
    stranger = site.caller("green")
    with site.store.read() as tx, pytest.raises(NotFound):
        find.by_ec2(stranger, tx, Instance, [rows[1].ec2_id])
    with site.store.read() as tx, pytest.raises(NotFound):
        find.known(stranger, tx, Instance, [rows[1].uuid])


def test_the_doctor_names_it_and_mends_nothing_away_from_it(site: Site, admin: Caller, rows: list[Instance]) -> None:
    bad = rows[1]
    with site.store.read() as tx:
        before, used = tx.claims(uuid=bad.uuid), tx.usage()
    assert before
    findings = [(finding.code, finding.ident) for finding in doctor.look(admin, site.core).findings]
    assert findings == [("RowUnreadable", bad.uuid)]
    assert doctor.mend(admin, site.core) == []
    with site.store.read() as tx:
        assert (tx.claims(uuid=bad.uuid), tx.usage()) == (before, used)


def test_its_wake_is_no_busy_loop(site: Site, rows: list[Instance]) -> None:
    bad = rows[1]
    with site.store.write() as tx:
        tx.wake_all(Instance.KIND, [bad.uuid])
        tx.wake_all(Flavor.KIND, [bad.uuid])
    assert site.work() < 10
    with site.store.read() as tx:
        due = tx.due(Instance.KIND, bad.uuid)
    assert due is None or due > site.now


def test_a_host_whose_row_is_damaged_takes_no_other_with_it(site: Site, ann: Caller, tiny: Image) -> None:
    site.host("h2")
    with site.store.read() as tx:
        first = next(host for host in tx.list(Host) if host.name == "h1")
    damage(site, Host, first.uuid, "seen")
    site.hear("h1")
    site.hear("h2")
    (instance,) = site.launch(ann, Launch(image=tiny.uuid, flavor="m1.tiny"))
    site.settle()
    assert instance.assigned.host == "h2"
    assert state(site.row(instance.uuid)) is State.RUNNING


def test_a_recovery_makes_the_row_of_a_host_anew(site: Site, ann: Caller, tiny: Image) -> None:
    (instance,) = site.launch(ann, Launch(image=tiny.uuid, flavor="m1.tiny"))
    site.settle()
    with site.store.read() as tx:
        (host,) = tx.list(Host)
    damage(site, Host, host.uuid, "wanted")
    process = Process(site)
    process.recovery._asked = True
    process.opened()
    site.settle()
    with site.store.read() as tx:
        (anew,) = tx.list(Host)
    assert (anew.uuid, anew.name, anew.wanted.state) == (host.uuid, host.name, "active")
    power.stop(ann, site.core, [instance.uuid])
    site.settle()
    assert state(site.row(instance.uuid)) is State.STOPPED


def test_an_instance_waits_for_its_end_while_its_ports_row_is_damaged(site: Site, ann: Caller, tiny: Image) -> None:
    (instance,) = site.launch(ann, Launch(image=tiny.uuid, flavor="m1.tiny"))
    site.settle()
    with site.store.read() as tx:
        (port,) = tx.referring(Port, [instance.uuid])
    damage(site, Port, port.uuid)
    power.terminate(ann, site.core, [instance.uuid])
    site.settle()
    assert site.row(instance.uuid).gone is None, "nobody knows whether the engine let go of the port"


@pytest.mark.parametrize("cls", [Port, Volume, FloatingIp])
def test_an_instance_ends_when_what_was_damaged_at_its_termination_can_be_read_again(
    site: Site, ann: Caller, tiny: Image, cls: type[Noun]
) -> None:
    (instance,) = site.launch(ann, Launch(image=tiny.uuid, flavor="m1.tiny"))
    address = floatingip.allocate(ann, site.core)
    floatingip.associate(ann, site.core, address.uuid, instance=instance.uuid)
    site.settle()
    with site.store.read() as tx:
        (bad,) = tx.list(FloatingIp) if cls is FloatingIp else tx.referring(cls, [instance.uuid])
    damage(site, cls, bad.uuid, "wanted")
    power.terminate(ann, site.core, [instance.uuid])
    site.settle()
    assert site.row(instance.uuid).gone is None
    put_back(site, cls, bad.uuid, bad.wanted)
    site.settle()
    assert site.row(instance.uuid).gone is not None
    with site.store.read() as tx:
        assert recount.differences(tx) == []
        assert [row.wanted.port for row in tx.list(FloatingIp)] == [None]


@pytest.mark.parametrize("cls", [Port, Volume, SecurityGroup, Subnet])
def test_a_host_is_given_no_order_that_lacks_what_a_damaged_row_describes(
    site: Site, ann: Caller, tiny: Image, cls: type[Noun]
) -> None:
    """It would take from the body what its order does not name."""
    (instance,) = site.launch(ann, Launch(image=tiny.uuid, flavor="m1.tiny"))
    site.settle()
    before = site.agents["h1"].book.entries[instance.uuid].spec
    with site.store.read() as tx:
        (port,) = tx.referring(Port, [instance.uuid])
        named = {SecurityGroup: port.wanted.groups[0], Subnet: port.wanted.subnet}
        bad = tx.need(cls, named.get(cls) or tx.referring(cls, [instance.uuid])[0].uuid)
    damage(site, cls, bad.uuid, "wanted")
    power.stop(ann, site.core, [instance.uuid])
    resync(site.core)
    site.settle()
    assert site.agents["h1"].book.entries[instance.uuid].spec == before
    put_back(site, cls, bad.uuid, bad.wanted)
    resync(site.core)
    site.settle()
    assert state(site.row(instance.uuid)) is State.STOPPED


def test_a_network_keeps_the_subnet_whose_row_is_damaged(site: Site, ann: Caller, rows: list[Instance]) -> None:
    with site.store.read() as tx:
        (bad,) = tx.list(Subnet, project=ann.project)
    (before,) = [spec for spec in site.engine.specs.values() if isinstance(spec, NetworkSpec)]
    damage(site, Subnet, bad.uuid, "wanted")
    resync(site.core)
    site.settle()
    assert [spec for spec in site.engine.specs.values() if isinstance(spec, NetworkSpec)] == [before]


def test_a_router_keeps_its_address_while_its_networks_row_is_damaged(
    site: Site, ann: Caller, rows: list[Instance]
) -> None:
    with site.store.read() as tx:
        (network,), (router,) = tx.list(Network, project=ann.project), tx.list(Router, project=ann.project)
    assert router.assigned.address
    damage(site, Network, network.uuid, "wanted")
    resync(site.core)
    site.settle()
    with site.store.read() as tx:
        assert tx.need(Router, router.uuid).assigned.address == router.assigned.address


def test_what_every_cloud_has_is_made_beside_a_damaged_flavor(site: Site, ann: Caller) -> None:
    with site.store.read() as tx:
        flavor_row = tx.list(Flavor)[0]
    damage(site, Flavor, flavor_row.uuid, "wanted")
    assert flavor.seed(SYSTEM, site.core) == []


def test_a_recovery_makes_it_anew_of_what_its_host_holds(site: Site, ann: Caller, rows: list[Instance]) -> None:
    bad = rows[1]
    process = Process(site)
    process.recovery._asked = True
    process.opened()
    site.settle()
    row = site.row(bad.uuid)
    assert (state(row), row.ec2_id, row.assigned.host) == (State.RUNNING, bad.ec2_id, "h1")
    with site.store.read() as tx:
        assert recount.differences(tx) == []
        assert not tx.unreadable


OTHER_TYPES = [
    (Instance, "created"),
    (Instance, "generation"),
    (Instance, "counter"),
    (Port, "counter"),
    (Port, "gone"),
]


@pytest.mark.parametrize(("cls", "column"), OTHER_TYPES)
def test_a_column_of_another_type_is_a_damaged_row(
    site: Site, ann: Caller, admin: Caller, tiny: Image, cls: type[Noun], column: str
) -> None:
    only_in_sqlite()
    instances = site.launch(ann, Launch(image=tiny.uuid, flavor="m1.tiny", least=2, most=2))
    site.settle()
    with site.store.read() as tx:
        bad = tx.list(cls)[0]
    put(site, tables.nouns[cls.KIND], bad.id, column)
    resync(site.core)
    with site.store.read() as tx:
        assert bad.uuid not in {row.uuid for row in tx.list(cls)}
    assert ("RowUnreadable", bad.uuid) in {
        (finding.code, finding.ident) for finding in doctor.look(admin, site.core).findings
    }
    power.stop(ann, site.core, [instances[1].uuid])
    site.settle()
    assert state(site.row(instances[1].uuid)) is State.STOPPED


@pytest.mark.parametrize("column", ["goal", "at"])
def test_a_damaged_line_of_the_journal_stops_nobody(
    site: Site, ann: Caller, admin: Caller, tiny: Image, column: str
) -> None:
    only_in_sqlite()
    first, second = site.launch(ann, Launch(image=tiny.uuid, flavor="m1.tiny", least=2, most=2))
    site.settle()
    power.stop(ann, site.core, [first.uuid])
    with site.store.read() as tx:
        (line,) = tx.journal(open_only=True)
    put(site, tables.journal, line.id, column)
    site.settle()
    assert state(site.row(first.uuid)) is State.STOPPED
    power.stop(ann, site.core, [second.uuid])
    site.settle()
    with site.store.read() as tx:
        assert tx.journal(open_only=True) == []
        newest = tx.journal(limit=2)
        assert len(newest) == 2, "a page is whole"
    assert line.id not in {entry.id for entry in newest}
    findings = [(finding.code, finding.kind, finding.ident) for finding in doctor.look(admin, site.core).findings]
    assert findings == [("RowUnreadable", "journal", str(line.id))]
    site.store.shorten_journal()


@pytest.mark.parametrize(("cls", "column"), [(Instance, "wanted"), (Port, "name"), (Flavor, "tags")])
def test_a_text_that_is_none_in_utf8_is_a_damaged_row(
    site: Site, ann: Caller, admin: Caller, tiny: Image, cls: type[Noun], column: str
) -> None:
    """The driver decodes texts itself, and refused the whole answer for one of them."""
    only_in_sqlite()
    (instance,) = site.launch(ann, Launch(image=tiny.uuid, flavor="m1.tiny"))
    site.settle()
    with site.store.read() as tx:
        bad = next(row for row in tx.list(cls) if row.uuid != instance.wanted.flavor)
    put(site, tables.nouns[cls.KIND], bad.id, column, "CAST(x'7b22ff' AS TEXT)")
    resync(site.core)
    with site.store.read() as tx:
        assert bad.uuid not in {row.uuid for row in tx.list(cls)}
    assert ("RowUnreadable", bad.uuid) in {
        (finding.code, finding.ident) for finding in doctor.look(admin, site.core).findings
    }


def test_a_row_that_was_kept_decoded_when_it_was_damaged_lacks_no_claim(
    site: Site, ann: Caller, rows: list[Instance]
) -> None:
    with site.store.read() as tx:
        assert recount.differences(tx) == []
        bad = tx.list(SecurityGroup)[0]
    table = tables.nouns[SecurityGroup.KIND]
    with site.store.engine.write() as connection:
        connection.execute(update(table).where(table.c.uuid == bad.uuid).values(wanted="{"))
    with site.store.read() as tx:
        assert bad.uuid not in {row.uuid for row in tx.list(SecurityGroup, project=ann.project)}
        assert bad.uuid in {row.uuid for row in tx.list(SecurityGroup)}
        assert recount.differences(tx) == []


def only_in_sqlite() -> None:
    if SERVER:
        pytest.skip("a server holds every column to its type")


def put_back(site: Site, cls: type[Noun], uuid: str, wanted: object) -> None:
    table = tables.nouns[cls.KIND]
    with site.store.write() as tx:
        tx.sql.execute(update(table).where(table.c.uuid == uuid).values(wanted=encode(wanted)))
    site.store._cache = Cache()
    site.now += 60


def put(site: Site, table: Table, ident: int, column: str, value: str = "'x'") -> None:
    with site.store.engine.write() as connection:
        connection.execute(update(table).where(table.c.id == ident).values({column: literal_column(value)}))
    site.store._cache = Cache()


def test_a_port_does_not_get_a_second_address_beside_one_that_cannot_be_read(
    site: Site, ann: Caller, rows: list[Instance]
) -> None:
    first, second = (floatingip.allocate(ann, site.core) for _ in range(2))
    floatingip.associate(ann, site.core, first.uuid, instance=rows[0].uuid)
    damage(site, FloatingIp, first.uuid, "tags")
    with pytest.raises(Unavailable, match="damaged"):
        floatingip.associate(ann, site.core, second.uuid, instance=rows[0].uuid)
    with site.store.read() as tx:
        assert tx.need(FloatingIp, second.uuid).wanted.port is None
