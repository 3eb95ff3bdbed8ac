"""Managed policies: the three that this cloud has, each of which stands for a role in a project.

A policy is attached to a user, or to a service user. Its role is that of the user in its home project: `role_of` is the
place where the rights of a caller look at it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pileus.model.errors import NotFound

if TYPE_CHECKING:
    from pileus.model.user import User

ProjectRole = Literal["admin", "member", "reader"]

ARN: Final = "arn:aws:iam::aws:policy/"
"""The beginning of the names of Amazon's managed policies."""


class ManagedPolicy(NamedTuple):
    """A policy of Amazon's by its `name`, and the `role` in a project that it stands for."""

    name: str
    role: ProjectRole
    description: str


MANAGED: Final = {
    policy.name: policy
    for policy in (
        ManagedPolicy("AdministratorAccess", "admin", "Everything in the project, its users included."),
        ManagedPolicy("PowerUserAccess", "member", "Everything in the project but its users."),
        ManagedPolicy("ReadOnlyAccess", "reader", "The lists of the project."),
    )
}
"""The policies by name, from the most rights to the fewest."""


def named(arn: str) -> ManagedPolicy:
    """The policy with this ARN. Raises NotFound."""
    policy = MANAGED.get(arn.removeprefix(ARN)) if arn.startswith(ARN) else None
    if policy is None:
        raise unknown(arn)
    return policy


def unknown(name: str) -> NotFound:
    """The error for a policy that this cloud does not have."""
    text = f"Policy {name[:160]} does not exist or is not attachable. This cloud has {', '.join(MANAGED)}."
    return NotFound(text, noun="policy", ident=name[:160])


def role_of(user: User) -> ProjectRole | None:
    """The role of a user in its home project by the policies that are attached to it; None for no policy."""
    return next((policy.role for policy in MANAGED.values() if policy.name in user.wanted.policies), None)
