"""The recorder of pictures shows what a terminal shows."""

from __future__ import annotations

import importlib.util
import sys
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.house import tree

FILE = tree.ROOT / "docs" / "pictures" / "record.py"


@pytest.fixture(scope="module")
def recorder() -> Any:
    spec = importlib.util.spec_from_file_location("record", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["record"] = module
    spec.loader.exec_module(module)
    return module


def shown(screen: Any) -> list[str]:
    return ["".join(sign for sign, _ in row) for row in screen.shown()]


def test_lines_are_overwritten_erased_and_scrolled(recorder: Any) -> None:
    screen = recorder.Screen(columns=10, rows=3)
    screen.write("one\r\ntwo\rTW\r\n\x1b[1mthree\x1b[0m!\x1b[2D\x1b[K\r\n")
    assert shown(screen) == ["TWo", "thre", ""]
    screen.write("\x1b[2A\x1b[2Knew\x1b[2B\x1b[1Gx\x1b]0;a title\x07y")
    assert shown(screen) == ["new", "thre", "xy"]
    screen.write("\x1b[H\x1b[J" + "a" * 12)
    assert shown(screen) == ["a" * 10, "aa", ""]


def test_colours_are_kept_and_a_sequence_may_come_in_parts(recorder: Any) -> None:
    screen = recorder.Screen()
    for part in ("\x1b", "[3", "2mok\x1b[", "0m."):
        screen.write(part)
    assert screen.shown()[0] == (("o", ' fill="#3fb950"'), ("k", ' fill="#3fb950"'), (".", ""))


@given(st.text(alphabet=st.sampled_from("ab\n\r\b\t\x1b[]0;19?mKJHABCDG\x07é"), max_size=200))
def test_no_text_breaks_the_screen(recorder: Any, text: str) -> None:
    screen = recorder.Screen(columns=7, rows=4)
    screen.write(text)
    assert all(len(row) <= 7 for row in screen.shown())
    assert len(screen.shown()) == 4


def test_pauses_are_cut_and_a_row_is_written_once_for_its_time(recorder: Any) -> None:
    rows = [((("$", ""),), ()), ((("$", ""),), (("<", ' fill="#3fb950"'),)), ((("$", ""),), ())]
    frames = [recorder.Frame(at, tuple(each)) for at, each in zip((0.0, 30.0, 30.5), rows, strict=True)]
    assert [at for at, _ in recorder.timed(frames)] == [0.0, recorder.PAUSE, recorder.PAUSE + 0.5]
    text = recorder.svg(frames)
    root = ET.fromstring(text)  # noqa: S314  (it was made here)
    texts = ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["$", "<", "0 s", "30 s"]


def test_a_session_is_recorded(recorder: Any) -> None:
    frames = recorder.record(["echo $((6 * 7))", "cat <<< done"])
    lines = ["".join(sign for sign, _ in row) for row in frames[-1].rows]
    assert lines[:5] == ["$ echo $((6 * 7))", "42", "$ cat <<< done", "done", "$"]
    assert "animation" in recorder.svg(frames)
