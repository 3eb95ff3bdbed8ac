"""Providers are found by their entry points: one of another package runs clouds."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pileus.app import kits, settings
from pileus.app.hostbody import HostBodyRunner, services
from pileus.app.processes import until
from pileus.app.state import StateDirectory
from pileus.bus.channels import ChannelServer
from pileus.bus.unix import HostEnd
from pileus.cli.client import connect
from pileus.cli.problem import Problem
from tests.providers.toy import installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.model.kit import HostBody, Kit


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """The toy's kit, installed for this process."""
    with installed.loaded(tmp_path_factory.mktemp("packages")) as kit:
        yield kit


def _no_objects(digest: str, target: Path) -> None:
    raise AssertionError((digest, target))


def test_it_is_one_of_the_installed_ones(toy: Kit) -> None:
    assert kits.installed() == ("local", "stub", "toy")
    assert toy in list(kits.every())
    with pytest.raises(Problem, match="There is no provider 'other'; there are local and stub and toy"):
        kits.load("other")


def test_it_has_settings_of_its_own_and_other_defaults(toy: Kit) -> None:
    given = {"PILEUS_TOY_VCPUS": "7", "PILEUS_TOY_FOLDER": "/x"}
    own: Any = settings.read_own(toy, given)
    assert (own.toy_vcpus, own.toy_folder) == (7, Path("/x"))
    for name, wrong, why in (("TOY_VCPUS", "many", "`int`"), ("TOY_FOLDER", "x", "an absolute path")):
        with pytest.raises(Problem, match=f"PILEUS_{name}={wrong} cannot be used: .*{why}"):
            settings.read_own(toy, {f"PILEUS_{name}": wrong})
    assert settings.read({}, toy).zone == "toy-zone"
    assert settings.read({"PILEUS_ZONE": "mine"}, toy).zone == "mine"
    assert settings.misspelt([toy], {**given, "PILEUS_TOY_VCPU": "x"}) == {"PILEUS_TOY_VCPU": "PILEUS_TOY_VCPUS"}
    assert set(settings.misspelt([], given)) == set(given)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Shorter than pytest's: sockets have to fit below it.
    made = Path(tempfile.mkdtemp(prefix="pileus-toy-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_a_cloud_runs_on_it_with_a_host_of_another_provider(toy: Kit, folder: Path) -> None:
    """up, status, doctor, down and purge; and the bodies of its hosts are the toy's and the stub's."""
    python, state = installed.environment(folder / "python"), StateDirectory(folder / "x")

    def done(*words: str) -> str:
        command = installed.pileus(python, state.root, *words, PILEUS_TOY_VCPUS="2")
        assert command.returncode == 0, command.stdout + command.stderr
        return command.stdout

    assert "local, stub, toy." in " ".join(installed.pileus(python, state.root, "up", "--help").stdout.split())
    done("up", "--provider", "toy")
    try:
        client = connect(state.root)
        assert [image["name"] for image in client.all("images")] == ["toy"]
        assert until(lambda: _hosts(client) == [socket.gethostname()], 20)
        parts = {line.split()[0] for line in done("status").splitlines()}
        assert {"supervisor", "cloud", "host", "toyd"} <= parts
        report = json.loads(done("doctor", "--json", "--pause", "0.5"))
        assert (report["findings"], report["facts"]["toy"]) == ([], "of 2 processors")
        with _stub_host(state, StateDirectory(folder / "second")) as second:
            assert until(lambda: _hosts(client) == [socket.gethostname(), "second"], 30), _hosts(client)
            made = client.post("instances", body={"image": "toy", "least": 6, "most": 6})["instances"]
            assert until(lambda: {one["state"] for one in client.all("instances")} == {"running"}, 30)
            homes = [client.get("instances", one["id"])["host"] for one in made]
            assert set(homes) == {socket.gethostname(), "second"}, homes
            pretended = [seen for seen in second.provider.scan() if seen.running]
            assert len(pretended) == homes.count("second"), "the others are the toy's"
        done("down", "--instances")
        assert installed.pileus(python, state.root, "status").returncode == 1
        assert "winding up" in installed.pileus(python, state.root, "up").stderr
        done("purge", "--yes")
        assert not state.root.exists()
    finally:
        installed.pileus(python, state.root, "down", "--instances")


def _hosts(client: Any) -> list[str]:
    active = [str(host["name"]) for host in client.all("hosts") if host["state"] == "active"]
    return sorted(active, key=lambda name: name == "second")


@contextlib.contextmanager
def _stub_host(cloud: StateDirectory, own: StateDirectory) -> Iterator[HostBody]:
    """A host of the stub's on the bus of a cloud of the toy's."""
    own.prepare()
    kit, chosen = kits.load("stub"), settings.read(kit=kits.load("toy"))
    channels, link = ChannelServer(own.channels), HostEnd(cloud.bus, "second")
    body = kit.body(kits.site(kit, own, chosen), services(own, _no_objects, channels))
    runner = HostBodyRunner("second", body, link, own, chosen)
    channels.start()
    runner.start()
    try:
        yield body
    finally:
        runner.stop()
        link.stop()
        channels.stop()
