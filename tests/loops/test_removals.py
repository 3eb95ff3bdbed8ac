"""Long histories: a host forgets removals that the store vouches for, refuses what they refused, and is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.bus import pages
from pileus.bus.messages import FORGOTTEN, Ask, Order, Removed
from pileus.host import agent as agents
from pileus.host.agent import Agent
from pileus.host.book import Book, FileBook
from pileus.model.image import Image
from pileus.model.instance import Instance, State, state
from pileus.model.spec import InstanceSpec
from pileus.providers.stub.provider import StubProvider
from pileus.rules import recount
from pileus.store.store import TOMBSTONE
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch
from tests.loops.test_recover import Process, copied, replaced

if TYPE_CHECKING:
    from pathlib import Path

    from pileus.model.caller import Caller
    from tests.site import Site

MOST = 4


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "MOST", MOST)
    monkeypatch.setattr(pages, "LARGEST", 1)


def heed(site: Site) -> None:
    """Have the site's hosts heed what they are asked."""
    send = site.send

    def both(host: str, order: Order | Ask) -> None:
        if isinstance(order, Ask):
            site.agents[host].answer(order)
        send(host, order)

    site.send = both  # type: ignore[method-assign]


def remove(agent: Agent, uuid: str, number: int) -> None:
    """Have a host remove what it does not hold."""
    agent.take(Order(uuid=uuid, revision=(1, number), why="gone"))
    agent.step(uuid)


def history(site: Site, caller: Caller, image: Image, times: int) -> list[Instance]:
    """Instances that were launched and terminated."""
    gone = []
    for _ in range(times):
        gone += site.launch(caller, Launch(image=image.uuid))
        site.settle(3)
        power.terminate(caller, site.core, [gone[-1].uuid])
        site.settle(3)
    return gone


def test_a_host_remembers_a_bounded_number_of_removals(site: Site, ann: Caller, tiny: Image) -> None:
    heed(site)
    lives = site.launch(ann, Launch(image=tiny.uuid))[0]
    gone = history(site, ann, tiny, 12)
    book = site.agents["h1"].book
    assert len(book.removed) <= MOST + 1
    assert book.forgotten > (0, 0)
    first = Order(uuid=gone[0].uuid, revision=(1, 1), spec=next(iter(site.agents["h1"].specs().values())))
    assert not site.agents["h1"].take(first)
    assert state(site.row(lives.uuid)) is State.RUNNING
    assert all(row.gone is not None for row in site.rows([row.uuid for row in gone]))


def test_what_was_forgotten_is_gone_from_an_old_copy_though_the_engine_is_as_old(
    site: Site, ann: Caller, tiny: Image
) -> None:
    """Copy and engine are from a time when all of them ran; what is placed there and held lives on."""
    heed(site)
    lives = site.launch(ann, Launch(image=tiny.uuid))[0]
    goes = site.launch(ann, Launch(image=tiny.uuid, least=3, most=3))
    site.settle()
    old, engine = copied(site), site.engine
    before = dict(engine.bodies), dict(engine.specs), dict(engine.removed)
    power.terminate(ann, site.core, [row.uuid for row in goes])
    site.settle()
    history(site, ann, tiny, 10)
    assert not {row.uuid for row in goes} & site.agents["h1"].book.removed.keys()
    replaced(site, old)
    engine.bodies, engine.specs, engine.removed = before
    process = Process(site).opened()
    assert process.recovery.outcome is not None
    site.settle()
    assert sorted(process.recovery.outcome.removed) == sorted(row.ec2_id for row in goes)
    assert all(row.gone is not None for row in site.rows([row.uuid for row in goes]))
    assert state(site.row(lives.uuid)) is State.RUNNING
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_what_the_copy_has_and_the_host_never_got_is_not_taken_for_forgotten(
    site: Site, ann: Caller, tiny: Image
) -> None:
    """The store had vouched before: of what came since the host has forgotten nothing."""
    heed(site)
    history(site, ann, tiny, 8)
    assert site.agents["h1"].book.forgotten > (0, 0)
    late = site.launch(ann, Launch(image=tiny.uuid))[0]
    old = copied(site)
    site.launch(ann, Launch(image=tiny.uuid))
    site.settle()
    replaced(site, old)
    site.agents["h1"].book.entries.pop(late.uuid)
    site.agents["h1"].provider.bodies.pop(("instance", late.uuid))  # type: ignore[attr-defined]
    process = Process(site).opened()
    assert process.recovery.outcome is not None
    site.settle()
    assert state(site.row(late.uuid)) is State.RUNNING


def test_nothing_is_vouched_for_while_a_host_lacks_what_is_placed_there(site: Site, ann: Caller, tiny: Image) -> None:
    agent = site.agents["h1"]
    history(site, ann, tiny, 6)
    asks_before = len(site.asked)
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.hear("h1")
    assert len(site.asked) == asks_before
    site.settle()
    assert row.uuid in agent.book.entries
    site.hear("h1")
    assert len(site.asked) > asks_before


def test_an_order_through_the_forgotten_is_ordered_again_above_it(site: Site, ann: Caller, tiny: Image) -> None:
    """The host lost the order of what it held: its body goes on under another revision."""
    heed(site)
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    history(site, ann, tiny, 8)
    agent = site.agents["h1"]
    assert site.row(row.uuid).revision <= agent.book.forgotten
    del agent.book.entries[row.uuid]
    site.settle()
    assert agent.book.entries[row.uuid].revision == site.row(row.uuid).revision > agent.book.forgotten
    assert state(site.row(row.uuid)) is State.RUNNING


def test_a_removal_that_was_forgotten_is_confirmed_all_the_same(site: Site) -> None:
    agent = site.agents["h1"]
    remove(agent, "gone", 5)
    agent.report()
    assert not agent.take(Order(uuid="gone", revision=(1, 5), why="gone"))
    agent.book.forget((1, 9), 0)
    assert agent.report().removed == {"gone": Removed(revision=(1, 9), why=FORGOTTEN)}
    remove(agent, "gone", 5)
    assert agent.report().removed == {"gone": Removed(revision=(1, 5), why="gone")}


def test_what_was_decided_before_the_last_opening_forgets_nothing(site: Site) -> None:
    agent = site.agents["h1"]
    remove(agent, "gone", 5)
    agent.answer(Ask(call="c", opening=7))
    agent.answer(Ask(forget=(1, 9), opening=6))
    assert agent.book.removed.keys() == {"gone"}
    agent.answer(Ask(forget=(1, 9), opening=7))
    assert agent.book.forgotten == (1, 9)


def test_the_forgotten_is_kept_in_the_book(tmp_path: Path) -> None:
    book = FileBook(tmp_path)
    for number in range(1, 10):
        book.remember(f"u{number}", Removed(revision=(1, number), why="gone"))
    book.forget((1, 7), 3)
    book.remember("later", Removed(revision=(1, 12), why="gone"))
    again = FileBook(tmp_path)
    assert again.removed.keys() == {"u7", "u8", "u9", "later"}
    assert again.forgotten == book.forgotten == (1, 7)
    assert again.start.highest == (1, 12)
    again.forget((2, 1), 0)
    assert FileBook(tmp_path).removed == {}
    assert FileBook(tmp_path).start.highest == (2, 1)


def test_a_cloud_of_an_earlier_version_is_answered_in_one_message() -> None:
    agent = Agent("h", StubProvider(), Book())
    for number in range(1, 10):
        remove(agent, f"u{number}", number)
    (answer,) = agent.answer(Ask(call="c", orders=True))
    assert len(answer.removed) == 9
    assert len(agent.answer(Ask(call="c", orders=True, pages=True))) == 9


def test_tombstones_go_before_what_hosts_forget_matters(site: Site, ann: Caller, tiny: Image) -> None:
    """A row that the store has forgotten too stays gone, whatever order of it is still under way."""
    heed(site)
    gone = history(site, ann, tiny, 8)
    site.now += TOMBSTONE + 1
    site.store.forget_tombstones()
    site.settle()
    spec = InstanceSpec(uuid=gone[0].uuid, power=gone[0].wanted.power, vcpus=1, memory=64, ec2_id="i-0")
    assert not site.agents["h1"].take(Order(uuid=gone[0].uuid, revision=gone[0].revision, spec=spec))


def test_a_page_of_an_answer_to_another_question_says_of_nothing_that_it_is_absent(
    site: Site, ann: Caller, tiny: Image
) -> None:
    """An answer to the process before may be under way for long, and its pages in any order."""
    row, *_ = site.launch(ann, Launch(image=tiny.uuid))
    history(site, ann, tiny, 2)
    process = Process(site).opened()
    site.settle()
    assert site.row(row.uuid).seen.running
    late = site.agents["h1"].answer(Ask(call="of the process before", orders=True, pages=True))
    assert len(late) > 1
    assert row.uuid not in late[-1].bodies
    process.recovery.heard(late[-1])
    assert site.row(row.uuid).seen.running
