"""The page about clients works as it is printed: each of its blocks, by the client that it is about."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.app.stub import Stub

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
EXCERPTS = {"yaml": "playbooks/site.yml", "hcl": "opentofu/main.tf"}
"""The file of tests/clients that a block is from, by the block's language; `make test-clients` runs it."""
BLOCK = re.compile(r"^## (?P<client>[^\n]+)$|^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str, str]]:
    """Client, language and text of each block under a heading."""
    client, code_blocks = "", []
    for each in BLOCK.finditer(PAGE.read_text()):
        client = each["client"] or client
        if client and each["text"]:
            code_blocks.append((client, each["language"], each["text"]))
    return code_blocks


@pytest.fixture(scope="module")
def environment(stub: Stub) -> dict[str, str]:
    """What the page's first block sets, in a shell that finds the clients."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/sbin:/sbin"
    home = str(stub.state.root)
    lines = stub.pileus("env").stdout.splitlines()
    variables = [word.partition("=") for line in lines if line.startswith("export ") for word in shlex.split(line)[1:]]
    return {"PATH": path, "HOME": home, **{name: value for name, _, value in variables}}


@pytest.mark.parametrize(
    ("client", "language", "text"),
    [pytest.param(*each, id=each[0]) for each in blocks() if each[1] not in EXCERPTS],
)
def test_the_page_as_printed(environment: dict[str, str], client: str, language: str, text: str) -> None:
    del client
    command = [sys.executable, "-c", text] if language == "python" else ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


def test_every_client_of_the_page_is_run() -> None:
    """The page's last two sections are about the tests of all clients, and the tasks that `tests/live` does."""
    assert len(blocks()) == len({client for client, _, _ in blocks()}) == PAGE.read_text().count("\n## ") - 2


@pytest.mark.parametrize(("language", "text"), [each[1:] for each in blocks() if each[1] in EXCERPTS])
def test_excerpts_are_of_files_that_are_run(language: str, text: str) -> None:
    def stripped(lines: str) -> str:
        return "\n".join(line.strip() for line in lines.splitlines())

    file = PAGE.parents[1] / "tests" / "clients" / EXCERPTS[language]
    assert stripped(text) in stripped(file.read_text())
