"""Managed policies: the three that this cloud has, each of which stands for a role in a project.

To attach a policy to a user, a group of users or a service user is to grant the policy's role in the project.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pileus.model.errors import NotFound
from pileus.model.role import Role

ARN: Final = "arn:aws:iam::aws:policy/"
"""The beginning of the names of Amazon's managed policies."""


class ManagedPolicy(NamedTuple):
    """A policy of Amazon's by its `name`, and the `role` in a project that it stands for."""

    name: str
    role: Role
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


MOST: Final = 1
"""Policies of a user, a group or a service user: each includes the rights of the next."""


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


def of_role(role: Role) -> ManagedPolicy:
    """The policy that stands for a role."""
    return next(policy for policy in MANAGED.values() if policy.role == role)
