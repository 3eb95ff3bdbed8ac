"""Signed tokens: sealed by the cloud's key, good until they expire, with no row of their own (Fernet, as Keystone's).

A token names its user, its project and the user's epoch. A user's greater epoch ends all of its tokens; one of them
ends by its id among the user's revoked ones. A recovered store has a higher incarnation, which ends all tokens: the
copy that it goes on from may have forgotten a revocation.
"""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from pileus.model.project import Project
    from pileus.model.user import User
    from pileus.store.reader import Reader

_PURPOSE = b"pileus token"
_MARK = "gAAAA"
"""The beginning of every Fernet token: its version and the first zeros of its time."""


class TokenClaims(msgspec.Struct, frozen=True, array_like=True):
    """The contents of a token: uuids of its user and project, and `until`, in seconds since the epoch."""

    id: str
    user: str
    project: str
    epoch: int
    incarnation: int
    until: float


def is_signed(token: str) -> bool:
    """Whether this has the form of a signed token, and is none that has a row."""
    return token.startswith(_MARK)


def issue(key: bytes, tx: Reader, user: User, project: Project, until: float) -> tuple[str, str]:
    """Make a token for `user` in `project`: the token, and its id."""
    ident = secrets.token_hex(16)
    claims = TokenClaims(ident, user.uuid, project.uuid, user.wanted.epoch, tx.incarnation, until)
    return _cipher(key).encrypt(msgspec.msgpack.encode(claims)).decode(), ident


def read(key: bytes, token: str) -> TokenClaims | None:
    """The contents of a token that this cloud made; None for any other text."""
    try:
        return msgspec.msgpack.decode(_cipher(key).decrypt(token.encode()), type=TokenClaims)
    except (InvalidToken, msgspec.DecodeError, UnicodeEncodeError):
        return None


def is_good(tx: Reader, claims: TokenClaims, user: User, now: float) -> bool:
    """Whether a token of `user` has neither expired nor been revoked at `now`."""
    revoked = any(each.id == claims.id for each in user.wanted.revoked)
    current = claims.epoch == user.wanted.epoch and claims.incarnation == tx.incarnation
    return now < claims.until and current and not revoked


def _cipher(key: bytes) -> Fernet:
    # A key of its own: what is sealed for other purposes is never taken for a token.
    derived = HKDF(hashes.SHA256(), 32, salt=None, info=_PURPOSE).derive(key)
    return Fernet(base64.urlsafe_b64encode(derived))
