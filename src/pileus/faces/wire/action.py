"""The actions of a face in the query dialects: a table by service and name, and the arguments of an action."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from pileus.model.caller import Caller
from pileus.model.errors import InvalidValue
from pileus.rules.core import Core


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

    @property
    def says(self) -> str:
        """The first paragraph of what is written about it, or about its module."""
        written = inspect.getdoc(self.run) or inspect.getdoc(inspect.getmodule(self.run)) or ""
        return " ".join(written.split("\n\n")[0].split())


class ActionTable(dict[tuple[str, str], Action]):
    """Every action of a face, by the service ("ec2") and Amazon's name for it: services share names."""

    def register(
        self, name: str, *, service: str, dry: bool = False, waits: bool = False
    ) -> Callable[[Handler], Handler]:
        """Register the decorated function as the action `name` of `service`; ValueError when there is one already."""

        def add(handler: Handler) -> Handler:
            if (service, name) in self:
                raise ValueError(f"the action {name} of {service} is registered twice")
            self[service, name] = Action(handler, dry, waits)
            return handler

        return add


def missing(name: str) -> InvalidValue:
    """Return the error for a request without the parameter `name`."""
    return InvalidValue(f"The request must contain the parameter {name}", reason="missing")
