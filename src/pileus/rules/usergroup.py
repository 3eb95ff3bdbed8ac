"""Groups of users as parts of other verbs' transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.usergroup import UserGroup
    from pileus.store.writer import Writer


LONGEST_NAME = 128
"""Characters of the name of a group."""


def without(caller: Caller, tx: Writer, group: UserGroup, user: str) -> UserGroup:
    """Take a user (a uuid) out of a group; a user that is not in it changes nothing."""
    if user not in group.wanted.members:
        return group
    members = tuple(member for member in group.wanted.members if member != user)
    group = tx.want(group, msgspec.structs.replace(group.wanted, members=members))
    tx.add_journal_line(caller, group, "usergroup.remove", goal=group.generation, outcome="done", detail=user)
    return group
