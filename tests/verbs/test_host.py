"""What operators do with hosts: nothing that runs is touched, and a host that was removed is not listened to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.loops import silence
from pileus.model.errors import Conflict, Forbidden, InvalidValue, NoCapacity, NotFound
from pileus.model.host import LOST_AFTER, Capacity, Host, Overcommit, condition
from pileus.model.instance import State, state
from pileus.rules import recount
from pileus.verbs import host as verbs
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch, launch

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.host import Duty
    from pileus.model.image import Image
    from tests.site import Site


@pytest.fixture
def root(site: Site) -> Caller:
    return site.caller("admin", admin=True)


def known(site: Site) -> dict[str, Host]:
    with site.store.read() as tx:
        return {host.name: host for host in tx.list(Host)}


def lines(site: Site, uuid: str) -> list[str]:
    with site.store.read() as tx:
        return [entry.verb for entry in tx.journal(uuid)]


def well(site: Site) -> None:
    with site.store.read() as tx:
        assert recount.differences(tx) == []


@pytest.mark.parametrize("duty", ["drained", "maintenance"])
def test_a_host_that_is_drained_keeps_what_it_has_and_gets_nothing_new(
    site: Site, ann: Caller, tiny: Image, root: Caller, duty: Duty
) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    for _ in range(2):
        assert verbs.set_duty(root, site.core, "h1", duty).wanted.state == duty
    with pytest.raises(NoCapacity):
        launch(ann, site.core, Launch(image=tiny.uuid))
    power.reboot(ann, site.core, [row.uuid])
    site.settle()
    assert state(site.row(row.uuid)) is State.RUNNING
    assert site.row(row.uuid).seen.reboot == 1
    verbs.set_duty(root, site.core, "h1", "active")
    assert site.launch(ann, Launch(image=tiny.uuid))
    word = {"drained": "host.drain", "maintenance": "host.maintenance"}[duty]
    assert lines(site, known(site)["h1"].uuid) == [word, "host.activate"]
    well(site)


def test_a_silent_host_is_lost_once_and_comes_back_without_a_quarrel(site: Site, ann: Caller, tiny: Image) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    silence.watch(site.core)
    host = known(site)["h1"]
    assert condition(host, site.now) == "active"
    site.now += LOST_AFTER + 1
    assert condition(host, site.now) == "lost"
    for _ in range(3):
        silence.watch(site.core)
    assert lines(site, host.uuid) == ["host.lost"]
    site.settle()
    silence.watch(site.core)
    assert condition(known(site)["h1"], site.now) == "active"
    assert lines(site, host.uuid) == ["host.lost", "host.back"]
    assert state(site.row(row.uuid)) is State.RUNNING
    well(site)


def test_a_host_in_maintenance_may_be_silent(site: Site, root: Caller) -> None:
    verbs.set_duty(root, site.core, "h1", "maintenance")
    site.now += LOST_AFTER + 1
    assert condition(known(site)["h1"], site.now) == "maintenance"


def test_only_a_host_that_holds_nothing_is_removed(site: Site, ann: Caller, tiny: Image, root: Caller) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    with pytest.raises(Conflict, match="holds 1 instance"):
        verbs.remove(root, site.core, "h1")
    with pytest.raises(Conflict, match="heard of"):
        verbs.remove(root, site.core, "h1", forget=True)
    power.terminate(ann, site.core, [row.uuid])
    with pytest.raises(Conflict):  # its body may still be there
        verbs.remove(root, site.core, "h1")
    site.settle()
    verbs.remove(root, site.core, "h1")
    assert known(site) == {}
    site.settle()  # it goes on reporting
    assert known(site) == {}
    with pytest.raises(NoCapacity):
        launch(ann, site.core, Launch(image=tiny.uuid))
    well(site)


def test_a_removed_host_that_is_readmitted_is_as_any_other(site: Site, ann: Caller, tiny: Image, root: Caller) -> None:
    verbs.remove(root, site.core, "h1")
    verbs.admit(root, site.core, "h1")
    site.settle()
    assert site.launch(ann, Launch(image=tiny.uuid))[0].assigned.host == "h1"
    with pytest.raises(NotFound):
        verbs.admit(root, site.core, "h1")
    well(site)


def test_a_forgotten_host_keeps_its_instances_and_nobody_else_gets_them(
    site: Site, ann: Caller, tiny: Image, root: Caller
) -> None:
    rows = site.launch(ann, Launch(image=tiny.uuid, most=2))
    site.settle()
    site.now += LOST_AFTER + 1
    lost = site.agents.pop("h1")
    verbs.remove(root, site.core, "h1", forget=True)
    site.host("h2")
    power.terminate(ann, site.core, [rows[1].uuid])
    site.settle(40)
    staying, going = site.row(rows[0].uuid), site.row(rows[1].uuid)
    assert (staying.assigned.host, staying.gone, state(staying)) == ("h1", None, State.RUNNING)
    assert state(going) is State.SHUTTING_DOWN  # its body may still run there
    assert site.agents["h2"].book.entries == {}
    well(site)
    site.agents["h1"] = lost
    site.settle()
    assert "h1" not in known(site)
    verbs.admit(root, site.core, "h1")
    site.settle()
    assert condition(known(site)["h1"], site.now) == "active"
    assert state(site.row(rows[0].uuid)) is State.RUNNING
    assert site.row(rows[1].uuid).gone is not None
    well(site)


def test_a_removed_host_has_no_usage_left(site: Site, ann: Caller, tiny: Image, root: Caller) -> None:
    site.host("h2")
    verbs.set_duty(root, site.core, "h2", "drained")
    (row,) = site.launch(ann, Launch(image=tiny.uuid))
    site.settle()
    assert row.assigned.host == "h1"
    power.terminate(ann, site.core, [row.uuid])
    site.settle()
    verbs.remove(root, site.core, "h1")
    with site.store.read() as tx:
        assert "host:h1" not in tx.usage_by_scope("host:", ("vcpus",))


def test_a_host_may_have_ratios_of_its_own(site: Site, ann: Caller, tiny: Image, root: Caller) -> None:
    verbs.set_duty(root, site.core, "h1", "drained")
    site.host("h2", Capacity(vcpus=1))
    assert len(site.launch(ann, Launch(image=tiny.uuid, most=9))) == 1
    verbs.give(root, site.core, "h2", Overcommit(vcpus=3.0))
    assert len(site.launch(ann, Launch(image=tiny.uuid, most=9))) == 2
    verbs.give(root, site.core, "h2", Overcommit(vcpus=0.5))  # nothing that is there is touched
    with pytest.raises(InvalidValue):
        verbs.give(root, site.core, "h2", Overcommit(memory=0.0))
    well(site)


def test_only_administrators_look_after_hosts(site: Site, ann: Caller) -> None:
    for verb in (
        lambda: verbs.set_duty(ann, site.core, "h1", "drained"),
        lambda: verbs.remove(ann, site.core, "h1"),
        lambda: verbs.admit(ann, site.core, "h1"),
        lambda: verbs.give(ann, site.core, "h1", Overcommit()),
    ):
        with pytest.raises(Forbidden):
            verb()
