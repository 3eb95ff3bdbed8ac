"""The promises of docs/protocol.md, over worlds of the real code. `PILEUS_SEEDS=from:to` runs other seeds."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import Literal

import msgspec
import pytest

from pileus.bus.pages import Pages
from pileus.loops.host import book
from pileus.model import placement
from pileus.model.image import State
from pileus.store.files import DatabaseFiles
from pileus.store.reader import Reader
from tests.databases import SERVER
from tests.loops.damage import JOURNAL
from tests.loops.temper import Temper
from tests.loops.world import World, run

SEEDS = range(80)
BATCH = 20

in_files = pytest.mark.skipif(bool(SERVER), reason="these damage SQLite's rows and files; a server's are its own")


def batches() -> list[range]:
    """The seeds to run, in portions that end well before a test's time is up."""
    first, _, last = os.environ.get("PILEUS_SEEDS", f"{SEEDS.start}:{SEEDS.stop}").partition(":")
    start, stop = (int(first), int(last)) if last else (0, int(first))
    return [range(i, min(i + BATCH, stop)) for i in range(start, stop, BATCH)]


@pytest.mark.parametrize("seeds", batches(), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_every_promise_holds(seeds: range) -> None:
    broken = {seed: what for seed in seeds if (what := run(seed)) is not None}
    assert broken == {}


@pytest.mark.parametrize("seeds", [range(15), range(15, 30)], ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
@pytest.mark.parametrize("what", ["copy", "gone"])
def test_every_promise_holds_of_a_database_that_was_recovered(what: Literal["copy", "gone"], seeds: range) -> None:
    broken = {seed: told for seed in seeds if (told := run(seed, Temper(restored=what))) is not None}
    assert broken == {}


@pytest.mark.parametrize("seeds", [range(20), range(20, 40)], ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_every_promise_holds_while_hosts_are_drained_removed_and_let_in_again(seeds: range) -> None:
    broken, done = {}, set()
    for seed in seeds:
        world = World(seed, Temper(operators=True))
        told = world.run()
        if told is not None:
            broken[seed] = told
        done |= set(world.operators.done)
    assert broken == {}
    assert done >= {"drained", "maintenance", "active", "remove", "forget", "admit"}


def test_every_promise_holds_while_the_clock_is_set() -> None:
    broken = {seed: told for seed in range(40) if (told := run(seed, Temper(clock=True))) is not None}
    assert broken == {}


@in_files
def test_every_promise_holds_while_rows_are_damaged() -> None:
    broken, kinds = {}, set()
    for seed in range(18):
        world = World(seed, Temper(damaged=True, captures=seed % 4 == 3))
        told = world.run()
        if told is not None:
            broken[seed] = told
        kinds |= world.damage.kinds
    assert broken == {}
    assert kinds >= {"instance", "port", "volume", "image", "securitygroup", "subnet", "floatingip", JOURNAL}


@in_files
def test_every_promise_holds_of_damaged_rows_in_a_database_that_was_recovered() -> None:
    temper = Temper(damaged=True, restored="copy")
    broken = {seed: told for seed in (13, 40, 65, 73) if (told := run(seed, temper)) is not None}
    assert broken == {}


@in_files
def test_an_order_that_lacks_what_a_damaged_row_describes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reader, "complete", lambda _: contextlib.nullcontext())
    assert any((run(seed, Temper(damaged=True)) or "").startswith("4:") for seed in range(10))


@in_files
@pytest.mark.parametrize("what", ["deleted", "copy", "log"])
def test_every_promise_holds_of_a_file_that_is_deleted_or_replaced(what: Literal["deleted", "copy", "log"]) -> None:
    broken = {seed: told for seed in range(7) if (told := run(seed, Temper(replaced=what))) is not None}
    assert broken == {}


@in_files
@pytest.mark.parametrize(("part", "what"), [("loss", "copy"), ("rescue", "log")])
def test_a_file_that_is_replaced_unnoticed_is_noticed(
    part: str, what: Literal["copy", "log"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DatabaseFiles, part, lambda _: "")
    assert (run(0, Temper(replaced=what)) or "").startswith("13:")


@in_files
def test_every_promise_holds_while_descriptors_run_out() -> None:
    broken, failed = {}, 0
    for seed in range(16):
        world = World(seed, Temper(descriptors=True))
        told = world.run()
        if told is not None:
            broken[seed] = told
        failed += world.descriptors.failed
    assert broken == {}
    assert failed > 150


@in_files
def test_a_book_that_takes_a_lack_of_descriptors_for_damage_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "_raise_scarce", lambda _: None)
    assert any((run(seed, Temper(descriptors=True)) or "").startswith("4:") for seed in range(10))


@pytest.mark.parametrize("what", ["copy", "gone"])
def test_every_promise_holds_of_hosts_with_a_long_history(what: Literal["copy", "gone"]) -> None:
    broken, pages = {}, 0
    for seed in range(8):
        world = World(seed, Temper(restored=what, history=True))
        told = world.run()
        if told is not None:
            broken[seed] = told
        pages = max([pages, *(node.pages for node in world.nodes.values())])
    assert broken == {}
    assert pages >= 10


def test_a_page_that_is_taken_for_a_whole_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pages, "add", lambda _, page: msgspec.structs.replace(page, page=0, pages=1))
    assert any(run(seed, Temper(restored="gone", history=True)) for seed in range(10))


def test_every_promise_holds_of_images_that_are_captured() -> None:
    broken, seen = {}, set()
    for seed in range(16):
        world = World(seed, Temper(captures=True))
        told = world.run()
        if told is not None:
            broken[seed] = told
        seen |= world.users.captures.seen
    assert broken == {}
    assert seen >= {State.PENDING, State.AVAILABLE, State.DEREGISTERED}


@pytest.mark.parametrize("what", ["copy", "gone"])
def test_every_promise_holds_of_captures_in_a_database_that_was_recovered(what: Literal["copy", "gone"]) -> None:
    temper = Temper(restored=what, captures=True)
    broken = {seed: told for seed in range(12) if (told := run(seed, temper)) is not None}
    assert broken == {}


def test_a_host_that_is_drained_and_given_something_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    without = tuple(each for each in placement.FILTERS if each is not placement.state)
    monkeypatch.setattr(placement, "FILTERS", without)
    assert any((run(seed, Temper(operators=True)) or "").startswith("11:") for seed in range(40))


@pytest.mark.parametrize("what", ["copy", "gone"])
def test_every_promise_holds_of_what_was_recovered_without_a_host(what: Literal["copy", "gone"]) -> None:
    """It is silent for longer than it is waited for; what it has is intact and known when it is back."""
    temper = Temper(restored=what, silent=True)
    broken = {seed: told for seed in range(15) if (told := run(seed, temper)) is not None}
    assert broken == {}


def test_a_seed_tells_the_same_story_in_every_process(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever ran before, and however sets of strings are ordered there."""
    assert run(3) is None
    capsys.readouterr()
    assert run(7, trace=True) is None
    here = capsys.readouterr().out
    code = "import logging, structlog; from tests.loops.world import run\n"
    code += "structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))\n"
    code += "run(7, trace=True)"
    elsewhere = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run([sys.executable, "-c", code], env=elsewhere, capture_output=True, text=True, check=True)
    assert told.stdout == here
    assert "-- calm" in here


def test_every_promise_holds_of_hosts_whose_books_are_put_back() -> None:
    """Until the store has heard of it such a host does what was ordered then; at rest everything is as it should be."""
    broken = {seed: told for seed in range(16) if (told := run(seed, Temper(old=True))) is not None}
    assert broken == {}


@pytest.mark.parametrize(("what", "mute"), [("copy", "mute"), ("gone", "full")])
def test_every_promise_holds_of_what_was_recovered_without_a_host_that_reports(
    what: Literal["copy", "gone"], mute: Literal["mute", "full"]
) -> None:
    """It answers nothing, or has a full disk, for longer than it is waited for."""
    broken = {seed: told for seed in range(10) if (told := run(seed, Temper(restored=what, mute=mute))) is not None}
    assert broken == {}
