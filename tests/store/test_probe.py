"""Who waits for a server that is silent is cut off, and who comes is sent away, until it answers again."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pileus.app.processes import until
from pileus.store import probe
from pileus.store.probe import DatabaseProbe

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = pytest.mark.loopback


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PATIENCE", 0.2)
    monkeypatch.setattr(probe, "LOOK", 0.05)


@pytest.fixture
def link() -> Iterator[socket.socket]:
    near, far = socket.socketpair()
    near.settimeout(10)
    with near, far:
        yield near


def test_who_waits_for_a_silent_server_is_cut_off(link: socket.socket) -> None:
    lives = [False]
    made = DatabaseProbe(lambda: lives[0])
    with made.waiting(link.fileno()):
        assert link.recv(1) == b""
    assert made.silent
    lives[0] = True
    assert until(lambda: not made.silent, 30)


def test_who_waits_for_its_turn_is_not(link: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    looks = [0]

    def answers() -> bool:
        asked.append(looks[0])
        return True

    def sleep(seconds: float) -> None:
        looks[0] += 1
        time.sleep(seconds)

    def looked(times: int) -> None:
        before = looks[0]
        assert until(lambda: looks[0] >= before + times, 30)

    monkeypatch.setattr(probe, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    made = DatabaseProbe(answers)
    with made.waiting(link.fileno()):
        assert until(lambda: len(asked) >= 2, 30)
        link.settimeout(0)
        with pytest.raises(BlockingIOError):
            link.recv(1)
    assert not made.silent
    looked(2)  # one may have been under way
    asked.clear()
    looked(8)
    # Nobody waits any more: nobody is asked.
    assert asked == []
