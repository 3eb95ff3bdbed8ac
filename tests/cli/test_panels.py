"""The help's groups, and the commands that are of this machine alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pileus.app.main import commands
from pileus.cli import panels

STREAMS = frozenset({"ssh", "shell", "exec", "cp", "forward", "console", "logs", "connect", "top"})
"""Commands whose output is a stream, or a terminal's."""

NO_DOCUMENT = panels.LOCAL - {"audit", "doctor"} | {
    "profile",
    "image build",
    "host run",
    "host join",
    "host admit",
    "user creds",
    "user password",
    "user revoke-tokens",
}
"""Commands that print no noun: most are about this machine."""


def leaves(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command that can be given, by its words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*words, name))
        elif not command.hidden:
            yield " ".join((*words, name)), command


@pytest.fixture(scope="module")
def program() -> Any:
    return commands()


def test_every_command_has_a_group_and_nouns_are_apart(program: Any) -> None:
    shown = {name: command for name, command in program.commands.items() if not command.hidden}
    groups = {name: command.rich_help_panel for name, command in shown.items()}
    assert set(groups.values()) == set(panels.PANELS)
    assert {groups[name] for name in ("ssh", "list", "top", "events")} == {panels.DAILY}
    assert {groups[name] for name in ("image", "router", "key", "address")} == {panels.NOUNS}
    # A command of no noun has to be placed: those of nouns are groups of commands.
    assert [
        name for name, group in groups.items() if group == panels.NOUNS and not hasattr(shown[name], "commands")
    ] == []


def test_groups_come_in_their_order(program: Any) -> None:
    order = [command.rich_help_panel for command in program.commands.values()]
    assert list(dict.fromkeys(order)) == list(panels.PANELS)


def test_the_commands_of_this_machine_are_there(program: Any) -> None:
    assert program.commands.keys() >= panels.LOCAL


def test_every_command_about_nouns_prints_json(program: Any) -> None:
    without = {
        words
        for words, command in leaves(program)
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert without <= STREAMS | NO_DOCUMENT
