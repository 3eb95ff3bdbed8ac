"""What a command says when there is no cloud, or it is not one's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pileus.cli.client import Client, default_state, documents
from pileus.cli.problem import Problem

if TYPE_CHECKING:
    from pathlib import Path


def test_no_cloud_is_a_problem_that_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=f"pileus up --state {tmp_path}"):
        documents(tmp_path)


def test_damaged_documents_are_a_problem(tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text("{")
    with pytest.raises(Problem, match="damaged"):
        documents(tmp_path)


def test_both_documents_are_read(tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text(json.dumps({"rest": "http://x/v1"}))
    (tmp_path / "admin.json").write_text(json.dumps({"token": "t"}))
    assert documents(tmp_path) == ({"rest": "http://x/v1"}, {"token": "t"})


@pytest.mark.loopback
def test_a_cloud_that_does_not_answer_is_a_problem() -> None:
    with pytest.raises(Problem, match="does not answer"):
        Client("http://127.0.0.1:1/v1", "t").get("instances")


def test_the_state_directory_is_the_environments_or_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PILEUS_STATE", "/some/where")
    assert str(default_state()) == "/some/where"
    monkeypatch.delenv("PILEUS_STATE")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert str(default_state()) == "/var/lib/pileus/default"
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_state() == tmp_path / ".local" / "state" / "pileus"
