"""The promises of docs/protocol.md, over worlds of the real code. `make worlds SEEDS=from:to` runs other seeds."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import Literal

import msgspec
import pytest

from pileus.bus.pages import Pages
from pileus.host import book
from pileus.model import placement
from pileus.store.files import DatabaseFiles
from pileus.store.reader import Reader
from tests.loops.samples import SAMPLES, broken_in
from tests.loops.temper import Temper
from tests.loops.world import run


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_promise_holds(kind: str) -> None:
    sample = SAMPLES[kind]
    broken, shown = broken_in(sample)
    assert broken == {}
    assert shown >= sample.shows


def test_a_host_that_is_drained_and_given_something_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    without = tuple(each for each in placement.FILTERS if each is not placement.state)
    monkeypatch.setattr(placement, "FILTERS", without)
    assert any((run(seed, Temper(operators=True)) or "").startswith("11:") for seed in range(40))


def test_an_order_that_lacks_what_a_damaged_row_describes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reader, "complete", lambda _: contextlib.nullcontext())
    assert any((run(seed, Temper(damaged=True)) or "").startswith("4:") for seed in range(10))


@pytest.mark.parametrize(("part", "what"), [("loss", "copy"), ("rescue", "log")])
def test_a_file_that_is_replaced_unnoticed_is_noticed(
    part: str, what: Literal["copy", "log"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DatabaseFiles, part, lambda _: "")
    assert (run(0, Temper(replaced=what)) or "").startswith("13:")


def test_a_book_that_takes_a_lack_of_descriptors_for_damage_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "_raise_scarce", lambda _: None)
    assert any((run(seed, Temper(descriptors=True)) or "").startswith("4:") for seed in range(10))


def test_a_page_that_is_taken_for_a_whole_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pages, "add", lambda _, page: msgspec.structs.replace(page, page=0, pages=1))
    assert any(run(seed, Temper(restored="gone", history=True)) for seed in range(10))


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
    done = subprocess.run([sys.executable, "-c", code], env=elsewhere, capture_output=True, text=True, check=True)
    assert done.stdout == here
    assert "-- calm" in here
