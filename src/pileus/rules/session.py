"""Sessions: temporary credentials, which no row stores.

The session token is the session: sealed with the key of the cloud, it names the access key, the user, the project and
the end. The secret follows from the access key and the key of the cloud. A process that has that key verifies both.
"""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING

import msgspec
from cryptography.fernet import InvalidToken

from pileus.model.credential import SessionSecret
from pileus.model.ids import TEMPORARY_KEY, new_access_key
from pileus.rules.cipher import cipher

if TYPE_CHECKING:
    from pileus.model.user import User
    from pileus.rules.core import Core

LONGEST_TOKEN = 2048
"""Characters of a session token; one of this cloud has about 500."""

_PURPOSE = b"session secret\0"


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a session token: `user` and `project` are uuids, `until` is in seconds since the epoch.

    `name` is the session's name, where `user` is a role that somebody assumed; empty for a user itself. `origin` is the
    lasting access key by which its caller was proven: the session ends with that key. A host that asked has none.
    """

    user: str
    project: str
    until: float
    name: str = ""
    origin: str = ""


class SessionCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """Temporary credentials; `until` is their end in seconds since the epoch. No log shows `secret_key` and `token`."""

    access_key: str
    secret_key: str
    token: str
    until: float


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    access_key: str
    session: Session


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Sealed)


def seal(core: Core, session: Session) -> SessionCredentials:
    """Return new credentials for `session`. Nothing is stored."""
    access_key = new_access_key(TEMPORARY_KEY)
    token = cipher(core).encrypt(_ENCODER.encode(_Sealed(access_key, session))).decode()
    secret = _secret(core, access_key).decode()
    return SessionCredentials(access_key=access_key, secret_key=secret, token=token, until=session.until)


def of_role(core: Core, role: User, name: str, seconds: int, origin: str = "") -> SessionCredentials:
    """Return credentials of a role for so many seconds from now, in a session of this name."""
    until = core.store.now() + seconds
    return seal(core, Session(user=role.uuid, project=role.wanted.home, until=until, name=name, origin=origin))


def unseal(core: Core, access_key: str, token: str) -> tuple[Session, SessionSecret] | None:
    """Return the session of a token and its secret; None for a token of another access key, or of no session here.

    Whether the session has ended is for the caller to see.
    """
    if len(token) > LONGEST_TOKEN or not token.isascii():
        return None
    try:
        sealed = _DECODER.decode(cipher(core).decrypt(token))
    except (InvalidToken, msgspec.DecodeError):
        return None
    if sealed.access_key != access_key:
        return None
    return sealed.session, SessionSecret(_secret(core, access_key), sealed.session.until)


def _secret(core: Core, access_key: str) -> bytes:
    return base64.b64encode(hmac.digest(core.key, _PURPOSE + access_key.encode(), "sha512")[:30])
