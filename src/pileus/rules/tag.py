"""System tags."""

from __future__ import annotations

from pileus.model.instance import Instance
from pileus.model.launchtemplate import LaunchTemplate

ADDRESS = "aws:pileus:address"
"""The system tag with an instance's address for plain ssh."""

LOGIN = "aws:pileus:login"
"""The system tag with the user to log in as."""

TEMPLATE = "aws:ec2launchtemplate:id"
"""The system tag with the id of the launch template of an instance's launch, as EC2 names it."""

TEMPLATE_VERSION = "aws:ec2launchtemplate:version"
"""The system tag with the number of the template's version."""


def shown(instance: Instance, login_user: str) -> dict[str, str]:
    """The user's tags of an instance, and its system tags while it is there."""
    if instance.gone is not None:
        return instance.tags
    tags, template = instance.tags, instance.wanted.launchtemplate
    if template:
        number = str(instance.wanted.launchtemplate_version)
        tags = {**tags, TEMPLATE: f"{LaunchTemplate.PREFIX}-{template.replace('-', '')[:17]}", TEMPLATE_VERSION: number}
    if instance.assigned.loopback:
        tags = {**tags, ADDRESS: instance.assigned.loopback, LOGIN: login_user}
    return tags
