"""Roles: what a user may do in a project. Each role includes the rights of the roles before it (OpenStack's words)."""

from __future__ import annotations

from typing import Final, Literal, get_args

Role = Literal["reader", "member", "admin"]
"""`reader` lists and shows, `member` changes things too, `admin` looks after the project's people as well."""

Right = Literal["none", "reader", "member", "admin", "administrator"]
"""The right that a verb requires: a role in the caller's project, or that of an administrator of the cloud.

`none` is for every proven caller, also for one without a role in the project: it has its own identity alone.
"""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
RIGHTS: Final[tuple[Right, ...]] = get_args(Right)
"""From the least to the greatest; each includes those before it."""


def includes(right: Right, required: Right) -> bool:
    """Whether a caller with `right` may do everything that `required` allows."""
    return RIGHTS.index(right) >= RIGHTS.index(required)


def greatest(roles: set[Role]) -> Role | None:
    """Return the role that includes all of these; None for none."""
    return max(roles, key=ROLES.index, default=None)
