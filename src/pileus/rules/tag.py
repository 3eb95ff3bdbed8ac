"""System tags."""

from __future__ import annotations

from pileus.model.instance import Instance

ADDRESS = "aws:pileus:address"
"""The system tag with an instance's address for plain ssh."""

LOGIN = "aws:pileus:login"
"""The system tag with the user to log in as."""


def shown(instance: Instance, login_user: str) -> dict[str, str]:
    """The user's tags of an instance, and its system tags while it is there."""
    if instance.gone is not None or not instance.assigned.loopback:
        return instance.tags
    return {**instance.tags, ADDRESS: instance.assigned.loopback, LOGIN: login_user}
