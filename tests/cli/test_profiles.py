"""Profiles in the files of AWS clients: another's is never changed, and everything else stays as it is."""

from __future__ import annotations

import configparser
import stat
from pathlib import Path

import pytest

from pileus.cli import profiles, shells
from pileus.cli.client import connect, remote
from pileus.cli.options import state_of
from pileus.cli.problem import Problem
from pileus.cli.profiles import Profile

OWN = Profile(
    "lab",
    "/state",
    {"endpoint_url": "http://127.0.0.1:1", "pileus_endpoint": "http://127.0.0.1:1/v1"},
    {"aws_access_key_id": "A", "aws_secret_access_key": "S", "pileus_token": "t"},
)
OTHERS = """# mine
[default]
region = eu-central-1

[profile work]  # of the company
sso_session = x
s3 =
    max_concurrent_requests = 20
"""


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the config file; the credentials stand beside it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "PILEUS_ENDPOINT", "PILEUS_PROFILE", "PILEUS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".aws" / "config"


def test_a_profile_is_written_and_read(config: Path) -> None:
    paths = profiles.write(OWN)
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600, 0o600]
    parser = configparser.ConfigParser()
    parser.read(config)
    assert parser["profile lab"]["endpoint_url"] == "http://127.0.0.1:1"
    assert profiles.remote("lab") == ("http://127.0.0.1:1/v1", "t", None)


def test_everything_else_stays_as_it_is(config: Path) -> None:
    config.parent.mkdir()
    config.write_text(OTHERS)
    profiles.write(OWN)
    profiles.write(OWN._replace(config={"endpoint_url": "http://127.0.0.1:2"}))
    text = config.read_text()
    assert text.startswith(OTHERS)
    assert text.count("[profile lab]") == 1
    assert "127.0.0.1:2" in text
    assert "127.0.0.1:1" not in text
    profiles.remove("lab", "/state")
    assert config.read_text().strip() == OTHERS.strip()


def test_a_profile_between_others_is_replaced_in_its_place(config: Path) -> None:
    profiles.write(OWN)
    with config.open("a") as file:
        file.write("\n" + OTHERS)
    profiles.write(OWN._replace(config={"endpoint_url": "http://127.0.0.1:2"}))
    assert config.read_text().endswith("\n\n" + OTHERS)
    assert config.read_text().startswith("[profile lab]\nendpoint_url = http://127.0.0.1:2\n")


@pytest.mark.parametrize(
    "text", ["[profile lab]\nregion = x\n", "[ profile   lab ]\n", "[profile lab]\npileus_cloud = /o\n"]
)
def test_anothers_profile_is_never_changed(config: Path, text: str) -> None:
    config.parent.mkdir()
    config.write_text(text)
    for change in (lambda: profiles.write(OWN), lambda: profiles.remove("lab", "/state")):
        with pytest.raises(Problem, match="stays: give another name"):
            change()
    assert config.read_text() == text
    assert not (config.parent / "credentials").exists()


def test_anothers_credentials_are_never_changed(config: Path) -> None:
    config.parent.mkdir()
    (config.parent / "credentials").write_text("[lab]\naws_access_key_id = theirs\n")
    with pytest.raises(Problem, match="another program"):
        profiles.write(OWN)
    assert not config.exists()


def test_a_link_stays_a_link(config: Path, tmp_path: Path) -> None:
    config.parent.mkdir()
    real = tmp_path / "settings"
    config.symlink_to(real)
    profiles.write(OWN)
    assert config.is_symlink()
    assert "[profile lab]" in real.read_text()


def test_ends_of_lines_of_others_stay_as_they_are(config: Path) -> None:
    config.parent.mkdir()
    text = "# one\u2028line\x0c\r\n[profile work]\r\nregion = x\r\n"
    config.write_bytes(text.encode())
    profiles.write(OWN)
    assert config.read_bytes().decode().startswith(text)
    profiles.remove("lab", "/state")
    assert config.read_bytes().decode().rstrip("\n") == text.rstrip("\n")


@pytest.mark.parametrize("secret", ["S\ncredential_process = evil", "S\r", "S\u2028x"])
def test_a_cloud_elsewhere_adds_no_settings(config: Path, secret: str) -> None:
    """Its answer has the access key: a line more would be run by AWS clients."""
    with pytest.raises(Problem, match="signs that no setting may have"):
        profiles.write(OWN._replace(credentials={"aws_secret_access_key": secret}))
    assert not config.parent.exists()


def test_no_access_key_is_made_for_a_profile_that_cannot_be(config: Path) -> None:
    config.parent.mkdir()
    config.write_text("[profile work]\nregion = x\n")
    # Nothing answers there: a request would end by another problem.
    cloud_elsewhere = profiles.Remote("http://127.0.0.1:1/v1", "t", None)
    for name, message in (("a b", "no name of a profile"), ("work", "another program's")):
        with pytest.raises(Problem, match=message):
            shells.profile(name, Path("/state"), cloud_elsewhere)


def test_names_that_cannot_be() -> None:
    for name in ("", "a b", "a]", "x\ny", "x" * 65):
        with pytest.raises(Problem, match="no name of a profile"):
            profiles.write(OWN._replace(name=name))
    with pytest.raises(Problem, match="There is no profile 'lab'"):
        profiles.remove("lab", "/state")
    with pytest.raises(Problem, match="no profile of Pileus"):
        profiles.remote("lab")


def test_the_environment_names_a_cloud_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert remote() is None
    monkeypatch.setenv("PILEUS_ENDPOINT", "https://cloud.example:8770/")
    with pytest.raises(Problem, match="set PILEUS_TOKEN, or give --profile"):
        remote()
    monkeypatch.setenv("PILEUS_TOKEN", "t")
    assert remote() == ("https://cloud.example:8770/v1", "t", None)
    assert connect(state_of(None)).url == "https://cloud.example:8770/v1"
    with pytest.raises(Problem, match="are two: give one of them"):
        connect(Path("/another/state"))
    profiles.write(OWN)
    monkeypatch.setenv("PILEUS_PROFILE", "lab")
    with pytest.raises(Problem, match="name two clouds"):
        remote()
    monkeypatch.delenv("PILEUS_ENDPOINT")
    assert remote() == ("http://127.0.0.1:1/v1", "t", None)
    monkeypatch.setenv("PILEUS_ENDPOINT", "cloud.example:8770")
    monkeypatch.delenv("PILEUS_PROFILE")
    with pytest.raises(Problem, match="is no endpoint"):
        remote()
