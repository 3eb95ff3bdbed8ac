"""The credential that a request presents, in any of the dialects' ways. Nothing is verified here."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pileus.faces.wire.http import Request

_HEADER = re.compile(r"Credential=([A-Z0-9]{16,32})/", re.ASCII)
_QUERY = re.compile(
    r"(?:^|&)(?:X-Amz-Credential=([A-Z0-9]{16,32})(?:%2F|/)|AWSAccessKeyId=([A-Z0-9]{16,32})(?:&|$))", re.ASCII
)

_LOOKED = 4096
"""Bytes of a body in which the parameters of a signature are looked for."""


def access_key(request: Request) -> str:
    """The id of the access key that the request presents; empty where it presents none that could exist."""
    match = _HEADER.search(request.headers.get("authorization", "")[:_LOOKED])
    match = match or _QUERY.search(request.query[:_LOOKED])
    match = match or _QUERY.search(request.body[:_LOOKED].decode("latin-1"))
    return next(filter(None, match.groups()), "") if match else ""


def credential(request: Request) -> str:
    """The access key's id, or the digest of the token, that the request presents; empty for neither."""
    key = access_key(request)
    if key:
        return key
    presented_token = token(request)
    return sha256(presented_token.encode("latin-1", "replace")).hexdigest() if presented_token else ""


def token(request: Request) -> str:
    """The bearer's token (or X-Auth-Token) that the request presents, and by which it is verified; empty for none.

    A second token beside it would make many credentials of one.
    """
    scheme, _, bearer_token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        bearer_token = request.headers.get("x-auth-token", "")
    return bearer_token.strip()
