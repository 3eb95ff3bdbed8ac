"""The arguments of an action, and the table of all actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from pileus.model.caller import Caller
from pileus.verbs.core import Core


class Call(NamedTuple):
    """One request after parsing: `args` keyed by the model's member names, `host` what the client called us."""

    core: Core
    caller: Caller
    args: dict[str, Any]
    host: str = ""


Handler = Callable[[Call], dict[str, Any]]
"""Maps one action to verbs, and what they return to a result keyed by the model's member names."""


class Action(NamedTuple):
    """A registered action. `dry`: its verb understands dry runs; the face answers them for all others.

    `waits`: it waits for a host.
    """

    run: Handler
    dry: bool
    waits: bool = False


ACTIONS: dict[str, Action] = {}
"""Every action that this face has, by Amazon's name for it."""


def action(name: str, *, dry: bool = False, waits: bool = False) -> Callable[[Handler], Handler]:
    """Register the decorated function as the action `name`; ValueError when there is one of that name."""

    def register(handler: Handler) -> Handler:
        if name in ACTIONS:
            raise ValueError(f"the action {name} is registered twice")
        ACTIONS[name] = Action(handler, dry, waits)
        return handler

    return register
