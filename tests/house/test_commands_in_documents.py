"""Each command in the documents is one that there is, with options that it has; each setting beside it, too."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest
import typer

import pileus.app.main  # noqa: F401  (it adds commands)
from pileus.app import faces, kits, settings
from pileus.cli.commands import cli
from tests.house import tree

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENTS = [tree.ROOT / "README.md", *sorted((tree.ROOT / "docs").glob("*.md"))]
ENDS = {">", ">>", "|", "&&", ";", "&"}
"""Words at which the shell's own part of a line begins."""

BESIDE = {"PILEUS_STATE", "PILEUS_ENDPOINT", "PILEUS_TOKEN", "PILEUS_CA", "PILEUS_PROFILE"}
"""What the commands' options take from the environment, and no cloud."""


def blocks(text: str) -> list[str]:
    """The commands that stand in blocks, fenced or indented, one to a line."""
    joined = re.sub(r"\\\n\s*", " ", text)
    fenced = re.findall(r"^```\w*\n(.*?)^```$", joined, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in fenced for line in block.splitlines()]
    lines += re.findall(r"^    (\S.*)$", joined, flags=re.MULTILINE)
    return [line for line in lines if re.match(r"export PILEUS|(sudo )?(\w+=\S+ +)*(\S*/)?pileus ", line)]


def mentions(text: str) -> list[str]:
    """The commands that are mentioned in a sentence."""
    return [said.replace("\n", " ") for said in re.findall(r"`((?:PILEUS_\w+=\S* )*pileus [^`]+)`", text)]


def parsed(line: str) -> None:
    """Parse it as the executable would, and do nothing. Raises what the parser raises, ValueError for a setting."""
    words = shlex.split(line, comments=True)
    begin = next((at for at, word in enumerate(words) if word.endswith("pileus")), len(words))
    for word in words[:begin]:
        name, is_one, _ = word.partition("=")
        known = settings.variables(kits.every()) | faces.variables() | BESIDE
        if is_one and name.startswith(settings.PREFIX) and name not in known:
            raise ValueError(f"there is no setting {name}")
    words = words[begin + 1 :]
    words = words[: next((at for at, word in enumerate(words) if word in ENDS), len(words))]
    found: Any = typer.main.get_command(cli)
    options = {name: option for option in found.params for name in option.opts}
    while words and words[0].startswith("-") and words != ["--help"]:
        if words[0] not in options:
            raise ValueError(f"there is no option {words[0]}")
        words = words[1 if options[words[0]].is_flag else 2 :]
    while words and words != ["--help"] and hasattr(found, "commands"):
        if words[0] not in found.commands:
            raise ValueError(f"there is no command '{words[0]}'")
        found, words = found.commands[words[0]], words[1:]
    if not hasattr(found, "commands"):
        found.make_context("pileus", words)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.name))
def test_commands_of_a_document_can_be_given_as_they_stand(path: Path) -> None:
    wrong = {}
    for line in blocks(path.read_text()):
        try:
            parsed(line)
        except Exception as error:  # noqa: BLE001  (the parser's are its own)
            wrong[line] = str(error)
    assert wrong == {}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.name))
def test_commands_that_a_document_mentions_are_there(path: Path) -> None:
    wrong = {}
    for line in mentions(path.read_text()):
        try:
            parsed(line)
        except Exception as error:  # noqa: BLE001  (as above)
            # A mention need not say to what.
            if type(error).__name__ not in ("MissingParameter", "NoArgsIsHelpError"):
                wrong[line] = str(error)
    assert wrong == {}


def test_the_commands_of_several_machines_are_among_them() -> None:
    text = (tree.ROOT / "docs" / "operating.md").read_text()
    section = text.partition("## Several machines")[2].partition("\n## ")[0]
    said = "\n".join(blocks(section))
    for command in ("certificate", "central", "api", "loops", "host token", "host join", "up"):
        assert f"pileus {command} " in said, command
    with pytest.raises(ValueError, match="no command"):
        parsed("pileus host jion x y")
    with pytest.raises(ValueError, match="no setting"):
        parsed("PILEUS_TUNNEL=eth1=10.0.0.1/24 pileus up")
    with pytest.raises(Exception, match="--stat"):
        parsed("pileus up --stat x")
