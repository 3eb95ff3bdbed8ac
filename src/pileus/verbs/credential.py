"""Credentials: access keys, whose secrets are sealed, and tokens, of which only a digest is kept."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Literal

import msgspec

from pileus.model.caller import Caller
from pileus.model.credential import Credential, Wanted
from pileus.model.errors import Forbidden, NotFound
from pileus.model.ids import new_access_key, new_uuid
from pileus.model.project import Project
from pileus.model.user import User
from pileus.rules import find
from pileus.rules.credential import add_token, cipher, token_digest

if TYPE_CHECKING:
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


def add_aws(caller: Caller, core: Core, tx: Writer, user: User, project: Project) -> tuple[str, str]:
    """Make an access key for `user` in `project`: (access key id, secret). The secret is stored sealed."""
    access_key, secret = new_access_key(), base64.b64encode(secrets.token_bytes(30)).decode()
    sealed = cipher(core).encrypt(secret.encode()).decode()
    wanted = Wanted(type="aws", key=access_key, sealed=sealed, user=user.uuid)
    noun = Credential(uuid=new_uuid(), project=project.uuid, wanted=wanted)
    tx.add_journal_line(caller, tx.add(noun), "credential.create", outcome="done")
    return access_key, secret


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A new credential: an access key with its secret, or a token. The secret is readable here and nowhere later."""

    uuid: str = ""
    user: str
    project: str
    access_key: str = ""
    secret_key: str = ""
    token: str = ""


def create(caller: Caller, core: Core, kind: Literal["aws", "token"] = "aws", user: str = "") -> Made:
    """One more credential for the caller, or (for an administrator) for `user` (a uuid) in its own project.

    The existing ones stay good. Raises Forbidden, NotFound.
    """
    with core.store.write() as tx:
        if user in ("", caller.user):
            holder, project = tx.need(User, caller.user), tx.need(Project, caller.project)
        elif caller.admin:
            holder = find.living(caller, tx, User, user)
            project = tx.need(Project, holder.wanted.home)
        else:
            raise Forbidden("Only an administrator makes credentials for others.", noun="credential")
        if kind == "aws":
            access_key, secret = add_aws(caller, core, tx, holder, project)
            credential = Made(user=holder.name, project=project.name, access_key=access_key, secret_key=secret)
        else:
            credential = Made(user=holder.name, project=project.name, token=add_token(caller, tx, holder, project))
        claim = tx.claimed("credential", credential.access_key or token_digest(credential.token))
        return msgspec.structs.replace(credential, uuid=claim[1] if claim else "")


def revoke(caller: Caller, core: Core, ident: str) -> None:
    """Make a credential worthless from now on: by its uuid, an access key's id, or a token. One's own; an admin any.

    Processes that are not this one may let it in for `FRESH` more. Raises NotFound.
    """
    with core.store.write() as tx:
        holder = tx.claimed("credential", ident) or tx.claimed("credential", token_digest(ident))
        credential = tx.get(Credential, holder[1] if holder else ident)
        if (
            credential is None
            or credential.gone is not None
            or not (caller.admin or credential.wanted.user == caller.user)
        ):
            raise NotFound("There is no such credential.", noun="credential")
        tx.want_gone(credential)
        tx.make_tombstone(credential)
        tx.add_journal_line(caller, credential, "credential.revoke", outcome="done")
