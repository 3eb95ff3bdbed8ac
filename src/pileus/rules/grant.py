"""Grants as parts of other verbs' transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.grant import Grant, Wanted
from pileus.model.ids import new_uuid

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.role import Role
    from pileus.store.writer import Writer


def put(caller: Caller, tx: Writer, project: str, role: Role, *, user: str = "", usergroup: str = "") -> Grant:
    """Give a user, or a group of users, this role in a project, in the place of another role. All are uuids."""
    holder = tx.claimed(Grant.POOL, Grant.place(project, user or usergroup))
    if holder is None:
        wanted = Wanted(role=role, user=user, usergroup=usergroup)
        grant = tx.add(Grant(uuid=new_uuid(), project=project, wanted=wanted))
        tx.add_journal_line(caller, grant, "grant.create", outcome="done", detail=role)
        return grant
    grant = tx.need(Grant, holder[1])
    if grant.wanted.role != role:
        grant = tx.want(grant, msgspec.structs.replace(grant.wanted, role=role))
        tx.add_journal_line(caller, grant, "grant.modify", goal=grant.generation, outcome="done", detail=role)
    return grant


def end(caller: Caller, tx: Writer, grant: Grant) -> None:
    """Take a grant away."""
    tx.make_tombstone(tx.want_gone(grant))
    tx.add_journal_line(caller, grant, "grant.delete", outcome="done")
