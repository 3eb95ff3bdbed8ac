"""Credentials: access keys, whose secrets are sealed, and tokens, of which only a digest is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from pileus.model.credential import Credential
from pileus.model.errors import Forbidden, InvalidValue, NotFound
from pileus.model.project import Project
from pileus.model.user import User
from pileus.rules import user as user_rules
from pileus.rules.credential import add_aws, add_token, end, token_digest
from pileus.rules.rights import requires
from pileus.store.keyuse import KeyUse, last_uses

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A new credential: an access key with its secret, or a token. The secret is readable here and nowhere later."""

    uuid: str = ""
    user: str
    project: str
    access_key: str = ""
    secret_key: str = ""
    token: str = ""


@requires("reader")
def create(caller: Caller, core: Core, kind: Literal["aws", "token"] = "aws", user: str = "") -> Made:
    """One more credential for the caller, or in its home project for a `user` (a uuid) whom the caller looks after.

    The existing ones stay good. A service user has none, temporary credentials make none. Raises Forbidden, NotFound,
    QuotaExceeded.
    """
    if caller.temporary:
        raise Forbidden("Temporary credentials make no lasting ones.", noun="credential")
    with core.store.write() as tx:
        holder = user_rules.self_or_managed(caller, tx, user)
        project = caller.project if holder.uuid == caller.user else holder.wanted.home
        return _add(caller, core, tx, kind, holder, tx.need(Project, project))


def _add(caller: Caller, core: Core, tx: Writer, kind: Literal["aws", "token"], holder: User, project: Project) -> Made:
    if kind == "aws":
        access_key, secret_key = add_aws(caller, core, tx, holder, project)
        credential = Made(user=holder.name, project=project.name, access_key=access_key, secret_key=secret_key)
    else:
        credential = Made(user=holder.name, project=project.name, token=add_token(caller, tx, holder, project))
    claim = tx.claimed("credential", credential.access_key or token_digest(credential.token))
    return msgspec.structs.replace(credential, uuid=claim[1] if claim else "")


@requires("reader")
def modify(caller: Caller, core: Core, ident: str, *, enabled: bool) -> Credential:
    """Enable a credential, or disable it: it is refused from now on, until it is enabled again. As for `revoke`.

    Processes that are not this one may let it in for `FRESH` more. Raises NotFound.
    """
    with core.store.write() as tx:
        credential = _one(caller, tx, ident)
        if credential.wanted.enabled == enabled:
            return credential
        credential = tx.want(credential, msgspec.structs.replace(credential.wanted, enabled=enabled))
        verb = "credential.enable" if enabled else "credential.disable"
        tx.add_journal_line(caller, credential, verb, goal=credential.generation, outcome="done")
        return credential


@requires("reader")
def rotate(caller: Caller, core: Core, ident: str) -> Made:
    """Replace a credential by a new one of the same user and project; the old one is worthless from now on.

    Raises NotFound, InvalidValue for a token of a host.
    """
    with core.store.write() as tx:
        credential = _one(caller, tx, ident)
        if credential.wanted.type == "join":
            raise InvalidValue("A host's token is used once, and not replaced.", noun="credential", reason="type")
        holder, project = tx.need(User, credential.wanted.user), tx.need(Project, credential.project)
        end(caller, tx, credential)
        return _add(caller, core, tx, credential.wanted.type, holder, project)


@requires("reader")
def revoke(caller: Caller, core: Core, ident: str) -> None:
    """Make a credential worthless from now on: by its uuid, an access key's id, or a token.

    It is the caller's own, or that of a user whom the caller looks after; for administrators any.
    Processes that are not this one may let it in for `FRESH` more. Raises NotFound.
    """
    with core.store.write() as tx:
        end(caller, tx, _one(caller, tx, ident))


@requires("reader")
def access_keys(caller: Caller, core: Core, user: str = "") -> list[Credential]:
    """The access keys of the caller, or of a user (a uuid) whom the caller looks after, oldest first.

    Raises Forbidden, NotFound.
    """
    with core.store.read() as tx:
        holder = user_rules.self_or_managed(caller, tx, user)
        return [each for each in tx.referring(Credential, [holder.uuid]) if each.wanted.type == "aws"]


@requires("reader")
def last_use(caller: Caller, core: Core, ident: str) -> tuple[User, KeyUse | None]:
    """The user of an access key that the caller may change, and the key's last use, if any. Raises NotFound."""
    with core.store.read() as tx:
        credential = _one(caller, tx, ident)
        return tx.need(User, credential.wanted.user), last_uses(tx, [credential.uuid]).get(credential.uuid)


def _one(caller: Caller, tx: Reader, ident: str) -> Credential:
    """The credential that the caller may change, by its uuid, an access key's id, or a token. Raises NotFound."""
    holder = tx.claimed("credential", ident) or tx.claimed("credential", token_digest(ident))
    credential = tx.get(Credential, holder[1] if holder else ident)
    if credential is None or credential.gone is not None or not _may_change(caller, tx, credential):
        raise NotFound("There is no such credential.", noun="credential")
    return credential


def _may_change(caller: Caller, tx: Reader, credential: Credential) -> bool:
    if caller.admin or credential.wanted.user == caller.user:
        return True
    user = tx.get(User, credential.wanted.user)
    is_own = user is not None and user.wanted.home == caller.project and not user.wanted.admin
    return is_own and caller.right == "admin"
