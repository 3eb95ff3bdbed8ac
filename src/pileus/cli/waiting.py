"""Waiting until instances are in a state, with the time that it takes on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pileus.cli import progress
from pileus.cli.problem import Problem
from pileus.cli.ssh import label

if TYPE_CHECKING:
    from pileus.cli.client import Client

Goal = Literal["up", "running", "stopped", "terminated", "restarted"]

GOALS: Mapping[Goal, Callable[[Mapping[str, Any]], bool]] = {
    "up": lambda document: document["state"] == "running" and document["seen"]["up"] is not False,
    "running": lambda document: document["state"] == "running",
    "stopped": lambda document: document["state"] == "stopped",
    "terminated": lambda document: document["state"] == "terminated",
    "restarted": lambda document: GOALS["up"](document) and document["seen"]["reboot"] >= document["wanted"]["reboot"],
}
"""Whether an instance's document shows a goal. `up`: it runs, and its ssh port answers (decision 0032)."""

STATES: tuple[Goal, ...] = ("up", "running", "stopped", "terminated")
"""The goals that a person names."""

PAUSE = 0.3
"""Seconds between two looks at an instance."""

TIMEOUT = 600.0
"""Seconds to wait, where nobody says how long."""

_ENDS = {"terminated": "is terminated", "error": "cannot be made"}


def wait(client: Client, idents: Sequence[str], goal: Goal, timeout: float = TIMEOUT) -> list[Mapping[str, Any]]:
    """Wait until every instance shows the goal; their documents then. Raises Problem: it cannot, or not in time."""
    deadline = time.monotonic() + timeout
    documents: list[Mapping[str, Any]] = []
    with progress.steps(_quiet) as step:
        for ident in idents:
            document = client.get("instances", ident)
            if not GOALS[goal](document):
                step(f"waiting for {label(document)} to be {goal}")
            while not GOALS[goal](document):
                _check(document, goal)
                if time.monotonic() > deadline:
                    name = label(document)
                    text = f"{name} is {document['state']} after {timeout:.0f} s, not {goal}:"
                    raise Problem(f"{text} 'pileus explain {name}' says what it waits for.")
                time.sleep(PAUSE)  # the REST API has no push: the state is read once a pause
                document = client.get("instances", document["id"])
            documents.append(document)
    return documents


def _check(document: Mapping[str, Any], goal: Goal) -> None:
    """Whether the goal may still come. Raises Problem."""
    name, state = label(document), document["state"]
    if state in _ENDS and goal != "terminated":
        fault, reason = document["seen"]["fault"], document["wanted"]["reason_message"]
        why = f": {fault['message']}" if fault else f": {reason}" if reason else ""
        raise Problem(f"{name} {_ENDS[state]}{why}. 'pileus explain {document['id']}' has its history.")
    if state == "shutting-down" and goal != "terminated":
        raise Problem(f"{name} is being terminated: it will not be {goal}.")
    if state == "stopped" and goal in ("up", "running", "restarted"):
        raise Problem(f"{name} is stopped: 'pileus start {name}' starts it.")
    if state == "running" and goal == "stopped" and document["wanted"]["power"]["state"] == "running":
        raise Problem(f"{name} runs, and nobody stops it: 'pileus stop {name}' does.")


def _quiet(_step: str) -> None:
    """Without a terminal nothing is said while it waits."""


def say(text: str) -> None:
    """Say a step on standard error."""
    print(f"pileus: {text}", file=sys.stderr, flush=True)
