"""Public ids: Amazon's prefix with 17 hex digits, account and access key numbers."""

from __future__ import annotations

import re
import secrets
import uuid

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EC2 = re.compile(r"([a-z]+(?:-[a-z]+)*)-(?:[0-9a-f]{8}|[0-9a-f]{17})")


def new_uuid() -> str:
    """A random (version 4) uuid."""
    return str(uuid.uuid4())


def is_uuid(text: str) -> bool:
    """Whether `text` has the form of a noun's uuid."""
    return _UUID.fullmatch(text) is not None


def sibling_uuid(uuid: str) -> str:
    """A random uuid with the digits that the public id of the noun `uuid` has, for a noun of another kind."""
    digits = uuid.replace("-", "")[:17] + secrets.token_hex(8)[:15]
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def public_id(prefix: str, uuid: str) -> str:
    """The id of a noun in Amazon's form: prefix, a dash, the first 17 hex digits of the uuid."""
    return f"{prefix}-{uuid.replace('-', '')[:17]}"


def new_ec2(prefix: str) -> str:
    """A random id of Amazon's form, for things that are not nouns (reservations, rules)."""
    return f"{prefix}-{secrets.token_hex(9)[:17]}"


def is_ec2(prefix: str, ident: str) -> bool:
    """Whether `ident` has the form that Amazon gives ids with `prefix`."""
    match = _EC2.fullmatch(ident)
    return match is not None and match[1] == prefix


def new_account() -> str:
    """A 12-digit account id."""
    return "".join([str(1 + secrets.randbelow(9))] + [str(secrets.randbelow(10)) for _ in range(11)])


TEMPORARY_KEY = "ASIA"
"""The first letters of the access key ids of temporary credentials."""


def new_access_key(prefix: str = "AKIA") -> str:
    """An access key id: AKIA, or another prefix, and 16 of base32."""
    return prefix + "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16))
