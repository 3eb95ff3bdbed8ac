"""Names of users, of groups of users, of service users and of instance profiles: those that IAM allows."""

from __future__ import annotations

import re

from pileus.model.errors import InvalidValue

_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]+", re.ASCII)


def check(name: str, noun: str, most: int) -> None:
    """Raise InvalidValue unless `name` is one that IAM allows for a noun of this kind: 1 to `most` characters."""
    if not 1 <= len(name) <= most or not _NAME.fullmatch(name):
        text = f"The name '{name[:40]}' is invalid: 1 to {most} letters, digits and _+=,.@- only."
        raise InvalidValue(text, noun=noun, ident=name[:40], reason="name")
