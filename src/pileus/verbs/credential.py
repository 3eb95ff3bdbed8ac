"""Credentials: access keys, whose secrets are sealed, and tokens, of which only a digest is kept."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from typing import TYPE_CHECKING, Literal

import msgspec
from cryptography.fernet import Fernet

from pileus.model.caller import Caller, calling
from pileus.model.credential import Credential, Wanted
from pileus.model.errors import Forbidden, NotFound
from pileus.model.ids import new_access_key, new_uuid
from pileus.model.project import Project
from pileus.model.user import User
from pileus.verbs import find

if TYPE_CHECKING:
    from pileus.store.writer import Writer
    from pileus.verbs.core import Core


def _fernet(core: Core) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(core.key))


def add_aws(caller: Caller, core: Core, tx: Writer, user: User, project: Project) -> tuple[str, str]:
    """Make an access key for `user` in `project`: (access key id, secret). The secret is stored sealed."""
    access_key, secret = new_access_key(), base64.b64encode(secrets.token_bytes(30)).decode()
    sealed = _fernet(core).encrypt(secret.encode()).decode()
    wanted = Wanted(type="aws", key=access_key, sealed=sealed, user=user.uuid)
    noun = Credential(uuid=new_uuid(), project=project.uuid, wanted=wanted)
    tx.record(caller, tx.add(noun), "credential.create", outcome="done")
    return access_key, secret


def add_token(caller: Caller, tx: Writer, user: User, project: Project) -> str:
    """Make a token for `user` in `project`, good until it is revoked; stored as its digest."""
    token = "pileus_" + secrets.token_urlsafe(32)
    wanted = Wanted(type="token", key=_digest(token), user=user.uuid)
    noun = Credential(uuid=new_uuid(), project=project.uuid, wanted=wanted)
    tx.record(caller, tx.add(noun), "credential.create", outcome="done")
    return token


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A new credential: an access key with its secret, or a token. The secret is readable here and nowhere later."""

    id: str = ""
    user: str
    project: str
    access_key: str = ""
    secret_key: str = ""
    token: str = ""


def create(caller: Caller, core: Core, kind: Literal["aws", "token"] = "aws", name: str = "") -> Made:
    """One more credential for the caller, or (for an administrator) for the user `name` in its own project.

    The existing ones stay good. Raises Forbidden, NotFound.
    """
    with core.store.write() as tx:
        if name in ("", caller.user_name):
            user, project = tx.need(User, caller.user), tx.need(Project, caller.project)
        elif caller.admin:
            user = find.by_any(caller, tx, User, name)
            project = tx.need(Project, user.wanted.home)
        else:
            raise Forbidden("Only an administrator makes credentials for others.", noun="credential")
        if kind == "aws":
            access_key, secret = add_aws(caller, core, tx, user, project)
            credential = Made(user=user.name, project=project.name, access_key=access_key, secret_key=secret)
        else:
            credential = Made(user=user.name, project=project.name, token=add_token(caller, tx, user, project))
        holder = tx.claimed("credential", credential.access_key or _digest(credential.token))
        return msgspec.structs.replace(credential, id=tx.need(Credential, holder[1] if holder else "").ec2_id)


def revoke(caller: Caller, core: Core, ident: str) -> None:
    """Make a credential worthless from now on: by its id, an access key's id, or a token. One's own; an admin any.

    Processes that are not this one may let it in for `FRESH` more. Raises NotFound.
    """
    with core.store.write() as tx:
        holder = tx.claimed("credential", ident) or tx.claimed("credential", _digest(ident))
        credential = tx.get(Credential, holder[1]) if holder else tx.by_ec2(Credential, [ident]).get(ident)
        if (
            credential is None
            or credential.gone is not None
            or not (caller.admin or credential.wanted.user == caller.user)
        ):
            raise NotFound("There is no such credential.", noun="credential")
        tx.want(credential, msgspec.structs.replace(credential.wanted, gone=True))
        tx.bury(credential)
        tx.record(caller, credential, "credential.revoke", outcome="done")


FRESH = 1.0
"""Seconds for which a credential that another process revokes may go on to open this one."""


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class CredentialOwner(msgspec.Struct, frozen=True):
    """The user and project of an access key or token; `secret` for access keys alone."""

    user: User
    project: Project
    secret: bytes


class Authority:
    """Looks up credentials, and keeps what it found until any credential, user or project changes.

    Of what other processes change nobody tells it: where there are some (`shared`), it keeps things for `FRESH` alone.
    """

    def __init__(self, core: Core, *, shared: bool = False) -> None:
        self._core = core
        self._shared = shared
        self._since = time.monotonic()
        self._found: dict[str, CredentialOwner] = {}
        self._lock = threading.Lock()
        core.store.listen(self._changed)

    def _changed(self, _woken: bool, touched: set[str]) -> None:  # noqa: FBT001  (the store calls its listeners)
        if touched & {"credential", "user", "project"}:
            with self._lock:
                self._found = {}

    def secret(self, access_key: str) -> bytes | None:
        """The secret of an access key; None when there is no such key."""
        owner = self._lookup(access_key)
        return owner.secret if owner and owner.secret else None

    def by_access_key(self, access_key: str, face: str) -> Caller | None:
        """The caller that holds this access key."""
        owner = self._lookup(access_key)
        return calling(owner.user, owner.project, face, access_key) if owner and owner.secret else None

    def by_token(self, token: str, face: str) -> Caller | None:
        """The caller that holds this token."""
        owner = self._lookup(_digest(token))
        return calling(owner.user, owner.project, face) if owner else None

    def _lookup(self, key: str) -> CredentialOwner | None:
        with self._lock:
            if self._shared and time.monotonic() - self._since > FRESH:
                self._found, self._since = {}, time.monotonic()
            owners = self._found
        owner = owners.get(key)
        if owner is None:
            owner = self._load(key)
            if owner is not None and len(owners) < 10_000:
                # Into the table that was current before the load: a change meanwhile has replaced it.
                owners[key] = owner
        return owner

    def _load(self, key: str) -> CredentialOwner | None:
        with self._core.store.read() as tx:
            holder = tx.claimed("credential", key)
            credential = tx.get(Credential, holder[1]) if holder else None
            if credential is None or credential.gone is not None or credential.wanted.type == "join":
                return None
            user = tx.get(User, credential.wanted.user)
            project = tx.get(Project, credential.project)
        if user is None or project is None or user.gone is not None:
            return None
        sealed = credential.wanted.sealed
        secret = _fernet(self._core).decrypt(sealed.encode()) if sealed else b""
        return CredentialOwner(user, project, secret)
