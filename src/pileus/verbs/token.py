"""Signed tokens: made for the caller, revoked one by one or all of a user."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from pileus.model import bounds
from pileus.model.errors import InvalidValue
from pileus.model.project import Project
from pileus.model.user import RevokedToken, User
from pileus.rules import signedtoken
from pileus.rules import user as user_rules
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.rules.core import Core

LIFETIME = 12 * 3600.0
"""Seconds that a token is good for by default: a working day."""

_IDENT = re.compile(r"[0-9a-f]{32}")


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A new token, readable here alone; revoked by its `id`, good until `until` (seconds since the epoch)."""

    id: str
    token: str
    user: str
    project: str
    role: str
    until: float


@requires("reader")
def create(caller: Caller, core: Core, valid: float = LIFETIME) -> IssuedToken:
    """Make a token for the caller in its project, good for `valid` seconds. Raises InvalidValue, NotFound."""
    most = bounds.TOKEN_LIFETIME.most
    if not 0 < valid <= most:
        raise InvalidValue(f"A token is good for 1 to {most} seconds, not {valid:g}.", noun="token", reason="valid")
    with core.store.read() as tx:
        user, project = tx.need(User, caller.user), tx.need(Project, caller.project)
        until = core.store.now() + valid
        token, ident = signedtoken.issue(core.key, tx, user, project, until)
    return IssuedToken(id=ident, token=token, user=user.name, project=project.name, role=caller.right, until=until)


@requires("reader")
def revoke(caller: Caller, core: Core, ident: str, user: str = "") -> None:
    """Revoke a token, by its id, of the caller, or of a user (a uuid) whom it looks after.

    Beyond `bounds.REVOKED_TOKENS` all of the user's tokens end. Raises NotFound, Forbidden, InvalidValue.
    """
    if not _IDENT.fullmatch(ident):
        raise InvalidValue("A token's id has 32 hex digits.", noun="token", reason="id")
    with core.store.write() as tx:
        owner = user_rules.self_or_managed(caller, tx, user)
        revoked = tuple(each for each in owner.wanted.revoked if each.until > tx.now and each.id != ident)
        # When it would have expired is for the token to say: no token lasts longer.
        revoked = (*revoked, RevokedToken(ident, tx.now + bounds.TOKEN_LIFETIME.most))
        if len(revoked) > bounds.REVOKED_TOKENS.most:
            wanted = msgspec.structs.replace(owner.wanted, revoked=(), epoch=owner.wanted.epoch + 1)
        else:
            wanted = msgspec.structs.replace(owner.wanted, revoked=revoked)
        owner = tx.want(owner, wanted)
        tx.add_journal_line(caller, owner, "token.revoke", goal=owner.generation, outcome="done", detail=ident)


@requires("reader")
def revoke_all(caller: Caller, core: Core, user: str = "") -> None:
    """Revoke all signed tokens of the caller, or of a user (a uuid) whom it looks after. Raises NotFound, Forbidden."""
    with core.store.write() as tx:
        owner = user_rules.self_or_managed(caller, tx, user)
        wanted = msgspec.structs.replace(owner.wanted, revoked=(), epoch=owner.wanted.epoch + 1)
        owner = tx.want(owner, wanted)
        tx.add_journal_line(caller, owner, "token.revoke", goal=owner.generation, outcome="done", detail="all")
