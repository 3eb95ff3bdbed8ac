"""UserGroup: users that are granted roles together."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pileus.model import bounds
from pileus.model.errors import QuotaExceeded
from pileus.model.noun import Noun, Part, Ref


class Wanted(Part, frozen=True, kw_only=True):
    """`members` are users, by uuid."""

    members: Annotated[tuple[str, ...], Ref("user", "uses")] = ()
    gone: bool = False


class UserGroup(Noun, frozen=True, kw_only=True):
    """A project's group of users: IAM's group, Keystone's group. Its name is unique in its project."""

    KIND: ClassVar[str] = "usergroup"
    PREFIX: ClassVar[str] = "ugp"
    NAMES: ClassVar[Literal["", "project", "cloud"]] = "project"
    QUOTA: ClassVar[dict[str, int]] = {"usergroups": 100}
    TAGGED: ClassVar[bool] = False
    RENAMED: ClassVar[bool] = True
    wanted: Wanted
    assigned: None = None
    seen: None = None

    def check(self, before: Noun | None = None) -> None:
        """The bounds of all nouns, and of its members. Raises QuotaExceeded."""
        super().check(before)
        if len(self.wanted.members) > bounds.USERGROUP_MEMBERS.most:
            text = f"A group has at most {bounds.USERGROUP_MEMBERS.most} users."
            raise QuotaExceeded(text, noun=self.KIND, ident=self.uuid, reason="members")
