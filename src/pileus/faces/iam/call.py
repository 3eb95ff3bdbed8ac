"""The table of this face's actions, and what their arguments have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pileus.faces.wire.action import Action, ActionTable, Call, Handler
from pileus.model import listing
from pileus.model.errors import InvalidValue
from pileus.verbs import user

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pileus.model.user import User

__all__ = ["ACTIONS", "Action", "Call", "action", "paged", "user_of"]

ACTIONS = ActionTable()
"""Every action that this face has."""

_PAGE = 100
"""Elements of a page where the request does not say."""


def action(name: str, *, service: str = "iam") -> Callable[[Handler], Handler]:
    """Register the decorated function as the action `name` of a service; ValueError when that has one of the name."""
    return ACTIONS.register(name, service=service)


def paged(args: dict[str, Any], member: str, items: Sequence[Any]) -> dict[str, Any]:
    """The answer of a list: a page of `items` as `member`, and the marker of the next page. Raises InvalidValue.

    Every path is "/": a list of those below another path is empty.
    """
    chosen = items if args.get("PathPrefix", "/") == "/" else []
    after, most = listing.after(args.get("Marker")), args.get("MaxItems", _PAGE)
    page, token = listing.page(list(enumerate(chosen, 1)), lambda pair: pair[0], after, most)
    more = {"IsTruncated": True, "Marker": token} if token else {"IsTruncated": False}
    return {member: [item for _, item in page], **more}


def user_of(call: Call) -> User:
    """The user that `UserName` names; without that, the caller itself. Raises InvalidValue, NotFound."""
    name = call.args.get("UserName", "")
    if not name and call.caller.session:
        text = "Must specify userName when calling with non-User credentials"
        raise InvalidValue(text, noun="user", reason="missing")
    return user.named(call.caller, call.core, name)
