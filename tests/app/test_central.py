"""What OVN's databases prove themselves with, and what `pileus central` says when it has not got it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pileus.app import (
    central,
    main,  # noqa: F401  (adds the commands that run processes)
    settings,
)
from pileus.app.settings import Settings
from pileus.app.state import StateDirectory
from pileus.cli.commands import cli
from pileus.cli.problem import Problem


def told(file: Path | str) -> Settings:
    return settings.read(
        {"PILEUS_SOUTHBOUND_LISTEN": "10.0.0.1:6642", "PILEUS_SOUTHBOUND_CERTIFICATE": str(file)},
    )


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    directory = StateDirectory(tmp_path / "x")
    directory.prepare()
    return directory


def test_the_first_command_of_a_cloud_makes_its_authority_and_a_certificate(
    state: StateDirectory, tmp_path: Path
) -> None:
    cloud, file = tmp_path / "c", tmp_path / "central.pem"
    words = ["certificate", "10.0.0.1", "--state", str(cloud)]
    assert isinstance(CliRunner().invoke(cli, words).exception, Problem)
    assert not cloud.exists()
    file.write_text(CliRunner().invoke(cli, [*words, "--make-authority"]).stdout)
    fabric = central.fabric(state, told(file))
    assert (fabric.central, fabric.switches, fabric.listen) == (True, False, "pssl:6642:10.0.0.1")
    assert fabric.tls is not None
    assert fabric.tls.ca.read_text() == file.read_text().partition("-----END CERTIFICATE-----\n")[2]
    # Once there is one, it stays.
    again = CliRunner().invoke(cli, [*words, "--make-authority"]).stdout
    assert again.endswith(fabric.tls.ca.read_text())


def test_what_lacks_is_said(state: StateDirectory, tmp_path: Path) -> None:
    with pytest.raises(Problem, match="PILEUS_SOUTHBOUND_LISTEN"):
        central.fabric(state, settings.read({}))
    with pytest.raises(Problem, match="PILEUS_SOUTHBOUND_CERTIFICATE"):
        central.fabric(state, told(""))
    half = tmp_path / "half.pem"
    half.write_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
    with pytest.raises(Problem, match="prints all three"):
        central.fabric(state, told(half))
    with pytest.raises(Problem, match="PILEUS_SOUTHBOUND_LISTEN"):
        settings.read({"PILEUS_SOUTHBOUND_LISTEN": "6642"})
