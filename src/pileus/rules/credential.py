"""Credentials, and the callers that they stand for."""

from __future__ import annotations

import base64
import functools
import hashlib
import math
import secrets
import threading
import time
from typing import TYPE_CHECKING

import msgspec

from pileus.model import bounds
from pileus.model.caller import Caller, calling
from pileus.model.credential import Credential, SessionSecret, Wanted
from pileus.model.errors import NotFound
from pileus.model.ids import new_access_key, new_uuid
from pileus.model.project import Project
from pileus.model.role import Role
from pileus.model.user import User
from pileus.rules import session, signedtoken
from pileus.rules.cipher import cipher
from pileus.rules.rights import role_in
from pileus.store.keyuse import KeyUse, put_uses

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


def add_aws(caller: Caller, core: Core, tx: Writer, user: User, project: Project) -> tuple[str, str]:
    """Make an access key for `user` in `project`: (access key id, secret). The secret is stored sealed."""
    access_key, secret = new_access_key(), base64.b64encode(secrets.token_bytes(30)).decode()
    sealed = cipher(core).encrypt(secret.encode()).decode()
    wanted = Wanted(type="aws", key=access_key, sealed=sealed, user=user.uuid)
    noun = Credential(uuid=new_uuid(), project=project.uuid, wanted=wanted)
    tx.add_journal_line(caller, tx.add(noun), "credential.create", outcome="done")
    return access_key, secret


def add_token(caller: Caller, tx: Writer, user: User, project: Project) -> str:
    """Make a token for `user` in `project`, good until it is revoked; stored as its digest."""
    token = "pileus_" + secrets.token_urlsafe(32)
    wanted = Wanted(type="token", key=token_digest(token), user=user.uuid)
    noun = Credential(uuid=new_uuid(), project=project.uuid, wanted=wanted)
    tx.add_journal_line(caller, tx.add(noun), "credential.create", outcome="done")
    return token


def end(caller: Caller, tx: Writer, credential: Credential) -> None:
    """Make a credential worthless from now on."""
    tx.want_gone(credential)
    tx.make_tombstone(credential)
    tx.add_journal_line(caller, credential, "credential.revoke", outcome="done")


FRESH = 0.5
"""Seconds for which a credential that another process revokes or disables may go on to open this one."""

_KINDS = frozenset({"credential", "user", "usergroup", "grant", "project"})
"""The kinds of nouns that say who somebody is and what it may do."""

_OWNERS = 10_000
"""Owners of credentials that a process knows at once."""


def token_digest(token: str) -> str:
    """Return the digest by which the store knows a token."""
    return hashlib.sha256(token.encode()).hexdigest()


class CredentialOwner(msgspec.Struct, frozen=True):
    """The user behind a credential, its project, and its role there; `secret` for access keys alone.

    `credential` is the uuid of an access key's row. A signed token and temporary credentials expire at `until`;
    `session` and `origin` are as in `pileus.rules.session.Session`. Tokens are of users with a role alone.
    """

    user: User
    project: Project
    role: Role | None
    secret: bytes = b""
    credential: str = ""
    session: str = ""
    origin: str = ""
    until: float = math.inf


class Authority:
    """Looks up credentials, and keeps what it found until any credential, user, group, grant or project changes.

    Of what other processes change nobody tells it: where there are some (`shared`), it keeps things for `FRESH` alone.
    A disabled user does not act, nor does anybody in a disabled project. A user without a role in a project is let in
    there by an access key alone, and has no right but to its own identity.
    """

    def __init__(self, core: Core, *, shared: bool = False) -> None:
        self._core = core
        self._shared = shared
        self._since = time.monotonic()
        self._found: dict[str, CredentialOwner] = {}
        self._lock = threading.Lock()
        self.uses = KeyUses(core)
        core.store.listen(self._changed)

    def _changed(self, _woken: bool, touched: set[str]) -> None:  # noqa: FBT001  (the store calls its listeners)
        if touched & _KINDS:
            with self._lock:
                self._found = {}

    def secret(self, access_key: str) -> bytes | None:
        """The secret of an access key; None when there is no such key."""
        owner = self._of_access_key(access_key)
        return owner.secret if owner and owner.secret else None

    def by_access_key(self, access_key: str, face: str) -> Caller | None:
        """The caller that holds this access key, whose use is noted."""
        owner = self._of_access_key(access_key)
        if owner is None or not owner.secret:
            return None
        self.uses.note(owner.credential, face)
        return calling(owner.user, owner.project, owner.role, face, access_key)

    def session(self, access_key: str, token: str) -> SessionSecret | None:
        """The secret of temporary credentials, which may have ended; None for others than this cloud's.

        None too where nobody acts by them any more: their user, or the access key that they descend from, went.
        """
        owner = self._session(access_key, token)
        return SessionSecret(owner.secret, owner.until) if owner else None

    def by_session(self, access_key: str, token: str, face: str) -> Caller | None:
        """The caller that holds these temporary credentials, which have not ended."""
        owner = self._session(access_key, token)
        if owner is None or owner.until <= self._core.store.now():
            return None
        caller = calling(owner.user, owner.project, owner.role, face, access_key)
        return msgspec.structs.replace(caller, session=owner.session, origin=owner.origin)

    def by_token(self, token: str, face: str, project: str = "") -> Caller | None:
        """The caller that holds this token, in the token's project or in another `project`, by name or uuid.

        Raises NotFound for a project that the user may not act in.
        """
        load = functools.partial(self._load_token, token, project)
        owner = self._lookup(f"{token_digest(token)} {project}", load)
        if owner is None or owner.until <= self._core.store.now():
            return None
        return calling(owner.user, owner.project, owner.role, face)

    def by_password(self, name: str, password: str, face: str, project: str = "") -> Caller | None:
        """The caller with this name and password, in its home project or another one. Raises Throttled, NotFound."""
        user = self._core.passwords.user(self._core, name, password)
        if user is None:
            return None
        with self._core.store.read() as tx:
            owner = _with_role(_owner(tx, user.uuid, user.wanted.home, project))
        return calling(owner.user, owner.project, owner.role, face) if owner else None

    def _session(self, access_key: str, token: str) -> CredentialOwner | None:
        # The digest is over both: a token is good for its own access key alone.
        digest = token_digest(f"{access_key} {token}")
        return self._lookup(digest, functools.partial(self._load_session, access_key, token))

    def _of_access_key(self, access_key: str) -> CredentialOwner | None:
        return self._lookup(access_key, functools.partial(self._load_row, access_key, ""))

    def _lookup(self, key: str, load: Callable[[], CredentialOwner | None]) -> CredentialOwner | None:
        with self._lock:
            if self._shared and time.monotonic() - self._since > FRESH:
                self._found, self._since = {}, time.monotonic()
            owners = self._found
        owner = owners.get(key)
        if owner is None:
            owner = load()
            if owner is not None and len(owners) < _OWNERS:
                # Into the table that was current before the load: a change meanwhile has replaced it.
                owners[key] = owner
        return owner

    def _load_token(self, token: str, project: str) -> CredentialOwner | None:
        if not signedtoken.is_signed(token):
            return self._load_row(token_digest(token), project)
        claims = signedtoken.read(self._core.key, token)
        if claims is None:
            return None
        with self._core.store.read() as tx:
            owner = _with_role(_owner(tx, claims.user, claims.project, project))
            if owner is None or not signedtoken.is_good(tx, claims, owner.user, self._core.store.now()):
                return None
        return msgspec.structs.replace(owner, until=claims.until)

    def _load_session(self, access_key: str, token: str) -> CredentialOwner | None:
        opened = session.unseal(self._core, access_key, token)
        if opened is None:
            return None
        contents, secret = opened
        with self._core.store.read() as tx:
            owner = _owner(tx, contents.user, contents.project, "")
            if owner is None or (contents.origin and _holder(tx, contents.origin) is None):
                return None
        return msgspec.structs.replace(
            owner, secret=secret.secret, session=contents.name, origin=contents.origin, until=contents.until
        )

    def _load_row(self, key: str, project: str) -> CredentialOwner | None:
        with self._core.store.read() as tx:
            pair = _holder(tx, key, project)
        if pair is None:
            return None
        credential, owner = pair
        sealed = credential.wanted.sealed
        secret = cipher(self._core).decrypt(sealed.encode()) if sealed else b""
        return msgspec.structs.replace(owner, secret=secret, credential=credential.uuid)


def _holder(tx: Reader, key: str, project: str = "") -> tuple[Credential, CredentialOwner] | None:
    """The credential with this key and its owner; None where it is disabled, or lets nobody in. As `_owner`."""
    claim = tx.claimed("credential", key)
    credential = tx.get(Credential, claim[1]) if claim else None
    if credential is None or credential.gone is not None or credential.wanted.type == "join":
        return None
    if not credential.wanted.enabled:
        return None
    owner = _owner(tx, credential.wanted.user, credential.project, project)
    owner = owner if credential.wanted.type == "aws" else _with_role(owner)
    return None if owner is None else (credential, owner)


def _with_role(owner: CredentialOwner | None) -> CredentialOwner | None:
    """The owner; None where it has no role in its project."""
    return owner if owner is not None and owner.role is not None else None


def _owner(tx: Reader, user_uuid: str, own: str, project: str) -> CredentialOwner | None:
    """The user in its `own` project (a uuid), or in another `project` that is named; None where it may not act.

    Its role is None where it has none in its own project. Raises NotFound where it may not act in a named one.
    """
    user = tx.get(User, user_uuid)
    if user is None or user.gone is not None or not user.wanted.enabled:
        return None
    holder = tx.claimed(Project.KIND, project) if project else None
    acting = tx.get(Project, holder[1] if holder else project or own)
    owner = None
    if acting is not None and acting.gone is None and not acting.wanted.gone and acting.wanted.enabled:
        owner = CredentialOwner(user, acting, "admin" if user.wanted.admin else role_in(tx, user.uuid, acting.uuid))
    if project and _with_role(owner) is None:
        raise NotFound(f"The project '{project}' does not exist.", noun=Project.KIND, ident=project)
    return owner


MINUTE = 60.0
"""Seconds between two writes of the last use of an access key, at least."""


class KeyUses:
    """The last uses of access keys, which are written together now and then: no request waits for that."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._written: dict[str, float] = {}
        """When a use of each access key was noted for writing, by the uuid of its row, during the last minute."""
        self._noted: dict[str, KeyUse] = {}

    def note(self, credential: str, service: str) -> None:
        """Note that the access key with this row was used now for a service."""
        now = self._core.store.now()
        if abs(now - self._written.get(credential, -math.inf)) < MINUTE:
            return
        with self._lock:
            if len(self._noted) < bounds.KEY_USES.most:
                self._noted[credential] = KeyUse(now, service)
                self._written[credential] = now

    def write(self) -> None:
        """Write what was noted. Raises Unavailable; uses that were not written are lost."""
        with self._lock:
            noted, self._noted = self._noted, {}
            now = self._core.store.now()
            self._written = {uuid: at for uuid, at in self._written.items() if abs(now - at) < MINUTE}
        if noted:
            with self._core.store.write(lasting=False) as tx:
                put_uses(tx, noted)
