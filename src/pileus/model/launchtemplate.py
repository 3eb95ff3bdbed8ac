"""Launch template: parameters of launches under a name, in numbered versions."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from pileus.model import bounds, tag
from pileus.model.errors import QuotaExceeded
from pileus.model.noun import Noun, Part


class LaunchTemplateVersion(Part, frozen=True, kw_only=True):
    """One version, which never changes. `data` has the shape of EC2's RequestLaunchTemplateData; `author` is a user."""

    number: int
    description: str = ""
    data: dict[str, Any] = {}
    created: float = 0.0
    author: str = ""


class Wanted(Part, frozen=True, kw_only=True):
    """The versions in ascending order. `default` is one of their numbers, `highest` the highest one ever given."""

    default: int = 1
    highest: int = 1
    versions: tuple[LaunchTemplateVersion, ...] = ()
    gone: bool = False


class LaunchTemplate(Noun, frozen=True, kw_only=True):
    """It is read when something is launched by it: no instance depends on it afterwards."""

    KIND: ClassVar[str] = "launchtemplate"
    PREFIX: ClassVar[str] = "lt"
    NAMES: ClassVar[Literal["", "project", "cloud"]] = "project"
    QUOTA: ClassVar[dict[str, int]] = {"launchtemplates": 100}
    DROPPED: ClassVar[dict[str, Any]] = {"versions": ()}
    wanted: Wanted
    assigned: None = None
    seen: None = None

    @property
    def latest(self) -> int:
        """The highest number of its versions."""
        return self.wanted.versions[-1].number if self.wanted.versions else self.wanted.highest

    def check(self, before: Noun | None = None) -> None:
        """Of the number of its versions, of their descriptions and of the size of all as well."""
        super().check(before)
        versions = self.wanted.versions
        if before is not None and versions == before.wanted.versions:
            return
        most, most_bytes = bounds.LAUNCH_TEMPLATE_VERSIONS.most, bounds.LAUNCH_TEMPLATE_DATA.most
        if len(versions) > most:
            text = f"A launch template has at most {most} versions: delete some of them."
            raise QuotaExceeded(text, noun=self.KIND, ident=self.uuid, reason="versions")
        if sum(len(msgspec.json.encode(version.data)) for version in versions) > most_bytes:
            text = f"The data of all versions of a launch template have at most {most_bytes} bytes."
            raise QuotaExceeded(text, noun=self.KIND, ident=self.uuid, reason="data")
        for version in versions:
            tag.check_text(version.description, bounds.DESCRIPTION.most, "The description of a version")
