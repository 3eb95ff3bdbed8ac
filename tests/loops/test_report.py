"""Reports become what is seen: of the assigned host, in order, and only as far as they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.bus.messages import BodyReport, Removed, Report
from pileus.faces.rest import documents
from pileus.loops import instance as loop
from pileus.loops import report
from pileus.model.host import Host
from pileus.model.instance import Seen, State, failed, state
from pileus.model.noun import NEVER, SeenFault
from pileus.model.spec import InstanceSpec
from pileus.rules import recount
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.instance import Instance
    from tests.site import Site


@pytest.fixture
def row(site: Site, ann: Caller, tiny: Image) -> Instance:
    """An instance whose order is under way: its host said nothing yet."""
    instance = site.launch(ann, Launch(image=tiny.uuid, on_shutdown="terminate"))[0]
    site.work()
    return site.row(instance.uuid)


def body(row: Instance, **more: object) -> BodyReport:
    fields: dict[str, object] = {"revision": row.revision, "running": True, "n": 1, "ever": True, **more}
    return BodyReport(**fields)  # type: ignore[arg-type]


def say(site: Site, sequence: int, host: str = "h1", **more: object) -> None:
    fields: dict[str, object] = {"zone": "us-east-1a", "epoch": 5, **more}
    report.absorb_all(site.core, [Report(host=host, sequence=sequence, **fields)])  # type: ignore[arg-type]


def host(site: Site, name: str = "h1") -> Host:
    with site.store.read() as tx:
        holder = tx.claimed("host", name)
        assert holder is not None
        return tx.need(Host, holder[1])


def test_a_host_is_known_from_its_first_report_on(site: Site) -> None:
    say(site, 1, "new", unknown=("x",), full=True)
    seen = host(site, "new").seen
    assert (seen.epoch, seen.sequence, seen.heard, seen.unknown) == (5, 1, site.now, ("x",))
    say(site, 2, "new")
    assert host(site, "new").seen.unknown == ("x",)  # a partial report says nothing of the unknown
    say(site, 3, "new", full=True)
    assert host(site, "new").seen.unknown == ()


def test_a_body_is_seen(site: Site, row: Instance) -> None:
    say(site, 1, bodies={row.uuid: body(row, since=3.0)})
    seen = site.row(row.uuid).seen
    assert (seen.running, seen.n, seen.revision, seen.since, seen.ever) == (True, 1, row.revision, 3.0, True)
    assert state(site.row(row.uuid)) is State.RUNNING
    with site.store.read() as tx:
        assert [entry.outcome for entry in tx.journal(row.uuid)] == ["done"]


def test_an_order_that_a_host_lost_is_given_again_with_what_was_done(site: Site, ann: Caller, tiny: Image) -> None:
    """Nobody starts a guest that ended itself, nor reboots one again, because a file was damaged."""
    (row,) = site.launch(ann, Launch(image=tiny.uuid))
    site.work()
    row = site.row(row.uuid)
    say(site, 1, bodies={row.uuid: body(row, running=False, satisfied=1, reboot=3)})
    site.sent.clear()
    say(site, 2, full=True)
    site.work()
    spec = site.sent[-1][1].spec
    assert isinstance(spec, InstanceSpec)
    assert (spec.satisfied, spec.rebooted) == (1, 3)


@pytest.mark.parametrize("order", [(5, 3), (5, 2), (4, 99)])
def test_an_old_report_changes_nothing(site: Site, row: Instance, order: tuple[int, int]) -> None:
    say(site, 3, bodies={row.uuid: body(row)})
    before = site.row(row.uuid), host(site)
    say(site, order[1], epoch=order[0], full=True)
    say(site, order[1], epoch=order[0], bodies={row.uuid: body(row, running=False)})
    assert (site.row(row.uuid), host(site)) == before


def test_a_new_epoch_begins_at_one_again(site: Site, row: Instance) -> None:
    say(site, 9)
    say(site, 1, epoch=6, bodies={row.uuid: body(row)})
    assert site.row(row.uuid).seen.running


def test_only_the_assigned_host_is_believed(site: Site, row: Instance) -> None:
    say(site, 1, "other", full=True, bodies={row.uuid: body(row)}, removed={})
    assert site.row(row.uuid).seen == Seen()


def test_what_the_store_never_ordered_is_not_believed(site: Site, row: Instance) -> None:
    say(site, 1, bodies={row.uuid: body(row, revision=(row.revision[0], row.revision[1] + 50))})
    say(site, 2, bodies={"11111111-0000-4000-8000-000000000000": body(row)})
    assert site.row(row.uuid).seen == Seen()


def test_absence_means_something_in_a_full_report_alone(site: Site, row: Instance) -> None:
    say(site, 1, bodies={row.uuid: body(row)})
    say(site, 2)
    assert site.row(row.uuid).seen.running
    site.sent.clear()
    say(site, 3, full=True)
    seen = site.row(row.uuid).seen
    assert (seen.running, seen.revision) == (False, NEVER)
    site.work()
    assert [(name, order.revision) for name, order in site.sent] == [("h1", row.revision)]


def test_a_guests_own_shutdown_ends_what_was_launched_so(site: Site, row: Instance) -> None:
    say(site, 1, bodies={row.uuid: body(row, running=False, satisfied=1)})
    ended = site.row(row.uuid).wanted
    assert (ended.gone, ended.reason) == (True, "Client.InstanceInitiatedShutdown")


def test_a_shutdown_of_an_earlier_number_ends_nothing(site: Site, ann: Caller, row: Instance) -> None:
    power.start(ann, site.core, [row.uuid])
    say(site, 1, bodies={row.uuid: body(row, running=False, satisfied=1)})
    assert not site.row(row.uuid).wanted.gone
    say(site, 2, bodies={row.uuid: body(row, running=False, satisfied=0)})
    assert site.row(row.uuid).seen.satisfied == 1  # what was satisfied stays so


def test_a_launch_that_cannot_work_ends(site: Site, row: Instance) -> None:
    fault = SeenFault(code="NoImage", message="corrupt")
    say(site, 1, bodies={row.uuid: body(row, running=False, n=0, ever=False, fault=fault)})
    assert not site.row(row.uuid).wanted.gone
    fault = msgspec.structs.replace(fault, permanent=True)
    say(site, 2, bodies={row.uuid: body(row, running=False, n=0, ever=False, fault=fault)})
    assert site.row(row.uuid).wanted.reason == "Server.InternalError"


def test_what_ran_before_is_not_ended_by_a_fault(site: Site, row: Instance) -> None:
    say(site, 1, bodies={row.uuid: body(row)})
    fault = SeenFault(code="NoImage", message="corrupt", permanent=True)
    say(site, 2, bodies={row.uuid: body(row, running=False, ever=False, fault=fault)})
    assert not site.row(row.uuid).wanted.gone
    assert site.row(row.uuid).seen.fault == fault


class TestRemoval:
    @pytest.fixture
    def going(self, site: Site, ann: Caller, row: Instance) -> Instance:
        power.terminate(ann, site.core, [row.uuid])
        site.work()
        return site.row(row.uuid)

    def test_it_is_ordered_above_everything(self, site: Site, row: Instance, going: Instance) -> None:
        name, order = site.sent[-1]
        assert (name, order.spec, order.why) == ("h1", None, "gone")
        assert order.revision == going.assigned.clear["h1"] > row.revision
        assert going.assigned.host is None

    def test_the_row_lives_until_its_host_confirmed(self, site: Site, going: Instance) -> None:
        say(site, 1, full=True)
        say(site, 2, full=True, bodies={going.uuid: body(going)}, removed={})
        say(site, 3, "other", full=True, removed={going.uuid: Removed(revision=going.revision, why="gone")})
        assert site.row(going.uuid) == going
        with site.store.read() as tx:
            assert recount.differences(tx) == []
            assert ("host:h1", going.uuid, going.uuid) in tx.claims()

    @pytest.mark.parametrize("wrong", ["older", "still there", "partial"])
    def test_half_a_confirmation_is_none(self, site: Site, going: Instance, wrong: str) -> None:
        revision = (going.revision[0], going.revision[1] - (wrong == "older"))
        say(
            site,
            1,
            full=wrong != "partial",
            removed={going.uuid: Removed(revision=revision, why="gone")},
            bodies={going.uuid: body(going)} if wrong == "still there" else {},
        )
        assert site.row(going.uuid).assigned.clear.keys() == {"h1"}

    def test_confirmed_it_is_a_tombstone_that_holds_nothing(self, site: Site, going: Instance) -> None:
        confirmed = {going.uuid: Removed(revision=going.revision, why="gone")}
        for sequence in (1, 2):
            say(site, sequence, full=True, removed=confirmed)
            site.work()
            site.now += 5
            site.work()
        assert site.row(going.uuid).gone is not None
        with site.store.read() as tx:
            assert recount.differences(tx) == []
            assert tx.claims(uuid=going.uuid) == []
            assert [entry.outcome for entry in tx.journal(going.uuid)] == ["superseded", "done"]
        before = site.row(going.uuid)
        say(site, 3, full=True, removed=confirmed, bodies={going.uuid: body(going)})
        assert site.row(going.uuid) == before


def test_what_is_settled_is_looked_at_no_more_and_a_wake_stays(site: Site, row: Instance) -> None:
    def due() -> float | None:
        with site.store.read() as tx:
            return tx.due("instance", row.uuid)

    assert due() == site.now + loop.AGAIN
    say(site, 1, bodies={row.uuid: body(row)})
    assert due() is None
    with site.store.write() as tx:
        tx.wake(row)
    say(site, 2, bodies={row.uuid: body(row, since=3.0)})
    assert due() == site.now, "somebody has woken it since"


def test_many_reports_are_taken_in_as_if_one_by_one(site: Site, ann: Caller, tiny: Image) -> None:
    for name in ("h2", "h3"):
        site.host(name)
    rows = site.launch(ann, Launch(image=tiny.uuid, least=6, most=6))
    site.work()
    rows = site.rows([row.uuid for row in rows])
    reports = [
        Report(
            host=name,
            epoch=5,
            sequence=1,
            zone="us-east-1a",
            full=True,
            bodies={row.uuid: body(row) for row in rows if name in (row.assigned.host, "h3")},
        )
        for name in ("h1", "h2", "h3", "h9")
    ]
    report.absorb_all(site.core, reports)
    assert {state(row) for row in site.rows([row.uuid for row in rows])} == {State.RUNNING}
    assert host(site, "h9").seen.sequence == 1
    with site.store.read() as tx:
        assert not tx.unsettled([row.uuid for row in rows])
        assert [tx.due("instance", row.uuid) for row in rows] == [None] * 6
    # What is old, and what is news, in one go.
    report.absorb_all(site.core, [reports[0], msgspec.structs.replace(reports[1], sequence=2, bodies={})])
    gone = {row.assigned.host for row in site.rows([row.uuid for row in rows]) if not row.seen.running}
    assert gone == {"h2"}, "its full report did not name them; the old one of h1 said nothing"


class TestWhatWasMissed:
    """A report that never came is asked for, once its host has shown that there was one."""

    def asked(self, site: Site) -> list[str]:
        asks, site.asked = site.asked, []
        return asks

    def test_a_host_that_only_repeats_that_it_lives_is_not_asked(self, site: Site, row: Instance) -> None:
        site.asked.clear()
        say(site, 1, full=True, bodies={row.uuid: body(row)})
        say(site, 2, after=1)
        say(site, 3, after=1)
        assert self.asked(site) == []
        assert host(site).seen.sequence == 3
        assert site.row(row.uuid).seen.running, "absence means nothing in what is not full"

    def test_news_that_were_lost_are_asked_for(self, site: Site, row: Instance) -> None:
        say(site, 1, full=True)
        site.asked.clear()
        say(site, 3, after=2)
        assert self.asked(site) == ["h1"]
        say(site, 4, after=2)
        assert self.asked(site) == ["h1"], "the question may have been lost as well"
        say(site, 5, after=2, full=True)
        say(site, 6, after=5)
        assert self.asked(site) == []

    def test_news_after_lost_news_do_not_hide_them(self, site: Site, row: Instance) -> None:
        say(site, 1, full=True)
        site.asked.clear()
        say(site, 3, after=2, bodies={row.uuid: body(row)})
        assert self.asked(site) == ["h1"]
        say(site, 4, after=3, full=True, bodies={row.uuid: body(row)})
        assert self.asked(site) == []

    def test_a_new_start_of_the_host_begins_with_everything(self, site: Site) -> None:
        say(site, 9, full=True)
        site.asked.clear()
        say(site, 2, epoch=6, after=1)
        assert self.asked(site) == ["h1"]


@pytest.mark.parametrize("on_failure", ["end", "stay"])
def test_a_launch_that_can_never_work_ends_or_stays(site: Site, ann: Caller, tiny: Image, on_failure: str) -> None:
    (launched,) = site.launch(ann, Launch(image=tiny.uuid, on_failure=on_failure))  # type: ignore[arg-type]
    site.work()
    row = site.row(launched.uuid)
    fault = SeenFault(code="ImageRefused", message="it is none", permanent=True, at=1.0)
    say(site, 1, bodies={row.uuid: body(row, running=False, n=0, ever=False, fault=fault)})
    now = site.row(row.uuid)
    assert now.wanted.gone is (on_failure == "end")
    assert failed(now) is (on_failure == "stay")
    if on_failure == "stay":
        with site.store.read() as tx:
            assert documents.documents(site.core, tx, [now])[0]["state"] == "error"
        power.terminate(ann, site.core, [row.uuid])
        assert not failed(site.row(row.uuid))
