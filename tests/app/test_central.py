"""What OVN's databases prove themselves with, and what `pileus central` says when it has not got it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pileus.app import (
    kits,
    main,  # noqa: F401  (adds the commands that run processes)
    settings,
)
from pileus.app.state import StateDirectory
from pileus.cli.commands import cli
from pileus.cli.problem import Problem
from pileus.model.errors import InvalidValue
from pileus.model.kit import Site
from pileus.providers.local import central
from pileus.providers.local.settings import LocalSettings

LISTEN = "10.0.0.1:6642"


def told(state: StateDirectory, listen: str = "", file: Path | str = "") -> Site:
    given = LocalSettings(southbound_listen=listen, southbound_certificate=str(file))
    return Site(state.root, given, "198.51.100.0/24")


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
    fabric = central.fabric(told(state, LISTEN, file))
    assert (fabric.central, fabric.switches, fabric.listen) == (True, False, "pssl:6642:10.0.0.1")
    assert fabric.tls is not None
    assert fabric.tls.ca.read_text() == file.read_text().partition("-----END CERTIFICATE-----\n")[2]
    # Once there is one, it stays.
    again = CliRunner().invoke(cli, [*words, "--make-authority"]).stdout
    assert again.endswith(fabric.tls.ca.read_text())


def test_what_lacks_is_said(state: StateDirectory, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="PILEUS_SOUTHBOUND_LISTEN"):
        central.fabric(told(state))
    with pytest.raises(InvalidValue, match="PILEUS_SOUTHBOUND_CERTIFICATE"):
        central.fabric(told(state, LISTEN))
    half = tmp_path / "half.pem"
    half.write_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
    with pytest.raises(InvalidValue, match="prints all three"):
        central.fabric(told(state, LISTEN, half))
    with pytest.raises(Problem, match="PILEUS_SOUTHBOUND_LISTEN"):
        settings.read_own(kits.load("local"), {"PILEUS_SOUTHBOUND_LISTEN": "6642"})
