"""Whoever answers is alive; who did and no longer does is hung; who never did, or was not asked, is not judged."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from pileus.app.pulse import MOST, PERIOD, SLOW, ProcessProbe

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
def pulse(tmp_path: Path) -> Iterator[ProcessProbe]:
    """Of a process that was followed from time 0 on."""
    probe = ProcessProbe(str(tmp_path / "s"), "how\xff")
    probe.begin(0.0)
    yield probe
    probe.begin(0.0)


def pass_over(pulse: ProcessProbe, periods: int) -> None:
    """Ask as the supervisor does, and hear nothing."""
    for _ in range(periods):
        pulse.ask(pulse.due)


def test_an_answer_clears_what_was_missed(asked: Asked, pulse: ProcessProbe) -> None:
    pulse.ask(PERIOD / 2)
    assert pulse.missed == 0
    pass_over(pulse, 3)
    assert (pulse.missed, pulse.due) == (2, 4 * PERIOD)
    assert asked.answer() == b"how\xff"
    pulse.hear()
    pass_over(pulse, 1)
    asked.answer()
    pulse.hear()
    assert (pulse.missed, pulse.hung) == (0, False)


def test_who_answered_once_and_then_no_more_is_hung(asked: Asked, pulse: ProcessProbe) -> None:
    pass_over(pulse, 1)
    asked.answer()
    pulse.hear()
    pass_over(pulse, 2)
    assert pulse.silent == PERIOD
    pass_over(pulse, MOST - 2)
    states = [pulse.hung]
    pass_over(pulse, 1)
    states.append(pulse.hung)
    pulse.begin(pulse.due)
    states.append(pulse.hung)
    assert states == [False, True, False]


def test_who_never_answered_is_called_silent_late_and_never_judged(pulse: ProcessProbe) -> None:
    pass_over(pulse, SLOW - 1)
    assert not pulse.silent
    pass_over(pulse, 3 * MOST - SLOW + 1)
    assert pulse.silent == pulse.missed * PERIOD
    assert pulse.missed == 3 * MOST
    assert not pulse.hung


def test_a_supervisor_that_slept_counts_one_question(asked: Asked, pulse: ProcessProbe) -> None:
    pass_over(pulse, 1)
    asked.answer()
    pulse.hear()
    pass_over(pulse, 1)
    pulse.ask(1000 * PERIOD)
    assert pulse.missed == 1


def test_nobody_is_asked_who_has_no_socket() -> None:
    pulse = ProcessProbe("", "\n")
    pulse.begin(0.0)
    pass_over(pulse, 3)
    assert (pulse.missed, pulse.link) == (0, None)


def test_a_connection_that_is_kept_is_used_again(tmp_path: Path, pulse: ProcessProbe) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        server.settimeout(5)
        pass_over(pulse, 1)
        link, _ = server.accept()
        with link:
            for _ in range(3):
                assert link.recv(100) == b"how\xff"
                link.sendall(b"yes")
                pulse.hear()
                assert pulse.missed == 0
                pass_over(pulse, 1)
        pulse.hear()
        pass_over(pulse, 1)
        server.accept()[0].close()
