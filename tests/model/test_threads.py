"""A thread outlives the errors of its iterations, and says which it fails with."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from pileus.model.errors import Unavailable
from pileus.model.threads import Thread, failing, once
from tests.bus.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest


@contextlib.contextmanager
def run(name: str, iterate: Callable[[], object]) -> Iterator[None]:
    stopping = threading.Event()
    thread = Thread(name, iterate, stopping)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(10)


def test_a_thread_goes_on_after_an_error_and_is_failing_until_an_iteration_succeeds() -> None:
    broken, iterated = threading.Event(), threading.Event()
    broken.set()

    def iterate() -> None:
        if broken.is_set():
            raise OSError(24, "Too many open files")
        iterated.set()
        iterated.wait(0.01)

    with run("accept-of-a-test", iterate):
        until(lambda: "accept-of-a-test" in failing())
        assert "Too many open files" in failing()["accept-of-a-test"]
        broken.clear()
        assert iterated.wait(20)
        until(lambda: "accept-of-a-test" not in failing())


def test_trouble_of_something_else_is_no_failing_thread() -> None:
    tried = threading.Event()

    def iterate() -> None:
        tried.set()
        raise Unavailable("The store is away.", noun="store")

    with run("loop-of-a-test", iterate):
        assert tried.wait(20)
        assert "loop-of-a-test" not in failing()


def test_a_stopped_thread_fails_no_more() -> None:
    def iterate() -> None:
        raise ValueError("again")

    with run("stopped-in-a-test", iterate):
        until(lambda: "stopped-in-a-test" in failing())
    assert "stopped-in-a-test" not in failing()


def test_an_error_of_work_that_is_done_once_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise ValueError("unforeseen")

    once("work-of-a-test", work).join(20)
    assert "work-of-a-test" in "".join(capsys.readouterr())
