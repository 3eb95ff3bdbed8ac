"""Start, stop, reboot and terminate: requests, their numbers, and who may make them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pileus.model.errors import Conflict, DryRun, NotFound
from pileus.model.ids import new_uuid
from pileus.model.instance import State, state
from pileus.model.port import Port
from pileus.model.volume import Volume
from pileus.rules import recount
from pileus.rules.instance import power as power_rules
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.instance import Instance
    from tests.site import Site

VERBS: dict[str, Callable[..., Any]] = {
    "start": power.start,
    "stop": power.stop,
    "reboot": power.reboot,
    "terminate": power.terminate,
}


@pytest.fixture
def row(site: Site, ann: Caller, tiny: Image) -> Instance:
    instance = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    return site.row(instance.uuid)


def shown(site: Site, row: Instance) -> State:
    return state(site.row(row.uuid))


def outcomes(site: Site, row: Instance) -> list[tuple[str, int, str]]:
    with site.store.read() as tx:
        return [(entry.verb.partition(".")[2], entry.goal, entry.outcome) for entry in tx.journal(row.uuid)]


def test_a_life(site: Site, ann: Caller, row: Instance) -> None:
    ids = [row.uuid]
    assert shown(site, row) is State.RUNNING
    assert [change[1:] for change in power.stop(ann, site.core, ids)] == [(State.RUNNING, State.STOPPING)]
    site.settle()
    assert shown(site, row) is State.STOPPED
    assert [change[1:] for change in power.start(ann, site.core, ids)] == [(State.STOPPED, State.PENDING)]
    site.settle()
    power.reboot(ann, site.core, ids)
    site.settle()
    assert shown(site, row) is State.RUNNING
    assert [c[1:] for c in power.terminate(ann, site.core, ids)] == [(State.RUNNING, State.SHUTTING_DOWN)]
    site.settle()
    assert shown(site, row) is State.TERMINATED
    assert outcomes(site, row) == [
        ("launch", 1, "done"),
        ("stop", 2, "done"),
        ("start", 3, "done"),
        ("reboot", 1, "done"),
        ("terminate", 0, "done"),
    ]
    with site.store.read() as tx:
        assert recount.differences(tx) == []
        assert tx.usage(f"host:{row.assigned.host}") == {}


def test_a_start_of_what_runs_is_a_new_request_that_nobody_notices(site: Site, ann: Caller, row: Instance) -> None:
    assert [c[1:] for c in power.start(ann, site.core, [row.uuid])] == [(State.RUNNING, State.RUNNING)]
    assert site.row(row.uuid).wanted.power.n == 2
    assert shown(site, row) is State.RUNNING
    site.settle()
    assert site.agents["h1"].provider.logs[row.uuid] == [f"{row.ec2_id} starts as {row.wanted.hostname}"]  # type: ignore[attr-defined]
    assert outcomes(site, row)[-1] == ("start", 2, "done")


def test_a_start_after_a_shutdown_that_nobody_reported_yet(site: Site, ann: Caller, row: Instance) -> None:
    site.agents["h1"].provider.end_guest(row.uuid)  # type: ignore[attr-defined]
    power.start(ann, site.core, [row.uuid])
    site.settle()
    assert shown(site, row) is State.RUNNING


def test_a_stop_of_what_is_stopped_is_nothing(site: Site, ann: Caller, row: Instance) -> None:
    power.stop(ann, site.core, [row.uuid])
    before = site.row(row.uuid)
    assert [c[1:] for c in power.stop(ann, site.core, [row.uuid])] == [(State.STOPPING, State.STOPPING)]
    assert site.row(row.uuid) == before


def test_a_later_request_supersedes_an_earlier_one(site: Site, ann: Caller, row: Instance) -> None:
    power.stop(ann, site.core, [row.uuid])
    power.start(ann, site.core, [row.uuid])
    site.settle()
    assert shown(site, row) is State.RUNNING
    assert outcomes(site, row) == [("launch", 1, "done"), ("stop", 2, "superseded"), ("start", 3, "done")]


def test_a_reboot_starts_nothing(site: Site, ann: Caller, row: Instance) -> None:
    power.stop(ann, site.core, [row.uuid])
    site.settle()
    power.reboot(ann, site.core, [row.uuid])
    site.settle()
    assert shown(site, row) is State.STOPPED
    assert outcomes(site, row)[-1] == ("reboot", 1, "done")


def test_many_reboots_are_all_accounted_for(site: Site, ann: Caller, row: Instance) -> None:
    for _ in range(60):
        power.reboot(ann, site.core, [row.uuid])
    site.settle()
    with site.store.read() as tx:
        assert tx.journal(row.uuid, open_only=True, limit=None) == []


def test_terminate_may_be_repeated(site: Site, ann: Caller, row: Instance) -> None:
    power.terminate(ann, site.core, [row.uuid])
    before = site.row(row.uuid)
    assert [c[1:] for c in power.terminate(ann, site.core, [row.uuid] * 2)] == [(State.SHUTTING_DOWN,) * 2]
    assert site.row(row.uuid) == before
    site.settle()
    assert [c[1:] for c in power.terminate(ann, site.core, [row.uuid])] == [(State.TERMINATED,) * 2]
    site.settle()
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_what_it_owns_goes_with_it(site: Site, ann: Caller, row: Instance) -> None:
    power.terminate(ann, site.core, [row.uuid])
    with site.store.read() as tx:
        owned = [*tx.referring(Port, [row.uuid]), *tx.referring(Volume, [row.uuid])]
        assert [noun.wanted.gone for noun in owned] == [True, True]
    site.settle()
    with site.store.read() as tx:
        assert all(tx.get(type(noun), noun.uuid).gone is not None for noun in owned)  # type: ignore[union-attr]
        assert tx.claims(uuid=row.uuid) == []
    assert site.engine.bodies.keys() & {("port", noun.uuid) for noun in owned} == set()


@pytest.mark.parametrize("verb", ["start", "stop", "reboot"])
def test_what_goes_or_is_gone_has_no_power(site: Site, ann: Caller, row: Instance, verb: str) -> None:
    power.terminate(ann, site.core, [row.uuid])
    for _ in range(2):
        with pytest.raises(Conflict) as caught:
            VERBS[verb](ann, site.core, [row.uuid])
        assert caught.value.reason == "state"
        site.settle()


@pytest.mark.parametrize("verb", VERBS)
def test_all_or_none(site: Site, ann: Caller, tiny: Image, row: Instance, verb: str) -> None:
    before = site.row(row.uuid)
    with pytest.raises(NotFound):
        VERBS[verb](ann, site.core, [row.uuid, new_uuid()])
    assert site.row(row.uuid) == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_dry_run_changes_nothing(site: Site, ann: Caller, row: Instance, verb: str) -> None:
    before = site.row(row.uuid), outcomes(site, row)
    with pytest.raises(DryRun):
        VERBS[verb](ann, site.core, [row.uuid], dry_run=True)
    with pytest.raises(NotFound):
        VERBS[verb](ann, site.core, [new_uuid()], dry_run=True)
    assert (site.row(row.uuid), outcomes(site, row)) == before


@pytest.mark.parametrize("verb", VERBS)
def test_another_projects_instance_is_not_there(site: Site, row: Instance, verb: str) -> None:
    before = site.row(row.uuid)
    with pytest.raises(NotFound):
        VERBS[verb](site.caller("green"), site.core, [row.uuid])
    assert site.row(row.uuid) == before
    VERBS[verb](site.caller("root", admin=True), site.core, [row.uuid])
    assert site.row(row.uuid) != before or verb == "start"


def test_what_is_protected_is_not_terminated(site: Site, ann: Caller, tiny: Image, row: Instance) -> None:
    protected_row = site.launch(ann, Launch(image=tiny.uuid, protected=True))[0]
    with pytest.raises(Conflict) as caught:
        power.terminate(ann, site.core, [row.uuid, protected_row.uuid])
    assert caught.value.reason == "protected"
    assert not site.row(row.uuid).wanted.gone


def test_the_clouds_own_end_holds_for_one_number_only(site: Site, ann: Caller, row: Instance) -> None:
    power.stop(ann, site.core, [row.uuid])
    assert not power_rules.end(ann, site.core, row.uuid, 1, "why", "because")
    assert not site.row(row.uuid).wanted.gone
    assert power_rules.end(ann, site.core, row.uuid, 2, "why", "because")
    assert not power_rules.end(ann, site.core, row.uuid, 2, "again", "because")
    assert site.row(row.uuid).wanted.reason == "why"
    assert not power_rules.end(ann, site.core, "none", 1, "", "")
