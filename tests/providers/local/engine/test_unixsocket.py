"""Unix sockets by paths of any length."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pileus.providers.local.engine import unixsocket


def test_a_long_path_can_be_connected_to(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    handle = os.open(folder, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{handle}/s")
        server.listen()
        assert unixsocket.answers(folder / "s")
    os.close(handle)
    assert not unixsocket.answers(folder / "s"), "a socket file without a listener does not answer"


def test_nothing_there_does_not_answer(tmp_path: Path) -> None:
    assert not unixsocket.answers(tmp_path / "absent")
    assert not unixsocket.answers(tmp_path / "no" / "folder")


def test_a_server_that_closes_connections_at_once_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for question, answers in ((b"", True), (b"?", False)):
        ours, theirs = socket.socketpair()
        theirs.close()
        monkeypatch.setattr(unixsocket, "connect", lambda _path, _timeout, link=ours: link)
        assert unixsocket.answers(tmp_path, question) is answers
