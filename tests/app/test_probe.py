"""Whoever answers is alive; who did and no longer does is hung; who never did, or was not asked, is not judged."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from pileus.app.probe import MOST, PERIOD, SLOW, ProcessProbe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Asked:
    """A process behind a unix socket that answers when it is told to."""

    def __init__(self, path: Path) -> None:
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen(64)
        self._server.settimeout(5)

    def answer(self) -> bytes:
        """Answer the oldest question; it."""
        question = b""
        link, _ = self._server.accept()
        # Who asked may have stopped listening.
        with link, contextlib.suppress(BrokenPipeError):
            question = link.recv(100)
            link.sendall(b"yes")
        return question

    def close(self) -> None:
        """End."""
        self._server.close()


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    """The process that is asked."""
    process = Asked(tmp_path / "s")
    yield process
    process.close()


@pytest.fixture
def probe(tmp_path: Path) -> Iterator[ProcessProbe]:
    """Of a process that was followed from time 0 on."""
    probe = ProcessProbe(str(tmp_path / "s"), "how\xff")
    probe.begin(0.0)
    yield probe
    probe.begin(0.0)


def pass_over(probe: ProcessProbe, periods: int) -> None:
    """Ask as the supervisor does, and hear nothing."""
    for _ in range(periods):
        probe.ask(probe.due)


def test_an_answer_clears_what_was_missed(asked: Asked, probe: ProcessProbe) -> None:
    probe.ask(PERIOD / 2)
    assert probe.missed == 0
    pass_over(probe, 3)
    assert (probe.missed, probe.due) == (2, 4 * PERIOD)
    assert asked.answer() == b"how\xff"
    probe.hear()
    pass_over(probe, 1)
    asked.answer()
    probe.hear()
    assert (probe.missed, probe.hung) == (0, False)


def test_who_answered_once_and_then_no_more_is_hung(asked: Asked, probe: ProcessProbe) -> None:
    pass_over(probe, 1)
    asked.answer()
    probe.hear()
    pass_over(probe, 2)
    assert probe.silent == PERIOD
    pass_over(probe, MOST - 2)
    states = [probe.hung]
    pass_over(probe, 1)
    states.append(probe.hung)
    probe.begin(probe.due)
    states.append(probe.hung)
    assert states == [False, True, False]


def test_who_never_answered_is_called_silent_late_and_never_judged(probe: ProcessProbe) -> None:
    pass_over(probe, SLOW - 1)
    assert not probe.silent
    pass_over(probe, 3 * MOST - SLOW + 1)
    assert probe.silent == probe.missed * PERIOD
    assert probe.missed == 3 * MOST
    assert not probe.hung


def test_a_supervisor_that_slept_counts_one_question(asked: Asked, probe: ProcessProbe) -> None:
    pass_over(probe, 1)
    asked.answer()
    probe.hear()
    pass_over(probe, 1)
    probe.ask(1000 * PERIOD)
    assert probe.missed == 1


def test_nobody_is_asked_who_has_no_socket() -> None:
    probe = ProcessProbe("", "\n")
    probe.begin(0.0)
    pass_over(probe, 3)
    assert (probe.missed, probe.link) == (0, None)


def test_a_connection_that_is_kept_is_used_again(tmp_path: Path, probe: ProcessProbe) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        server.settimeout(5)
        pass_over(probe, 1)
        link, _ = server.accept()
        with link:
            for _ in range(3):
                assert link.recv(100) == b"how\xff"
                link.sendall(b"yes")
                probe.hear()
                assert probe.missed == 0
                pass_over(probe, 1)
        probe.hear()
        pass_over(probe, 1)
        server.accept()[0].close()
