"""Credentials, and the callers that they stand for."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from typing import TYPE_CHECKING

import msgspec
from cryptography.fernet import Fernet

from pileus.model.caller import Caller, calling
from pileus.model.credential import Credential, Wanted
from pileus.model.ids import new_uuid
from pileus.model.project import Project
from pileus.model.user import User

if TYPE_CHECKING:
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


def cipher(core: Core) -> Fernet:
    """Return the cipher that seals the secret keys of this cloud."""
    return Fernet(base64.urlsafe_b64encode(core.key))


def add_token(caller: Caller, tx: Writer, user: User, project: Project) -> str:
    """Make a token for `user` in `project`, good until it is revoked; stored as its digest."""
    token = "pileus_" + secrets.token_urlsafe(32)
    wanted = Wanted(type="token", key=token_digest(token), user=user.uuid)
    noun = Credential(uuid=new_uuid(), project=project.uuid, wanted=wanted)
    tx.add_journal_line(caller, tx.add(noun), "credential.create", outcome="done")
    return token


FRESH = 1.0
"""Seconds for which a credential that another process revokes may go on to open this one."""


def token_digest(token: str) -> str:
    """Return the digest by which the store knows a token."""
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
        owner = self._lookup(token_digest(token))
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
        secret = cipher(self._core).decrypt(sealed.encode()) if sealed else b""
        return CredentialOwner(user, project, secret)
