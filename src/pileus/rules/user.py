"""Names of users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from pileus.model.project import Project
from pileus.model.user import User

if TYPE_CHECKING:
    from pileus.rules.core import Core


def checked(core: Core, name: str, password: str) -> tuple[User, Project] | None:
    """The user with this name and password, and its project; None when there is no such pair."""
    with core.store.read() as tx:
        holder = tx.claimed("user", name)
        user = tx.get(User, holder[1]) if holder else None
        home = tx.get(Project, user.wanted.home) if user else None
    if user is None or home is None:
        return None
    try:
        PasswordHasher().verify(user.wanted.password, password)
    except VerifyMismatchError:
        return None
    return user, home
