"""The computations of AWS Signature Version 4 that both sides share, and the signer's side.

Source: "Signature Version 4 signing process" of the AWS General Reference.
"""

from __future__ import annotations

import functools
import hmac
from collections.abc import Mapping
from hashlib import sha256
from time import gmtime, strftime
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

ALGORITHM: Final = "AWS4-HMAC-SHA256"
UNSIGNED: Final = "UNSIGNED-PAYLOAD"


class RawRequest(NamedTuple):
    """A request as it came over the wire.

    `path` and `query` raw (percent-encoded, without the question mark); `headers` by lower-case name, several
    of a name joined with commas, values as HTTP hands them over (Latin-1); `body` the bytes, or None while
    they are still to come (S3 alone).
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes | None = b""


class SigningCredential(NamedTuple):
    """The signer's credential, and the region and service that the request is for."""

    access_key: str
    secret: bytes
    region: str
    service: str


def sign(request: RawRequest, credential: SigningCredential, now: float) -> dict[str, str]:
    """Return the request's headers, all of them signed, with `x-amz-date` and `authorization` added.

    `now` in seconds since the epoch. The headers need a `host`. For S3
    `x-amz-content-sha256` is added too, unless given.
    """
    stamp = stamp_of(now)
    headers = {**request.headers, "x-amz-date": stamp}
    digest = sha256(request.body or b"").hexdigest()
    if credential.service == "s3":
        digest = headers.setdefault("x-amz-content-sha256", digest)
    names = ";".join(sorted(headers))
    canonical = canonical_request(request._replace(headers=headers), credential.service, names, request.query, digest)
    signature = _sign(credential, stamp, canonical)
    authorization = f"Credential={_credential(credential, stamp)}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": f"{ALGORITHM} {authorization}"}


def presign(request: RawRequest, credential: SigningCredential, now: float, lifetime: int) -> str:
    """Return the query that makes the request's URL good by itself for `lifetime` seconds from `now`."""
    stamp = stamp_of(now)
    names = ";".join(sorted(request.headers))
    signature_parameters = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": _credential(credential, stamp),
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(lifetime),
        "X-Amz-SignedHeaders": names,
    }
    pairs = [request.query] if request.query else []
    query = "&".join([*pairs, *(f"{name}={quote(value, safe='')}" for name, value in signature_parameters.items())])
    digest = UNSIGNED if credential.service == "s3" else sha256(request.body or b"").hexdigest()
    canonical = canonical_request(request, credential.service, names, query, digest)
    return f"{query}&X-Amz-Signature={_sign(credential, stamp, canonical)}"


def canonical_request(request: RawRequest, service: str, names: str, query: str, payload: str) -> bytes | None:
    """Return the text that is hashed and signed; None if one of the headers `names` is absent.

    `names` are separated by semicolons; `query` is the request's without a signature; `payload` is the body's
    SHA-256 in hex, or S3's word instead of one.
    """
    headers = request.headers
    lines: list[str] = []
    for name in names.split(";"):
        value = headers.get(name)
        if value is None:
            return None
        lines.append(f"{name}:{' '.join(value.split())}\n")
    path = _canonical_path(request.path, service)
    order = _canonical_query(query) if query else ""
    text = f"{request.method}\n{path}\n{order}\n{''.join(lines)}\n{names}\n{payload}"
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _canonical_path(path: str, service: str) -> str:
    if path in {"/", ""}:
        return "/"
    if service == "s3":
        # Each part by itself: a %2F is a slash of the name, and stays encoded in what clients sign.
        return "/".join(quote(unquote_to_bytes(part), safe="") for part in path.split("/"))
    segments: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del segments[-1:]
        elif part not in {"", "."}:
            segments.append(part)
    end = "/" if segments and path.endswith(("/", "/.", "/..")) else ""
    return quote("/" + "/".join(segments) + end, safe="/~")


def _canonical_query(query: str) -> str:
    pairs: list[tuple[str, str]] = []
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text.replace("+", " ")), safe="")


def _sign(credential: SigningCredential, stamp: str, canonical: bytes | None) -> str:
    if canonical is None:
        raise ValueError("a header to sign is absent")
    return signature_of(credential.secret, stamp[:8], credential.region, credential.service, stamp, canonical)


def _credential(credential: SigningCredential, stamp: str) -> str:
    return f"{credential.access_key}/{stamp[:8]}/{credential.region}/{credential.service}/aws4_request"


def signature_of(secret: bytes, date: str, region: str, service: str, stamp: str, canonical: bytes) -> str:
    """Return the signature, in hex, of a canonical request; `date` is the first 8 digits of `stamp`."""
    digest = sha256(canonical).hexdigest()
    text = f"{ALGORITHM}\n{stamp}\n{date}/{region}/{service}/aws4_request\n{digest}"
    return hmac.digest(_signing_key(secret, date, region, service), _bytes(text), "sha256").hex()


@functools.lru_cache(maxsize=4096)
def _signing_key(secret: bytes, date: str, region: str, service: str) -> bytes:
    # Cached by the secret itself, not by the access key: a rotated secret can never meet an old signing key.
    key = b"AWS4" + secret
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, _bytes(part), "sha256")
    return key


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def stamp_of(seconds: float) -> str:
    """Return seconds since the epoch as `20060102T150405Z`."""
    return strftime("%Y%m%dT%H%M%SZ", gmtime(seconds))
