"""Launch templates: the one that a caller names, and its versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.errors import NotFound
from pileus.model.launchtemplate import LaunchTemplate, LaunchTemplateVersion

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.store.reader import Reader

DEFAULT_VERSION, LATEST_VERSION = "default", "latest"
"""The words for a version, beside its number."""


def named(caller: Caller, tx: Reader, name: str) -> LaunchTemplate:
    """The project's template with this name. Raises NotFound."""
    template = tx.named(LaunchTemplate, name, caller.project)
    if template is None:
        raise unknown(name)
    return template


def unknown(name: str) -> NotFound:
    """The error for a name that no template has."""
    text = f"The specified launch template, with template name {name[:128]}, does not exist."
    return NotFound(text, noun=LaunchTemplate.KIND, ident=name[:128], reason="name")


def version_of(template: LaunchTemplate, version: str) -> LaunchTemplateVersion:
    """The version with this number, or the one that the word names. Raises NotFound."""
    words = {DEFAULT_VERSION: template.wanted.default, LATEST_VERSION: template.latest}
    number = words.get(version, int(version) if version.isdecimal() else 0)
    for each in template.wanted.versions:
        if each.number == number:
            return each
    text = f"Could not find the specified version {version[:20]} for the {template.label}."
    raise NotFound(text, noun=LaunchTemplate.KIND, ident=version[:20], reason="version")
