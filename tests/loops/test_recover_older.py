"""An older copy of the database is put in its place under the processes that have it open."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING

import pytest

from pileus.loops import standing
from pileus.model.caller import SYSTEM
from pileus.model.errors import Unavailable
from pileus.model.instance import State, state
from pileus.model.user import User
from pileus.rules import comparison
from pileus.store.presence import Heartbeats
from pileus.verbs import user
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch
from tests.loops.test_recover import Process, copied, replaced
from tests.loops.test_recover_shared import Shared
from tests.store.wakes import finish_wake

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.instance import Instance
    from pileus.rules.core import Core
    from pileus.store.store import Store
    from tests import databases
    from tests.site import Site


def stopped_after_copy(site: Site, ann: Caller, core: Core, image: Image) -> tuple[Instance, databases.Image]:
    """Launch an instance, copy the database and stop the instance through `core`: the instance and the copy."""
    (instance,) = site.launch(ann, Launch(image=image.uuid))
    site.settle()
    older_copy = copied(site)
    power.stop(ann, core, [instance.uuid])
    site.settle()
    return instance, older_copy


def assert_recovered(site: Site, process: Process, store: Store, instance: Instance) -> None:
    """Have the recovery done: it learns from the host that the instance was stopped, and `store` takes writes."""
    process.opened()
    assert process.recovery.outcome is not None
    site.settle()
    assert state(site.row(instance.uuid)) is State.STOPPED
    with store.write() as tx:
        tx.bump()


def test_an_older_copy_that_is_restored_into_a_running_process_is_noticed(site: Site, ann: Caller, tiny: Image) -> None:
    """By no file of another name: `sqlite3 pileus.db ".restore old.db"` writes into the one that is open."""
    process = Process(site).opened()
    instance, older_copy = stopped_after_copy(site, ann, process.core, tiny)
    replaced(site, older_copy)
    with pytest.raises(Unavailable), site.store.write() as tx:
        tx.reserve(1000)
    process.recovery.tick()
    assert_recovered(site, process, site.store, instance)


def test_an_older_copy_under_a_running_process_is_noticed_before_anything_is_decided(
    site: Site, ann: Caller, tiny: Image
) -> None:
    """Loops that went on from the copy would soon have given higher revisions than hosts have seen."""
    process = Shared(site).opened()
    store = process.core.store
    instance, older_copy = stopped_after_copy(site, ann, process.core, tiny)
    with store.write() as tx:
        tx.bump()
    replaced(site, older_copy)
    for _ in range(2):
        with pytest.raises(Unavailable), store.write() as tx:
            tx.reserve(1000)
    assert_recovered(site, process, store, instance)


def test_a_process_without_loops_notices_an_older_copy_and_counts_on_from_it_no_more(
    site: Site, ann: Caller, tiny: Image
) -> None:
    """Its verbs would soon have given higher revisions than loops and hosts have seen."""
    process = Shared(site).opened()
    core = dataclasses.replace(site.core, store=copy.copy(site.store))
    api = standing.Awaited(core)
    assert not api.missing()
    instance, older_copy = stopped_after_copy(site, ann, core, tiny)
    Heartbeats(core.store, "api").send()
    replaced(site, older_copy)
    with pytest.raises(Unavailable), core.store.write() as tx:
        tx.reserve(1000)
    process.recovery.tick()
    assert_recovered(site, process, core.store, instance)


def _users(process: Process) -> set[str]:
    with process.core.store.read() as tx:
        return {user.name for user in tx.list(User)}


def test_rows_cached_in_a_lost_time_are_not_shown_for_what_came_instead(site: Site, ann: Caller, tiny: Image) -> None:
    """The number of a kind's versions is soon what it was in the lost time."""
    process = Process(site).opened()
    (instance,) = site.launch(ann, Launch(image=tiny.uuid))
    site.settle()
    older_copy = copied(site)
    user.create(SYSTEM, process.core, "lost", "lost", admin=False, limits={})
    power.stop(ann, process.core, [instance.uuid])
    site.settle()
    assert "lost" in _users(process)
    replaced(site, older_copy)
    with pytest.raises(Unavailable), site.store.write():
        pass
    process.recovery.tick()
    process.opened()
    user.create(SYSTEM, process.core, "new", "new", admin=False, limits={})
    assert "new" in _users(process)
    assert "lost" not in _users(process)


def test_the_engine_is_not_asked_before_steps_that_were_decided_in_the_lost_time_have_ended(
    site: Site, ann: Caller, tiny: Image
) -> None:
    """They tell the engine what the recovered store does not know, and it would never look for."""
    process = Process(site).opened()
    instance, older_copy = stopped_after_copy(site, ann, process.core, tiny)
    power.start(ann, process.core, [instance.uuid])
    (leased,) = site.store.lease_wakes(1)
    replaced(site, older_copy)
    with pytest.raises(Unavailable), site.store.write():
        pass
    process.recovery.tick()
    process.hear("h1")
    process.recovery.tick()
    assert "steps" in process.recovery.missing()
    finish_wake(site.store, leased, None)
    process.recovery.tick()
    assert process.recovery.missing() == {}
    assert process.recovery.outcome is not None


def test_a_host_that_a_copy_was_opened_without_is_compared_once_more(site: Site, ann: Caller, tiny: Image) -> None:
    """No revision was given since the copy: nothing but the mark tells that the store is another one."""
    process = Process(site).opened()
    (instance,) = site.launch(ann, Launch(image=tiny.uuid))
    site.settle()
    with site.store.write() as tx:
        comparison.without(tx, "h1")
    process.recovery.tick()
    assert "h1" not in process.gate.admitted
    process.hear("h1")
    assert site.row(instance.uuid).assigned.unheard is None
    with site.store.read() as tx:
        assert not comparison.late(tx, "h1")
