"""The page about testing works as it is printed: its Python in pytest and as a program, its container and pipeline."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest_plugins = ("pytester",)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text()
CONTAINERFILE = ROOT / "packaging" / "Containerfile"


def block(heading: str, language: str) -> str:
    """Return the text of the only block in this language under a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return str(text)


def test_the_tests_of_the_page_pass(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(block("The pytest plugin", "python"))
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_the_program_of_the_page_runs() -> None:
    program = [sys.executable, "-c", block("In a program", "python")]
    lines = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert lines[0].startswith("stub http://127.0.0.1:")
    assert lines[1] == "us-east-1"
    assert re.fullmatch(r"\d{12}", lines[2])


def test_every_block_of_the_page_is_tested() -> None:
    assert len(re.findall(r"^```\w+$", PAGE, re.MULTILINE)) == 4


def test_the_pipeline_runs_the_tests_without_root() -> None:
    pipeline = yaml.safe_load(block("In a pipeline", "yaml"))
    (job,) = pipeline["jobs"].values()
    assert job["runs-on"].startswith("ubuntu-")
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert len(commands) == 3
    assert not any("sudo" in command for command in commands)


def test_the_container_is_an_ordinary_users_and_publishes_the_port_of_its_cloud() -> None:
    lines = re.sub(r"\\\n\s*", " ", CONTAINERFILE.read_text()).splitlines()
    instructions = [line.partition(" ")[::2] for line in lines if line and not line.startswith("#")]
    last = dict(instructions)
    assert last["USER"] == "10001:10001"
    assert f"--port {last['EXPOSE']} " in last["CMD"]
    assert f":{last['EXPOSE']} " in block("In a container", "sh")
    copies = [words.split()[:-1] for name, words in instructions if name == "COPY" and not words.startswith("--")]
    assert [word for words in copies for word in words if not (ROOT / word).exists()] == []
