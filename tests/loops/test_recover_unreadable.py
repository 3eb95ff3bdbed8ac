"""A database that is an old copy, and has rows that cannot be read: what was ended since is not there again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.loops.runner import resync
from pileus.model.flavor import Flavor
from pileus.model.host import LOST_AFTER
from pileus.model.instance import Instance, State, state
from pileus.model.port import Port
from pileus.model.securitygroup import SecurityGroup
from pileus.model.volume import Volume
from pileus.rules import recount
from pileus.verbs import securitygroup
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch
from tests.loops.test_recover import Process, copied, replaced
from tests.verbs.test_unreadable import damage, put_back

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.noun import Noun
    from tests.site import Site


@pytest.fixture
def row(site: Site, ann: Caller, tiny: Image) -> Instance:
    """An instance that runs."""
    (instance,) = site.launch(ann, Launch(image=tiny.uuid))
    site.settle()
    return site.row(instance.uuid)


def damage_owned(site: Site, row: Instance, cls: type[Noun]) -> str:
    """Damage the instance's port or volume; its uuid."""
    with site.store.read() as tx:
        (owned,) = tx.referring(cls, [row.uuid])
    damage(site, cls, owned.uuid)
    return owned.uuid


def test_an_instance_whose_port_the_engine_removed_stays_terminated(site: Site, ann: Caller, row: Instance) -> None:
    copy = copied(site)
    power.terminate(ann, site.core, [row.uuid])
    site.work()
    assert not any(kind == Port.KIND for kind, _ in site.engine.specs)
    site.sent.clear()  # its host never hears of it
    replaced(site, copy)
    damage_owned(site, row, Port)
    Process(site).opened()
    assert site.row(row.uuid).wanted.gone
    site.settle()
    assert site.row(row.uuid).gone is not None
    with site.store.read() as tx:
        assert not tx.list(Port)
        assert recount.differences(tx) == []
        assert not tx.unreadable


@pytest.mark.parametrize("damaged", [(Instance,), (Instance, Port), (Instance, Volume)])
def test_an_unreadable_instance_that_its_host_removed_is_dropped(
    site: Site, ann: Caller, row: Instance, damaged: tuple[type[Noun], ...]
) -> None:
    copy = copied(site)
    power.terminate(ann, site.core, [row.uuid])
    site.settle()
    assert site.row(row.uuid).gone is not None
    replaced(site, copy)
    for cls in damaged[1:]:
        damage_owned(site, row, cls)
    damage(site, Instance, row.uuid)
    process = Process(site).opened()
    site.settle()
    assert process.recovery.outcome is not None
    assert process.recovery.outcome.removed == [row.ec2_id]
    with site.store.read() as tx:
        assert tx.get(Instance, row.uuid) is None
        assert tx.list(Port) == []
        assert tx.list(Volume) == []
        assert tx.journal(open_only=True) == []
        assert recount.differences(tx) == []
        assert not tx.unreadable


def test_an_unreadable_group_that_the_engine_removed_is_dropped(site: Site, ann: Caller, row: Instance) -> None:
    assert row.gone is None
    group = securitygroup.create(ann, site.core, "web", "the web")
    site.settle()
    copy = copied(site)
    securitygroup.delete(ann, site.core, group.uuid)
    site.settle()
    replaced(site, copy)
    damage(site, SecurityGroup, group.uuid, "wanted")
    process = Process(site).opened()
    assert process.recovery.outcome is not None
    assert process.recovery.outcome.removed == [group.ec2_id]
    with site.store.read() as tx:
        assert [group_row.name for group_row in tx.list(SecurityGroup)] == ["default"]
        assert recount.differences(tx) == []
        assert not tx.unreadable


def test_usage_is_lowered_once_every_row_can_be_read_again(site: Site, ann: Caller, row: Instance) -> None:
    used = (f"project:{ann.project}", "vcpus")
    with site.store.write() as tx:
        tx.count({used: 3})
        right = tx.usage()[used] - 3
    replaced(site, copied(site))
    with site.store.read() as tx:
        spare = next(candidate for candidate in tx.list(Flavor) if candidate.uuid != row.wanted.flavor)
    damage(site, Flavor, spare.uuid, "wanted")
    process = Process(site)
    process.recovery._asked = True
    process.opened()
    site.settle()
    resync(site.core)
    with site.store.read() as tx:
        assert tx.usage()[used] == right + 3, "nobody can tell that it was not the unreadable row's"
    put_back(site, Flavor, spare.uuid, spare.wanted)
    resync(site.core)
    with site.store.read() as tx:
        assert recount.differences(tx) == []
        assert tx.usage()[used] == right


def test_a_row_that_is_made_anew_beside_an_unreadable_one_is_not_counted_twice(
    site: Site, ann: Caller, row: Instance
) -> None:
    with site.store.read() as tx:
        before = tx.usage()
        spare = next(candidate for candidate in tx.list(Flavor) if candidate.uuid != row.wanted.flavor)
    replaced(site, copied(site))
    for cls in (Port, Volume):
        damage_owned(site, row, cls)
    damage(site, Instance, row.uuid)
    damage(site, Flavor, spare.uuid, "wanted")
    process = Process(site)
    process.recovery._asked = True
    process.opened()
    with site.store.read() as tx:
        assert [instance.uuid for instance in tx.list(Instance, project=ann.project)] == [row.uuid]
        assert tx.usage() == before


def test_what_was_asked_of_an_unreadable_instance_is_taken_from_the_journal(
    site: Site, ann: Caller, row: Instance
) -> None:
    power.reboot(ann, site.core, [row.uuid])
    power.stop(ann, site.core, [row.uuid])
    wanted = site.row(row.uuid).wanted
    replaced(site, copied(site))
    damage(site, Instance, row.uuid)
    process = Process(site)
    process.recovery._asked = True
    process.opened()
    assert site.row(row.uuid).wanted == wanted
    site.settle()
    assert state(site.row(row.uuid)) is State.STOPPED
    with site.store.read() as tx:
        assert tx.journal(open_only=True) == []


def test_an_unreadable_instance_that_was_being_terminated_ends(site: Site, ann: Caller, row: Instance) -> None:
    power.terminate(ann, site.core, [row.uuid])
    replaced(site, copied(site))
    damage(site, Instance, row.uuid)
    process = Process(site)
    process.recovery._asked = True
    process.opened()
    assert site.row(row.uuid).wanted.gone
    site.settle()
    assert site.row(row.uuid).gone is not None
    with site.store.read() as tx:
        assert (tx.list(Port), tx.list(Volume), tx.journal(open_only=True)) == ([], [], [])
        assert recount.differences(tx) == []


def test_an_instance_that_was_unreadable_in_the_recovery_is_ordered_in_its_incarnation(
    site: Site, ann: Caller, tiny: Image
) -> None:
    (row,) = site.launch(ann, Launch(image=tiny.uuid))
    site.work()
    site.sent.clear()  # its host never hears of it
    row = site.row(row.uuid)
    replaced(site, copied(site))
    damage(site, Instance, row.uuid, "wanted")
    process = Process(site)
    process.recovery._asked = True
    process.opened()
    put_back(site, Instance, row.uuid, row.wanted)
    resync(site.core)
    site.settle()
    assert state(site.row(row.uuid)) is State.RUNNING
    with site.store.read() as tx:
        assert recount.differences(tx) == []
    power.terminate(ann, site.core, [row.uuid])
    site.settle()
    assert site.row(row.uuid).gone is not None


def test_an_instance_that_was_unreadable_waits_for_a_host_that_the_store_was_recovered_without(
    site: Site, ann: Caller, row: Instance
) -> None:
    site.host("h2")
    copy = copied(site)
    power.stop(ann, site.core, [row.uuid])
    site.settle()
    replaced(site, copy)
    damage(site, Instance, row.uuid, "wanted")
    process = Process(site, silent=("h1",))
    process.recovery._asked = True
    process.recovery.tick()
    process.hear("h2")
    site.now += LOST_AFTER + 1
    process.recovery.tick()
    assert process.recovery.opened, process.recovery.missing()
    put_back(site, Instance, row.uuid, row.wanted)
    resync(site.core)
    site.work()
    assert site.row(row.uuid).assigned.unheard is not None
    process.silent.clear()
    process.hear("h1")
    for _ in range(3):
        process.recovery.tick()
        process.hear("h1")
        process.hear("h2")
    site.settle()
    assert state(site.row(row.uuid)) is State.STOPPED


def test_a_port_of_an_unreadable_instance_leaves_it_its_loopback_address(site: Site, ann: Caller, tiny: Image) -> None:
    (row,) = site.launch(ann, Launch(image=tiny.uuid))
    site.work()
    site.sent.clear()  # its host never hears of it, and so cannot tell
    replaced(site, copied(site))
    damage_owned(site, row, Port)
    damage(site, Instance, row.uuid)
    process = Process(site)
    process.recovery._asked = True
    process.opened()
    with site.store.read() as tx:
        assert tx.list(Port)
        assert recount.differences(tx) == []


def test_an_instance_that_was_unreadable_when_its_host_was_heard_waits_no_longer(
    site: Site, ann: Caller, row: Instance
) -> None:
    site.host("h2")
    process = Process(site, silent=("h1",))
    process.recovery.tick()
    process.hear("h2")
    site.now += LOST_AFTER + 1
    process.recovery.tick()
    assert process.recovery.opened, process.recovery.missing()
    assert site.row(row.uuid).assigned.unheard is not None
    power.terminate(ann, site.core, [row.uuid])
    wanted = site.row(row.uuid).wanted
    damage(site, Instance, row.uuid, "wanted")
    process.silent.clear()
    process.recovery.tick()
    process.hear("h1")
    put_back(site, Instance, row.uuid, wanted)
    resync(site.core)
    site.settle()
    assert site.row(row.uuid).gone is not None


def test_an_unreadable_default_group_keeps_its_name(site: Site, ann: Caller) -> None:
    with site.store.read() as tx:
        (group,) = tx.list(SecurityGroup, project=ann.project)
    damage(site, SecurityGroup, group.uuid, "wanted")  # the engine never heard of it
    process = Process(site)
    process.recovery._asked = True
    process.opened()
    put_back(site, SecurityGroup, group.uuid, group.wanted)
    with site.store.read() as tx:
        assert [group_row.uuid for group_row in tx.list(SecurityGroup, project=ann.project)] == [group.uuid]
        assert [what for what in recount.differences(tx) if what.startswith("claim")] == []
