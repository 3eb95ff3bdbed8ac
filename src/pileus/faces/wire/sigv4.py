"""AWS Signature Version 4: verify a request that carries one.

Both places a signature may be in: the `Authorization` header, and the query of a presigned URL. Any region
name is accepted (euca2ools makes one up when it is given a bare URL) and returned with the scope's service.

The signature covers: method, path, query, the headers named, and the body by its SHA-256. S3 differs: its path is
not normalised, and its body may be left out of the signature or be signed in chunks; that is told in
`Signed.payload`. For every other service the body must be signed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from pileus.faces.wire.errors import WireError
from pileus.faces.wire.signing import (
    ALGORITHM,
    UNSIGNED,
    RawRequest,
    canonical_request,
    signature_of,
    stamp_of,
)
from pileus.model.credential import SessionSecret

SKEW = 15 * 60
"""Seconds by which the signer's clock may differ from ours."""

LONGEST = 7 * 24 * 3600
"""Seconds that a presigned URL may be good for."""

TOKEN_HEADER: Final = "x-amz-security-token"  # noqa: S105  (a header's name)
"""The header of the session token of temporary credentials."""

_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret"
    " Access Key and signing method. Consult the service documentation for details."
)
_INVALID = "AWS was not able to validate the provided access credentials"

_SCOPE = re.compile(r"Credential=[^,/ ]+/[0-9]{8}/[^/, ]+/([A-Za-z0-9-]{1,64})/aws4_request", re.ASCII)
_QUERY_SCOPE = re.compile(
    r"(?:^|&)X-Amz-Credential=[^&/%]+(?:%2F|/)[0-9]{8}(?:%2F|/)[^/&%]+(?:%2F|/)([A-Za-z0-9-]{1,64})(?:%2F|/)aws4",
    re.ASCII,
)
_LOOKED = 4096
"""Characters of a header, or of a query, in which the scope is looked for."""

_STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Signed(NamedTuple):
    """The signer of a request, and the service and region that it was signed for.

    `token` is the session token of temporary credentials, verified; empty for an access key of a user. `payload` is
    the SHA-256 of the body in hex, verified unless the body was None; or, for S3 alone, `UNSIGNED-PAYLOAD` or a
    `STREAMING-…` word, and then the body is not vouched for.
    """

    access_key: str
    service: str
    region: str
    payload: str
    token: str = ""


class Codes(NamedTuple):
    """One service's answers: to an unknown key, a wrong signature, a wrong clock, an expired URL, an ended session."""

    unknown: tuple[str, str, int]
    mismatch: tuple[str, str, int]
    skewed: tuple[str, int]
    expired: tuple[str, int]
    ended: tuple[str, str, int]


_SERVICES: Final[dict[str, Codes]] = {
    "ec2": Codes(
        ("AuthFailure", _INVALID, 401),
        ("AuthFailure", _INVALID, 401),
        ("RequestExpired", 400),
        ("RequestExpired", 400),
        ("RequestExpired", "Request has expired: the session of its security token has ended.", 400),
    ),
    "s3": Codes(
        ("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403),
        ("SignatureDoesNotMatch", _MISMATCH, 403),
        ("RequestTimeTooSkewed", 403),
        ("AccessDenied", 403),
        ("ExpiredToken", "The provided token has expired.", 400),
    ),
}
_OTHERS: Final = Codes(
    ("InvalidClientTokenId", "The security token included in the request is invalid.", 403),
    ("SignatureDoesNotMatch", _MISMATCH, 403),
    ("SignatureDoesNotMatch", 403),
    ("SignatureDoesNotMatch", 403),
    ("ExpiredToken", "The security token included in the request is expired", 403),
)
"""STS, IAM and every name of a service that is in no table."""


class SecretSource:
    """The secrets that requests are signed with, by `lookup` of access keys and by `session` of temporary credentials.

    `now` returns seconds since the epoch.
    """

    def __init__(
        self,
        lookup: Callable[[str], bytes | None],
        now: Callable[[], float],
        session: Callable[[str, str], SessionSecret | None],
    ) -> None:
        self._lookup = lookup
        self._session = session
        self._now = now

    def secret(self, access_key: str, token: str, codes: Codes) -> bytes:
        """Return the secret of an access key, or of temporary credentials, which have a `token`.

        Raises WireError for an unknown key, a token that is none of this cloud's, and a session that has ended.
        """
        if not token:
            secret = self._lookup(access_key)
            if secret is None:
                raise WireError(*codes.unknown)
            return secret
        temporary = self._session(access_key, token)
        if temporary is None:
            raise WireError(*codes.unknown)
        if temporary.until <= self._now():
            raise WireError(*codes.ended)
        return temporary.secret


def codes_of(service: str) -> Codes:
    """Return the codes with which `service` refuses signatures, of whichever version."""
    return _SERVICES.get(service, _OTHERS)


class _PresentedSignature(NamedTuple):
    """The signature that a request presents. `lifetime` in seconds, None outside presigned URLs.

    `token` is the session token beside it; empty for none.
    """

    access_key: str
    date: str
    region: str
    service: str
    stamp: str
    headers: str
    signature: str
    query: str
    lifetime: int | None
    token: str


def scope_of(headers: Mapping[str, str], query: str) -> str:
    """Return the service in the scope of a signature; empty where a request presents none. Nothing is verified here."""
    match = _SCOPE.search(headers.get("authorization", "")[:_LOOKED]) or _QUERY_SCOPE.search(query[:_LOOKED])
    return match[1] if match else ""


def present(request: RawRequest) -> bool:
    """Whether a request presents a signature of this kind."""
    return "authorization" in request.headers or "X-Amz-Algorithm=" in request.query


def no_session(access_key: str, token: str) -> SessionSecret | None:
    """Return None: the session of a verifier that knows no temporary credentials."""


class SigV4Verifier:
    """Verifies signatures. Keeps no state: signing keys are cached by the secret they come from.

    `lookup` returns the secret of an access key, None when there is no such key (or it is switched off); it
    is asked at every request, so a rotated secret counts at once. `session` returns the same of temporary credentials,
    by their access key and session token. `now` returns seconds since the epoch.
    """

    def __init__(
        self,
        lookup: Callable[[str], bytes | None],
        now: Callable[[], float],
        session: Callable[[str, str], SessionSecret | None] = no_session,
    ) -> None:
        self._secrets = SecretSource(lookup, now, session)
        self._now = now

    def verify(self, request: RawRequest) -> Signed:
        """Return who signed the request; raises WireError with the code of the service in the scope.

        The caller must refuse a `service` that is not its own: S3's signatures need not cover the body.
        Codes: MissingAuthenticationToken, IncompleteSignature; AuthFailure and RequestExpired (EC2);
        InvalidClientTokenId, ExpiredToken and SignatureDoesNotMatch (STS, IAM); S3's own.
        """
        presented = _presented(request)
        codes = codes_of(presented.service)
        self._check_time(presented, codes)
        secret = self._secrets.secret(presented.access_key, presented.token, codes)
        payload = _payload(request, presented, codes)
        canonical = canonical_request(request, presented.service, presented.headers, presented.query, payload)
        if canonical is None:
            raise WireError(*codes.mismatch)
        expected = signature_of(secret, presented.date, presented.region, presented.service, presented.stamp, canonical)
        if not hmac.compare_digest(expected, presented.signature):
            raise WireError(*codes.mismatch)
        return Signed(presented.access_key, presented.service, presented.region, payload, presented.token)

    def _check_time(self, presented: _PresentedSignature, codes: Codes) -> None:
        now = self._now()
        signed = _seconds(presented.stamp)
        if presented.lifetime is not None:
            last, code = signed + presented.lifetime, codes.expired
        else:
            last, code = signed + SKEW, codes.skewed
        if now > last:
            text = f"Signature expired: {presented.stamp} is good until {stamp_of(last)}"
            raise WireError(code[0], f"{text}; the time here is {stamp_of(now)}.", code[1])
        if now < signed - SKEW:
            text = f"Signature not yet current: {presented.stamp}; the time here is {stamp_of(now)}."
            raise WireError(codes.skewed[0], text, codes.skewed[1])


def _presented(request: RawRequest) -> _PresentedSignature:
    authorization = request.headers.get("authorization")
    presigned = bool(request.query) and "&X-Amz-Signature=" in f"&{request.query}"
    if authorization is None and not presigned:
        raise WireError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    if authorization is not None and presigned:
        raise _incomplete("Only one signature is allowed: in the Authorization header or in the query.")
    if authorization is not None:
        return _presented_in_header(request, authorization)
    return _presented_in_query(request)


def _presented_in_header(request: RawRequest, authorization: str) -> _PresentedSignature:
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"The Authorization header's algorithm is not {ALGORITHM}.")
    fields: dict[str, str] = {}
    for part in rest.split(",", 3):
        name, _, value = part.strip().partition("=")
        fields[name] = value
    stamp = request.headers.get("x-amz-date")
    if stamp is None:
        stamp = _stamp_of_date(request.headers.get("date", ""))
    credential, headers, signature = (_field(fields, name) for name in ("Credential", "SignedHeaders", "Signature"))
    token = request.headers.get(TOKEN_HEADER, "")
    return _checked(credential, stamp, headers, signature, request.query, None, token)


def _presented_in_query(request: RawRequest) -> _PresentedSignature:
    fields: dict[str, str] = {}
    rest: list[str] = []
    for pair in request.query.split("&"):
        name, _, value = pair.partition("=")
        if name.startswith("X-Amz-"):
            if name in fields:
                raise _incomplete(f"The query has {name} more than once.")
            fields[name] = unquote_to_bytes(value).decode("latin-1")
        if name != "X-Amz-Signature":
            rest.append(pair)
    if _field(fields, "X-Amz-Algorithm") != ALGORITHM:
        raise _incomplete(f"X-Amz-Algorithm is not {ALGORITHM}.")
    lifetime = _field(fields, "X-Amz-Expires")
    if not (lifetime.isascii() and lifetime.isdigit() and len(lifetime) <= 6 and 1 <= int(lifetime) <= LONGEST):
        raise _incomplete(f"X-Amz-Expires must be a number of seconds from 1 to {LONGEST}.")
    credential, stamp = _field(fields, "X-Amz-Credential"), _field(fields, "X-Amz-Date")
    headers, signature = _field(fields, "X-Amz-SignedHeaders"), _field(fields, "X-Amz-Signature")
    token = fields.get("X-Amz-Security-Token", "")
    return _checked(credential, stamp, headers, signature, "&".join(rest), int(lifetime), token)


def _checked(
    credential: str, stamp: str, headers: str, signature: str, query: str, lifetime: int | None, token: str
) -> _PresentedSignature:
    parts = credential.rsplit("/", 4)
    if len(parts) != 5 or not all(parts) or parts[4] != "aws4_request" or len(credential) > 512:
        raise _incomplete("Credential must be KEY/YYYYMMDD/REGION/SERVICE/aws4_request.")
    if _STAMP.fullmatch(stamp) is None:
        raise _incomplete("X-Amz-Date must be a time as 20060102T150405Z.")
    if stamp[:8] != parts[1]:
        raise _incomplete("The date in the credential's scope is not that of the request.")
    if _SIGNATURE.fullmatch(signature) is None:
        raise _incomplete("Signature must be 64 lower-case hexadecimal digits.")
    names = headers.split(";")
    if "host" not in names:
        raise _incomplete("'host' must be a signed header.")
    if len(names) != len(set(names)):
        # Each mention of a header puts its whole value into the text that is signed.
        raise _incomplete("SignedHeaders names a header more than once.")
    access_key, date, region, service, _ = parts
    return _PresentedSignature(access_key, date, region, service, stamp, headers, signature, query, lifetime, token)


def _field(fields: Mapping[str, str], name: str) -> str:
    field = fields.get(name)
    if not field:
        raise _incomplete(f"The request's signature lacks {name}.")
    return field


def _incomplete(message: str) -> WireError:
    return WireError("IncompleteSignature", message)


def _payload(request: RawRequest, presented: _PresentedSignature, codes: Codes) -> str:
    """Return the SHA-256 that the body has, or S3's word instead; raises WireError if the request names another."""
    content_sha256 = request.headers.get("x-amz-content-sha256")
    if presented.service == "s3":
        if content_sha256 is None and presented.lifetime is not None:
            content_sha256 = UNSIGNED
        if content_sha256 is not None and (
            request.body is None or content_sha256 == UNSIGNED or content_sha256.startswith("STREAMING-")
        ):
            return content_sha256
        text = "The provided 'x-amz-content-sha256' header does not match what was computed."
        mismatch = "XAmzContentSHA256Mismatch", text, 400
    else:
        mismatch = codes.mismatch
    if request.body is None:
        raise _incomplete("The request has no x-amz-content-sha256.")
    digest = sha256(request.body).hexdigest()
    if content_sha256 is not None and content_sha256 != digest:
        raise WireError(*mismatch)
    return digest


def _seconds(stamp: str) -> float:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        raise _incomplete("X-Amz-Date must be a time as 20060102T150405Z.") from None


def _stamp_of_date(text: str) -> str:
    """Return a `Date` header, in HTTP's form or ISO 8601's basic one, as a stamp; '' for no date."""
    if _STAMP.fullmatch(text) is not None:
        return text
    try:
        return parsedate_to_datetime(text).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, OverflowError):
        return ""
