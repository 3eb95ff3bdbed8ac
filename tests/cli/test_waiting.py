"""Waiting ends when the state is there, or as soon as it cannot come any more."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from pileus.cli import waiting
from pileus.cli.client import Client
from pileus.cli.problem import Problem
from pileus.cli.waiting import Goal


def document(state: str, *, up: bool | None = True, power: str = "running", **fields: Any) -> dict[str, Any]:
    """An instance's document."""
    seen = {"up": up, "reboot": fields.pop("rebooted", 0), "fault": fields.pop("fault", None)}
    wanted = {"power": {"state": power}, "reboot": fields.pop("reboot", 0), "reason_message": fields.pop("reason", "")}
    return {"id": "i-1", "name": "web", "state": state, "seen": seen, "wanted": wanted}


class Course(Client):
    """A cloud whose instance is in one state after the other, and then in the last one."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        super().__init__("http://127.0.0.1:1/v1", "t")
        self.documents = deque(documents, len(documents))

    def get(self, *words: str, **query: str) -> dict[str, Any]:
        """The instance as it is now."""
        del words, query
        return self.documents.popleft() if len(self.documents) > 1 else self.documents[0]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PAUSE", 0.0)


COURSES: list[tuple[Goal, list[dict[str, Any]]]] = [
    ("up", [document("pending"), document("running", up=False), document("running")]),
    ("up", [document("pending"), document("running", up=None)]),
    ("running", [document("pending"), document("running", up=False)]),
    ("stopped", [document("stopping", power="stopped"), document("stopped", power="stopped")]),
    ("terminated", [document("shutting-down"), document("terminated")]),
    ("restarted", [document("running", reboot=1), document("running", reboot=1, rebooted=1)]),
]


@pytest.mark.parametrize(("goal", "course"), COURSES)
def test_a_wait_ends_with_the_state(goal: Goal, course: list[dict[str, Any]]) -> None:
    assert waiting.wait(Course(*course), ["web"], goal) == [course[-1]]


ENDS: list[tuple[Goal, dict[str, Any], str]] = [
    ("up", document("stopped"), "web is stopped: 'pileus start web' starts it."),
    ("up", document("shutting-down"), "web is being terminated: it will not be up."),
    ("running", document("terminated"), "web is terminated. 'pileus explain i-1' has its history."),
    (
        "up",
        document("terminated", reason="No space"),
        "web is terminated: No space. 'pileus explain i-1' has its history.",
    ),
    (
        "up",
        document("error", fault={"message": "no such image"}),
        "web cannot be made: no such image. 'pileus explain i-1' has its history.",
    ),
    ("stopped", document("running"), "web runs, and nobody stops it: 'pileus stop web' does."),
]


@pytest.mark.parametrize(("goal", "last", "message"), ENDS)
def test_a_wait_ends_where_the_state_cannot_come(goal: Goal, last: dict[str, Any], message: str) -> None:
    with pytest.raises(Problem) as refused:
        waiting.wait(Course(last), ["web"], goal)
    assert refused.value.message == message


def test_a_wait_that_takes_too_long_says_where_to_look() -> None:
    with pytest.raises(Problem) as refused:
        waiting.wait(Course(document("pending")), ["web"], "up", timeout=0)
    assert refused.value.message == "web is pending after 0 s, not up: 'pileus explain web' says what it waits for."
