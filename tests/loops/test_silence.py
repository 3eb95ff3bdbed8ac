"""What waits for a host that is silent costs nearly nothing, and goes on with the host's first report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.host import LOST_AFTER
from pileus.model.instance import State, state
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch
from tests.site import one_step

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site


def steps_in(site: Site, seconds: int) -> int:
    """How many steps loops do in so many seconds, of which each sees what is due."""
    done = 0
    for _ in range(seconds):
        site.now += 1
        while one_step(site.core):
            done += 1
    return done


def test_instances_of_a_silent_host_are_looked_at_seldom(site: Site, ann: Caller, tiny: Image) -> None:
    rows = site.launch(ann, Launch(image=tiny.uuid, least=10, most=10))
    site.settle()
    power.stop(ann, site.core, [row.uuid for row in rows])
    site.now += LOST_AFTER
    steps_in(site, 10)
    assert steps_in(site, 120) <= 3 * len(rows)
    site.now += 5
    site.hear("h1")
    site.settle()
    assert {state(site.row(row.uuid)) for row in rows} == {State.STOPPED}


def test_what_is_asked_while_a_host_is_silent_is_sent_at_once_all_the_same(
    site: Site, ann: Caller, tiny: Image
) -> None:
    (row,) = site.launch(ann, Launch(image=tiny.uuid))
    site.settle()
    site.now += LOST_AFTER
    power.stop(ann, site.core, [row.uuid])
    steps_in(site, 4)
    site.sent.clear()
    power.start(ann, site.core, [row.uuid])
    site.work()
    assert [order.uuid for _, order in site.sent] == [row.uuid]


def test_a_host_that_speaks_again_before_it_was_seen_to_be_lost_is_told_at_once(
    site: Site, ann: Caller, tiny: Image
) -> None:
    (row,) = site.launch(ann, Launch(image=tiny.uuid))
    site.settle()
    power.stop(ann, site.core, [row.uuid])
    site.now += LOST_AFTER
    steps_in(site, 4)
    site.sent.clear()
    site.hear("h1", full=False)
    site.work()
    assert [order.uuid for _, order in site.sent] == [row.uuid]
