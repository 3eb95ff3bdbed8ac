"""The lines that lead a shell's clients to a cloud."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from pileus.cli import shells

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory whose documents hold what a shell could stumble over."""
    (tmp_path / "endpoints.json").write_text(json.dumps({"ec2": "http://127.0.0.1:1", "rest": "http://127.0.0.1:1/v1"}))
    (tmp_path / "admin.json").write_text(json.dumps({"access_key": "AKIA", "secret_key": "a'b $c\"d", "token": "t"}))
    return tmp_path


def test_a_shell_reads_exactly_what_is_meant(state: Path) -> None:
    script = f'{shells.exports(state)}\nprintf "%s" "$AWS_SECRET_ACCESS_KEY|$AWS_ENDPOINT_URL|${{AWS_CA_BUNDLE-none}}"'
    environment = {"PATH": "/usr/bin:/bin", "AWS_CA_BUNDLE": "/nowhere"}
    said = subprocess.run(["sh", "-ec", script], env=environment, capture_output=True, text=True, check=True).stdout
    assert said == "a'b $c\"d|http://127.0.0.1:1|none"


def test_the_mcc_tools_are_told_where_their_listener_is(state: Path) -> None:
    assert "MCC_SERVER" not in shells.environment(state)
    urls = {"ec2": "http://127.0.0.1:1", "rest": "http://127.0.0.1:1/v1", "mcc": "http://127.0.0.1:2"}
    (state / "endpoints.json").write_text(json.dumps(urls))
    assert shells.environment(state)["MCC_SERVER"] == "127.0.0.1:2"


def test_proxies_are_kept_out_of_the_way(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert "NO_PROXY" not in shells.environment(state)
    monkeypatch.setenv("HTTP_PROXY", "http://proxy")
    assert shells.environment(state)["NO_PROXY"] == "127.0.0.1"
    monkeypatch.setenv("no_proxy", "example.org")
    assert shells.environment(state)["NO_PROXY"] == "example.org,127.0.0.1"
    assert shells.environment(state)["no_proxy"] == "example.org,127.0.0.1"
