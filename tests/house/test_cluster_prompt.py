"""The prompt of `make cluster` says what cannot be done in a line; no machine has to run for that."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.cluster.__main__ import USAGE, Console
from tests.cluster.machines import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def console() -> Iterator[Console]:
    """One whose cluster was never started."""
    cluster = Cluster()
    made = Console(cluster)
    made.stdout = io.StringIO()
    yield made
    shutil.rmtree(cluster.root)


def said(console: Console, line: str) -> str:
    """What it says to a line, which does not end it."""
    assert isinstance(console.stdout, io.StringIO)
    console.stdout.truncate(0)
    console.stdout.seek(0)
    assert not console.onecmd(line)
    return console.stdout.getvalue()


def test_help_names_every_command_and_no_other(console: Console) -> None:
    shown = [line.split()[0] for line in said(console, "help").splitlines()]
    assert shown == list(USAGE)
    assert set(console._does) | {"quit"} == {*USAGE, "help"}
    assert console.onecmd("quit")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nonsense", "there is no command 'nonsense'; `help` lists them"),
        ("kill", "usage: kill PART"),
        ("pause api-1 api-2", "usage: pause PART"),
        ("kill api-9", "there is no part 'api-9'; there are central, api-1"),
        ("kill broker", "broker does not run"),
        ("kill host9/switch", "there is no host 'host9'; there are host1, host2"),
        ("cut host1", "there is no machine 'host1'"),
        ("cut host1 radio", "there is no wire 'radio'; there are mgmt, tunnels, outside"),
        ("slow cloud fast", "invalid literal"),
        ("pileus list 'x", "No closing quotation"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(console: Console, line: str, says: str) -> None:
    assert says in said(console, line)
    assert said(console, line).count("\n") == 1


def test_words_are_completed(console: Console) -> None:
    assert console.completenames("st") == ["start "]
    assert console.completedefault("loops") == ["loops-1 ", "loops-2 "]
