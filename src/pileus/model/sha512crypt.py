"""SHA-512 crypt, the form of passwords in shadow(5) that every system of today reads (`$6$SALT$HASH`).

Python's own module for it has gone. Source of the steps: "Unix crypt using SHA-256 and SHA-512", by Ulrich Drepper.
"""

from __future__ import annotations

import hashlib
import secrets

ROUNDS = 5000
"""As in crypt(5), where none are named."""

_LETTERS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SALT = 16


def hashed(password: str, salt: str = "") -> str:
    """The hash of a password with this salt, or with a new one."""
    salt = salt or "".join(secrets.choice(_LETTERS) for _ in range(_SALT))
    digest = _digest(password.encode(), salt.encode())
    # The bytes of the digest in the order that the scheme has: three by three, the first one going round.
    orders = [(i, i + 21, i + 42) for i in range(21)]
    groups = [order[i % 3 :] + order[: i % 3] for i, order in enumerate(orders)]
    text = "".join(_letters(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in groups)
    return f"$6${salt}${text}{_letters(digest[63], 2)}"


def _letters(number: int, count: int) -> str:
    return "".join(_LETTERS[number >> 6 * place & 63] for place in range(count))


def _digest(key: bytes, salt: bytes) -> bytes:
    other = hashlib.sha512(key + salt + key).digest()
    mixed = hashlib.sha512(key + salt + _repeated(other, len(key)))
    length = len(key)
    while length:
        mixed.update(other if length & 1 else key)
        length >>= 1
    digest = mixed.digest()
    keys = _repeated(hashlib.sha512(key * len(key)).digest(), len(key))
    salts = _repeated(hashlib.sha512(salt * (16 + digest[0])).digest(), len(salt))
    for number in range(ROUNDS):
        step = hashlib.sha512(keys if number & 1 else digest)
        if number % 3:
            step.update(salts)
        if number % 7:
            step.update(keys)
        step.update(digest if number & 1 else keys)
        digest = step.digest()
    return digest


def _repeated(text: bytes, length: int) -> bytes:
    return (text * (length // len(text) + 1))[:length]
