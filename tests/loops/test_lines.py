"""Each line of the protocol is needed: switched off, it breaks a promise in some world that the whole code survives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.loops.clouds import cloud
from tests.loops.lines import LINES
from tests.loops.promises import RIGHTS
from tests.loops.world import run

MOST = 150
"""Worlds that are tried at most, from the one on that is known to show it."""

ROOT = Path(__file__).parents[2]


def documentation() -> str:
    return (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")


def numbers(section: str) -> list[int]:
    """The numbers of the items of a section's ordered list."""
    return [int(number) for number in re.findall(r"^(\d+)\. ", section, flags=re.MULTILINE)]


def documented_lines() -> dict[int, str]:
    """The sections of the lines, by number, in the order of the document."""
    text = documentation().split("\n## Lines\n")[1].split("\n## ")[0]
    headings = list(re.finditer(r"^### Line (\d+): .+$", text, flags=re.MULTILINE))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    return {int(heading[1]): text[heading.end() : end] for heading, end in zip(headings, ends, strict=True)}


def test_promises_lines_and_their_items_are_numbered_without_gaps() -> None:
    lines = documented_lines()
    assert list(lines) == list(range(1, len(lines) + 1))
    promises = documentation().split("\n## Promises\n")[1].split("\n## ")[0]
    assert numbers(promises) == list(range(1, RIGHTS + 1))
    for number, section in lines.items():
        items = numbers(section)
        assert items, number
        assert items == list(range(1, len(items) + 1)), number


def test_references_to_lines_name_lines_that_are_there() -> None:
    lines = documented_lines()
    assert {line.number for line in LINES.values()} <= lines.keys()
    named = re.findall(r"\bline (\d+)", documentation(), flags=re.IGNORECASE)
    for path in (ROOT / "src").rglob("*.py"):
        named += re.findall(r"docs/protocol\.md, line (\d+)", path.read_text(encoding="utf-8"))
    assert {int(number) for number in named} <= lines.keys()


def test_the_documentation_tells_of_every_line() -> None:
    text = documentation()
    assert [name for name, line in LINES.items() if f"| {line.number} | {name}: {line.says} |" not in text] == []


@pytest.mark.parametrize("name", [name for name, line in LINES.items() if not line.rare])
def test_a_line_that_is_off_breaks_a_promise(name: str) -> None:
    line = LINES[name]
    cloud()  # What every world begins with is made with all lines on.
    with line.off():
        tried = ((seed, run(seed, line.temper)) for seed in range(line.seed, line.seed + MOST))
        shown = next(((seed, broken) for seed, broken in tried if broken is not None), None)
    assert shown is not None, f"no world of {MOST} needs it"
    assert run(shown[0], line.temper) is None, f"seed {shown[0]} fails with the line too"
