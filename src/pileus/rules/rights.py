"""Rights of callers: every verb declares the right that it requires, and is refused to callers without it.

This is the one place where roles are enforced. A verb that declares nothing fails the house's tests.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pileus.model.grant import Grant
from pileus.model.role import greatest
from pileus.model.usergroup import UserGroup

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.role import Right, Role
    from pileus.store.reader import Reader

V = TypeVar("V", bound=Callable[..., Any])

REQUIRES = "__requires__"
"""The attribute of a verb that holds its right."""


def requires(right: Right, deed: str = "") -> Callable[[V], V]:
    """Declare the right that a verb requires, before anything else of the call is looked at.

    `deed` completes the sentence "Only an administrator …" of a refusal. The verb raises Forbidden.
    """

    def declare(verb: V) -> V:
        @functools.wraps(verb)
        def checked(caller: Caller, *arguments: Any, **options: Any) -> Any:
            caller.require(right, deed)
            return verb(caller, *arguments, **options)

        setattr(checked, REQUIRES, right)
        return cast("V", checked)

    return declare


def role_in(tx: Reader, user: str, project: str) -> Role | None:
    """The role of a user (a uuid) in a project: the greatest of its own grant and of its groups'. None without any."""
    groups = [group.uuid for group in tx.referring(UserGroup, [user]) if not group.wanted.gone]
    holders = tx.holders(Grant.POOL, {Grant.place(project, grantee) for grantee in (user, *groups)})
    return greatest({grant.wanted.role for grant in tx.many(Grant, holders.values()).values() if grant.gone is None})
