"""Accounts: who administers the users, roles and profiles of a project, and the names that these may have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pileus.model.errors import Forbidden, InvalidValue

if TYPE_CHECKING:
    from pileus.model.caller import Caller

_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]+", re.ASCII)


def require_administrator(caller: Caller, deed: str) -> None:
    """Raise Forbidden unless the caller administers the account that it acts in: nobody else does this `deed`."""
    if not caller.admin:
        raise Forbidden(f"Only an administrator of the account {deed}.", noun="user")


def check_name(name: str, noun: str, most: int) -> None:
    """Raise InvalidValue unless `name` is one that IAM allows for a noun of this kind: 1 to `most` characters."""
    if not 1 <= len(name) <= most or not _NAME.fullmatch(name):
        text = f"The name '{name[:40]}' is invalid: 1 to {most} letters, digits and _+=,.@- only."
        raise InvalidValue(text, noun=noun, ident=name[:40], reason="name")
