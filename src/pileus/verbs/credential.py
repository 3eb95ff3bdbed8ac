"""Credentials: access keys, whose secrets are sealed, and tokens, of which only a digest is kept."""

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
from pileus.model.ids import new_access_key, new_uuid
from pileus.model.project import Project
from pileus.model.user import User

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
    tx.claim("credential", access_key, noun)
    tx.record(caller, tx.add(noun), "credential.create", outcome="done")
    return access_key, secret


def add_token(caller: Caller, tx: Writer, user: User, project: Project) -> str:
    """Make a token for `user` in `project`, good until it is revoked; stored as its digest."""
    token = "pileus_" + secrets.token_urlsafe(32)
    wanted = Wanted(type="token", key=_digest(token), user=user.uuid)
    noun = Credential(uuid=new_uuid(), project=project.uuid, wanted=wanted)
    tx.claim("credential", wanted.key, noun)
    tx.record(caller, tx.add(noun), "credential.create", outcome="done")
    return token


def revoke(caller: Caller, core: Core, key: str) -> bool:
    """Make an access key id or a token worthless from now on; False when it was not known."""
    with core.store.write() as tx:
        holder = tx.claimed("credential", key) or tx.claimed("credential", _digest(key))
        if holder is None:
            return False
        found = tx.need(Credential, holder[1])
        tx.want(found, msgspec.structs.replace(found.wanted, gone=True))
        tx.bury(found)
        tx.record(caller, found, "credential.revoke", outcome="done")
        return True


FRESH = 1.0
"""Seconds for which a credential that another process revokes may go on to open this one."""


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Known(msgspec.Struct, frozen=True):
    """Who an access key or token belongs to; `secret` for access keys alone."""

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
        self._found: dict[str, Known] = {}
        self._lock = threading.Lock()
        core.store.listen(self._changed)

    def _changed(self, _woken: bool, touched: set[str]) -> None:  # noqa: FBT001
        if touched & {"credential", "user", "project"}:
            with self._lock:
                self._found = {}

    def secret(self, access_key: str) -> bytes | None:
        """The secret of an access key; None when there is no such key."""
        known = self._lookup(access_key)
        return known.secret if known and known.secret else None

    def by_access_key(self, access_key: str, face: str) -> Caller | None:
        """The caller that holds this access key."""
        known = self._lookup(access_key)
        return calling(known.user, known.project, face) if known and known.secret else None

    def by_token(self, token: str, face: str) -> Caller | None:
        """The caller that holds this token."""
        known = self._lookup(_digest(token))
        return calling(known.user, known.project, face) if known else None

    def _lookup(self, key: str) -> Known | None:
        with self._lock:
            if self._shared and time.monotonic() - self._since > FRESH:
                self._found, self._since = {}, time.monotonic()
            found = self._found
        known = found.get(key)
        if known is None:
            known = self._load(key)
            if known is not None and len(found) < 10_000:
                # Into the table that was current before the load: a change meanwhile has replaced it.
                found[key] = known
        return known

    def _load(self, key: str) -> Known | None:
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
        return Known(user, project, secret)
