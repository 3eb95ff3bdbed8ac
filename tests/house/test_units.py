"""The systemd units name commands and options that exist, and systemd understands them."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from pileus.app import main  # noqa: F401  (adds the commands that run processes)
from pileus.cli.commands import cli
from tests.house import tree

UNITS = sorted((tree.ROOT / "packaging" / "systemd").glob("*.service"))
INSTALLED = "/usr/local/bin/pileus"


def verified(folder: Path, text: str) -> str:
    """What systemd has to say of a unit; nothing when it is well."""
    unit = folder / "pileus@default.service"
    unit.write_text(text.replace(INSTALLED, str(Path(sys.executable).parent / "pileus")))
    done = subprocess.run(
        # As a user's: the system's would leave files in /run.
        ["systemd-analyze", "verify", "--user", "--man=no", str(unit)],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr or f"status {done.returncode}" * (done.returncode != 0)


def test_there_are_units() -> None:
    names = [path.name for path in UNITS]
    assert names == [f"pileus{role}@.service" for role in ("-api", "-central", "-host", "-loops", "")]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: str(path.name))
def test_units_run_commands_that_exist(path: Path) -> None:
    unit = configparser.ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(path.read_text())
    commands = [value.split() for key, value in unit["Service"].items() if key.startswith("Exec")]
    known = set(typer.main.get_command(cli).commands)  # type: ignore[attr-defined]
    assert commands
    for program, verb, *_ in commands:
        assert (program, verb in known) == (INSTALLED, True)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: str(path.name))
def test_systemd_understands_the_units(path: Path, tmp_path: Path) -> None:
    text = path.read_text()
    assert verified(tmp_path, text) == ""
    assert "Unknown key" in verified(tmp_path, text.replace("Type=", "Typ="))


@pytest.mark.parametrize("path", UNITS, ids=lambda path: str(path.name))
def test_units_that_restart_never_give_up(path: Path) -> None:
    unit = configparser.ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(path.read_text())
    # A process ends at once while its database is away; systemd gives up after five such starts in 10 s.
    assert unit["Service"].get("Restart") != "always" or unit["Unit"].get("StartLimitIntervalSec") == "0"
