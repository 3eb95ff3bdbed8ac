"""The table of this face's actions, and the words for the arguments of an action."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.faces.wire.action import Action, ActionTable, Call, Handler, missing

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ACTIONS", "Action", "Call", "Handler", "action", "missing"]

ACTIONS = ActionTable()
"""Every action that this face has."""


def action(name: str, *, dry: bool = False, waits: bool = False) -> Callable[[Handler], Handler]:
    """Register the decorated function as the action `name` of EC2; ValueError when there is one of the name."""
    return ACTIONS.register(name, service="ec2", dry=dry, waits=waits)
