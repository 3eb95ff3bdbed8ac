"""Session tokens of version 2 of the metadata service: stateless, and good for one instance only.

A token is base64url(expiry, 8 bytes big-endian milliseconds since the epoch | HMAC-SHA256 over instance and
expiry): 56 characters, as long as EC2's own. Every holder of the secret can check it, so a restart
forgets nobody.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

LONGEST = 21600
"""The longest life of a token, in seconds; the shortest is 1."""

_EXPIRY_BYTES = 8
_TOKEN_LENGTH = 56


def issue(secret: bytes, instance: str, lifetime: int, now: float) -> str:
    """Make a token for the instance with the uuid `instance`, good for `lifetime` seconds from `now` on."""
    expiry = (int(now * 1000) + lifetime * 1000).to_bytes(_EXPIRY_BYTES, "big")
    return base64.urlsafe_b64encode(expiry + _seal(secret, instance, expiry)).decode("ascii")


def remaining(secret: bytes, instance: str, token: str, now: float) -> int | None:
    """Whole seconds for which `token` is good, rounded up; None when it is forged, foreign or expired."""
    if len(token) != _TOKEN_LENGTH:
        return None
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    expiry, seal = raw[:_EXPIRY_BYTES], raw[_EXPIRY_BYTES:]
    if not hmac.compare_digest(seal, _seal(secret, instance, expiry)):
        return None
    milliseconds_left = int.from_bytes(expiry, "big") - int(now * 1000)
    # A clock set back would otherwise lengthen a token's life beyond what could ever be asked for.
    return -(-milliseconds_left // 1000) if 0 < milliseconds_left <= LONGEST * 1000 else None


def _seal(secret: bytes, instance: str, expiry: bytes) -> bytes:
    return hmac.new(secret, b"metadata token\0" + instance.encode() + b"\0" + expiry, hashlib.sha256).digest()
