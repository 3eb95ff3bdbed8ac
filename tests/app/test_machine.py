"""What a machine that joined is in the cloud's networks: by what it was told then, and by its settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pileus.app import (
    kits,
    main,  # noqa: F401  (adds the commands that run processes)
    settings,
)
from pileus.app.state import StateDirectory
from pileus.app.up import running
from pileus.cli.commands import cli
from pileus.cli.problem import Problem
from pileus.model.errors import InvalidValue
from pileus.posix.files import write_json
from pileus.providers.local.engine.fabric import Fabric
from pileus.providers.local.site import joined_fabric

TOLD = {"PILEUS_TUNNELS": "eth1=10.91.0.12/24", "PILEUS_OUTSIDE_INTERFACE": "eth2"}
JOINED = {
    "name": "host1",
    "url": "https://10.90.0.11:8774",
    "southbound": "ssl:10.90.0.11:6642",
    "floating_cidr": "198.51.100.0/24",
}


def fabric(state: StateDirectory, environment: Mapping[str, str]) -> Fabric:
    """Its part in the networks, with these settings."""
    kit = kits.load("local")
    site = kits.site(kit, state, settings.read(environment))
    return joined_fabric(dataclasses.replace(site, settings=settings.read_own(kit, environment)))


@pytest.fixture
def joined(tmp_path: Path) -> StateDirectory:
    state = StateDirectory(tmp_path / "h")
    state.prepare()
    write_json(state.joined, JOINED)
    return state


def test_a_host_s_switch_is_called_as_the_host_and_shows_its_certificate(joined: StateDirectory) -> None:
    own = fabric(joined, TOLD)
    assert (own.chassis, own.central, own.switches) == ("host1", False, True)
    assert (own.southbound, own.outside) == (JOINED["southbound"], JOINED["floating_cidr"])
    assert own.interfaces == ["eth1", "eth2"]
    assert own.tls is not None
    assert own.tls.certificate == joined.identity / "host.pem"


def test_its_interfaces_are_remembered_and_can_be_others(joined: StateDirectory) -> None:
    write_json(joined.started, {"provider": "local", "tunnels": "eth1=10.91.0.12/24", "outside_interface": "eth2"})
    assert fabric(joined, {}).interfaces == ["eth1", "eth2"]
    other = {"PILEUS_TUNNELS": "eth3=10.91.0.13/24"}
    assert fabric(joined, other).interfaces == ["eth3", "eth2"]


def test_without_a_way_to_the_others_it_does_not_start(joined: StateDirectory) -> None:
    with pytest.raises(InvalidValue, match="PILEUS_TUNNELS"):
        fabric(joined, {})
    write_json(joined.joined, {**JOINED, "southbound": ""})
    with pytest.raises(InvalidValue, match="PILEUS_SOUTHBOUND"):
        fabric(joined, TOLD)


@pytest.mark.parametrize("wrong", ["eth1", "eth1=10.91.0.12", "=10.91.0.12/24", "eth1=10.91.0.300/24"])
def test_an_interface_without_a_good_address_is_refused(wrong: str) -> None:
    with pytest.raises(Problem, match="PILEUS_TUNNELS"):
        settings.read_own(kits.load("local"), {"PILEUS_TUNNELS": wrong})


def test_a_host_is_no_cloud(joined: StateDirectory) -> None:
    done = CliRunner().invoke(cli, ["up", "--state", str(joined.root), "--port", "8770"])
    assert isinstance(done.exception, Problem)
    assert "no faces" in done.exception.message
    done = CliRunner().invoke(cli, ["up", "--state", str(joined.root), "--provider", "stub"])
    assert isinstance(done.exception, Problem)
    assert "no host processes" in done.exception.message
    write_json(joined.started, {"provider": "stub"})
    assert "cloud" not in running(joined)
