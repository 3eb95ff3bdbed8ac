"""Signatures: botocore's and AWS's published one are accepted, nothing that differs from what was signed."""

from __future__ import annotations

import calendar
import hashlib
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore import auth, awsrequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.faces.wire.errors import WireError
from pileus.faces.wire.signing import (
    UNSIGNED,
    RawRequest,
    SigningCredential,
    canonical_request,
    presign,
    sign,
    signature_of,
    stamp_of,
)
from pileus.faces.wire.sigv4 import LONGEST, SKEW, SigV4Verifier

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW = 1_700_000_000.0
EC2 = SigningCredential(KEY, SECRET.encode(), "undefined-4711", "ec2")
FORM = "application/x-www-form-urlencoded; charset=utf-8"
BASE = RawRequest(
    "POST",
    "/",
    "",
    {"host": "127.0.0.1:8773", "content-type": FORM},
    b"Action=DescribeVpcs&Version=2016-11-15",
)


def verifier(now: float = NOW, secrets: Mapping[str, bytes] | None = None) -> SigV4Verifier:
    """Return a verifier that knows one key."""
    known = {KEY: SECRET.encode()} if secrets is None else secrets
    return SigV4Verifier(known.get, lambda: now)


def signed(request: RawRequest = BASE, credential: SigningCredential = EC2, now: float = NOW) -> RawRequest:
    """Return the request with a signature in its headers."""
    return request._replace(headers=sign(request, credential, now))


def presigned(request: RawRequest, credential: SigningCredential, lifetime: int = 60) -> RawRequest:
    """Return the request with a signature in its query."""
    return request._replace(query=presign(request, credential, NOW, lifetime))


def refused(request: RawRequest, now: float = NOW, secrets: Mapping[str, bytes] | None = None) -> tuple[str, int]:
    """Return code and status that a request is refused with."""
    with pytest.raises(WireError) as caught:
        verifier(now, secrets).verify(request)
    return caught.value.code, caught.value.status


def by_botocore(signer: type[Any], service: str, request: RawRequest, **options: Any) -> tuple[RawRequest, float]:
    """Return the request as botocore signs it, and the time it did."""
    url = f"http://127.0.0.1:8773{request.path}" + (f"?{request.query}" if request.query else "")
    headers = {name: value for name, value in request.headers.items() if name != "host"}
    prepared = awsrequest.AWSRequest(request.method, url, headers, data=request.body)
    signer(Credentials(KEY, SECRET), service, "eu-central-1", **options).add_auth(prepared)
    sent = prepared.prepare()
    parts = urlsplit(sent.url)
    received = {"host": "127.0.0.1:8773"}
    values: Any = sent.headers
    for name, value in values.items():
        received[name.lower()] = value.decode() if isinstance(value, bytes) else value
    found = RawRequest(request.method, parts.path, parts.query, received, request.body)
    stamp = received.get("x-amz-date") or parts.query.partition("&X-Amz-Date=")[2][:16]
    return found, calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))


_TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
_QUERIES = st.lists(st.tuples(_TEXT, _TEXT), max_size=4).map(
    lambda pairs: "&".join(f"q{quote(k, safe='')}={quote(v, safe='')}" for k, v in pairs)
)
_PATHS = st.lists(_TEXT.filter(lambda part: part not in {".", ".."}), max_size=3).map(
    lambda parts: "/" + "/".join(quote(part, safe="") for part in parts)
)
_VALUES = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=12)


def test_a_signature_that_aws_published() -> None:
    # "Signature Version 4 signing process", the worked example.
    headers = {"content-type": FORM, "host": "iam.amazonaws.com"}
    request = RawRequest("GET", "/", "Action=ListUsers&Version=2010-05-08", headers)
    secret = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    now = calendar.timegm((2015, 8, 30, 12, 36, 0))
    found = sign(request, SigningCredential("AKIDEXAMPLE", secret, "us-east-1", "iam"), now)
    assert found["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )
    who = verifier(now, {"AKIDEXAMPLE": secret}).verify(request._replace(headers=found))
    assert who[:3] == ("AKIDEXAMPLE", "iam", "us-east-1")


@settings(max_examples=60, deadline=None)
@given(path=_PATHS, pairs=_QUERIES, value=_VALUES, body=st.binary(max_size=40))
def test_accepts_what_botocore_signs(path: str, pairs: str, value: str, body: bytes) -> None:
    request = RawRequest("POST", path, pairs, {"x-amz-meta-a": value, "content-type": FORM}, body)
    for signer, service in ((auth.SigV4Auth, "ec2"), (auth.S3SigV4Auth, "s3")):
        found, now = by_botocore(signer, service, request)
        assert verifier(now).verify(found)[:3] == (KEY, service, "eu-central-1")


@settings(max_examples=60, deadline=None)
@given(path=_PATHS, pairs=_QUERIES)
def test_accepts_what_botocore_presigns(path: str, pairs: str) -> None:
    request = RawRequest("GET", path, pairs, {}, b"")
    for signer, service in ((auth.SigV4QueryAuth, "sts"), (auth.S3SigV4QueryAuth, "s3")):
        found, now = by_botocore(signer, service, request, expires=60)
        who = verifier(now).verify(found)
        assert who[:3] == (KEY, service, "eu-central-1")
        assert (who.payload == UNSIGNED) == (service == "s3")


def test_returns_who_signed() -> None:
    who = verifier().verify(signed())
    assert who[:3] == (KEY, "ec2", "undefined-4711")
    assert len(who.payload) == 64


def test_accepts_boto_2s_spacing() -> None:
    request = signed()
    compact = request.headers["authorization"].replace(", ", ",")
    assert verifier().verify(request._replace(headers={**request.headers, "authorization": compact}))


@pytest.mark.parametrize("date", ["20231114T221320Z", "Tue, 14 Nov 2023 22:13:20 GMT"])
def test_accepts_a_date_header_instead(date: str) -> None:
    request = BASE._replace(headers={"host": "h", "date": date})
    payload = hashlib.sha256(BASE.body or b"").hexdigest()
    canonical = canonical_request(request, "ec2", "date;host", "", payload)
    assert canonical is not None
    signature = signature_of(EC2.secret, "20231114", "r", "ec2", "20231114T221320Z", canonical)
    authorization = f"Credential={KEY}/20231114/r/ec2/aws4_request, SignedHeaders=date;host, Signature={signature}"
    headers = {**request.headers, "authorization": f"AWS4-HMAC-SHA256 {authorization}"}
    assert verifier().verify(request._replace(headers=headers)).region == "r"


_TAMPERED: dict[str, Any] = {
    "method": lambda r: r._replace(method="PUT"),
    "path": lambda r: r._replace(path="/x"),
    "query": lambda r: r._replace(query="a=1"),
    "body": lambda r: r._replace(body=r.body + b"&DryRun=true"),
    "signed header": lambda r: r._replace(headers={**r.headers, "content-type": "text/plain"}),
    "host": lambda r: r._replace(headers={**r.headers, "host": "elsewhere"}),
    "absent header": lambda r: r._replace(headers={k: v for k, v in r.headers.items() if k != "content-type"}),
    "time": lambda r: r._replace(headers={**r.headers, "x-amz-date": stamp_of(NOW + 1)}),
    "unsigned body": lambda r: r._replace(headers={**r.headers, "x-amz-content-sha256": UNSIGNED}),
}


@pytest.mark.parametrize("part", _TAMPERED)
def test_tampering_fails(part: str) -> None:
    assert refused(_TAMPERED[part](signed())) == ("AuthFailure", 401)


@given(data=st.data())
def test_changing_any_character_of_the_authorization_fails(data: st.DataObject) -> None:
    request = signed()
    text = request.headers["authorization"]
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != text[place]))
    changed = f"{text[:place]}{other}{text[place + 1 :]}"
    refused(request._replace(headers={**request.headers, "authorization": changed}))


@pytest.mark.parametrize("service", ["ec2", "sts", "s3"])
def test_tampering_with_a_presigned_url_fails(service: str) -> None:
    credential = EC2._replace(service=service)
    good = presigned(RawRequest("GET", "/a", "Action=X", {"host": "h"}), credential)
    assert verifier().verify(good).service == service
    for old, new in (
        ("Action=X", "Action=Y"),
        ("Expires=60", "Expires=61"),
        ("SignedHeaders=host", "SignedHeaders=a"),
    ):
        assert old in good.query
        refused(good._replace(query=good.query.replace(old, new)))
    refused(good._replace(query=f"{good.query}&b=1"))
    refused(good._replace(query=f"{good.query}&X-Amz-Signature=0"))
    refused(good._replace(path="/b"))
    refused(good._replace(headers={"host": "i"}))


@pytest.mark.parametrize(
    ("service", "unknown", "mismatch", "skewed", "expired"),
    [
        ("ec2", ("AuthFailure", 401), ("AuthFailure", 401), ("RequestExpired", 400), ("RequestExpired", 400)),
        (
            "sts",
            ("InvalidClientTokenId", 403),
            ("SignatureDoesNotMatch", 403),
            ("SignatureDoesNotMatch", 403),
            ("SignatureDoesNotMatch", 403),
        ),
        (
            "s3",
            ("InvalidAccessKeyId", 403),
            ("SignatureDoesNotMatch", 403),
            ("RequestTimeTooSkewed", 403),
            ("AccessDenied", 403),
        ),
    ],
)
def test_each_service_has_its_own_codes(
    service: str,
    unknown: tuple[str, int],
    mismatch: tuple[str, int],
    skewed: tuple[str, int],
    expired: tuple[str, int],
) -> None:
    credential = EC2._replace(service=service)
    request = signed(credential=credential)
    assert refused(request, secrets={}) == unknown
    assert refused(request, secrets={KEY: b"other"}) == mismatch
    assert refused(request, now=NOW + SKEW + 1) == skewed
    assert refused(request, now=NOW - SKEW - 1) == skewed
    assert verifier(NOW + SKEW).verify(request)
    assert verifier(NOW - SKEW).verify(request)
    url = presigned(BASE._replace(method="GET", body=b""), credential, 3600)
    assert verifier(NOW + 3600).verify(url)
    assert refused(url, now=NOW + 3601) == expired
    assert refused(url, now=NOW - SKEW - 1) == skewed


def test_a_rotated_secret_counts_at_once() -> None:
    secrets = {KEY: SECRET.encode()}
    check = verifier(secrets=secrets)
    old, new = signed(), signed(credential=EC2._replace(secret=b"new"))
    assert check.verify(old)
    secrets[KEY] = b"new"
    assert check.verify(new)
    with pytest.raises(WireError):
        check.verify(old)
    del secrets[KEY]
    with pytest.raises(WireError):
        check.verify(new)


def test_s3_may_leave_the_body_out() -> None:
    s3 = EC2._replace(service="s3")
    for word in (UNSIGNED, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
        request = signed(BASE._replace(headers={**BASE.headers, "x-amz-content-sha256": word}), s3)
        assert verifier().verify(request._replace(body=None)).payload == word
        assert verifier().verify(request._replace(body=b"other")).payload == word
        assert refused(request._replace(headers={**request.headers, "x-amz-content-sha256": "other"}))
    whole = signed(credential=s3)
    assert len(verifier().verify(whole._replace(body=None)).payload) == 64
    assert refused(whole._replace(body=b"other")) == ("XAmzContentSHA256Mismatch", 400)


def test_without_a_signature() -> None:
    assert refused(BASE) == ("MissingAuthenticationToken", 403)
    assert refused(BASE._replace(query="aX-Amz-Signature=0")) == ("MissingAuthenticationToken", 403)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        ("AWS4-HMAC-SHA256 ", "Basic "),
        ("aws4_request", "aws3_request"),
        ("/ec2/", "/"),
        ("20231114", "20231115"),
        ("SignedHeaders=content-type;host;x-amz-date", "SignedHeaders=content-type;x-amz-date"),
        ("SignedHeaders=content-type;host;x-amz-date", "SignedHeaders=content-type;host;host;x-amz-date"),
        ("Signature=", "Signature=x"),
        (", Signature=", ", Sgn="),
        ("Credential=", "Credential=,"),
    ],
)
def test_an_incomplete_signature(old: str, new: str) -> None:
    request = signed()
    assert old in request.headers["authorization"]
    changed = request.headers["authorization"].replace(old, new)
    found = request._replace(headers={**request.headers, "authorization": changed})
    assert refused(found) == ("IncompleteSignature", 400)


@pytest.mark.parametrize("lifetime", ["0", "-1", str(LONGEST + 1), "x", "9" * 5000, ""])
def test_lifetimes_that_are_refused(lifetime: str) -> None:
    url = presigned(BASE, EC2)
    found = url._replace(query=url.query.replace("X-Amz-Expires=60", f"X-Amz-Expires={lifetime}"))
    assert refused(found) == ("IncompleteSignature", 400)


def test_two_signatures_are_refused() -> None:
    url = presigned(BASE, EC2)
    assert refused(url._replace(headers=sign(url, EC2, NOW))) == ("IncompleteSignature", 400)


@pytest.mark.parametrize("stamp", ["", "20231399T000000Z", "2023-11-14T22:13:20Z", "20231114T996160Z"])
def test_dates_that_are_none(stamp: str) -> None:
    request = signed()
    old = request.headers["authorization"]
    headers = {
        **request.headers,
        "x-amz-date": stamp,
        "authorization": old.replace("20231114", stamp[:8] or "x"),
    }
    assert refused(request._replace(headers=headers)) == ("IncompleteSignature", 400)


_LATIN = st.text(alphabet=st.characters(max_codepoint=255), max_size=40)
_SCOPE = f"{KEY}/20231114/r/ec2/aws4_request"


@settings(max_examples=200, deadline=None)
@given(
    presented=st.lists(st.one_of(_LATIN, st.just(f"Credential={_SCOPE}"), st.just("SignedHeaders=host")), max_size=4),
    signature=st.one_of(_LATIN, st.just("0" * 64)),
    queried=st.one_of(
        _LATIN, st.just(""), st.just("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=1&X-Amz-Signature=0")
    ),
    date=st.one_of(_LATIN, st.just(stamp_of(NOW))),
    path=_LATIN,
)
def test_arbitrary_requests_raise_nothing_but_wire_errors(
    presented: list[str], signature: str, queried: str, date: str, path: str
) -> None:
    text = f"AWS4-HMAC-SHA256 {', '.join([*presented, f'Signature={signature}'])}"
    for headers in ({"authorization": text, "host": "h"}, {"host": "h"}):
        refused(RawRequest("GET", path, queried, {**headers, "date": date}))
        refused(RawRequest("GET", path, queried, {**headers, "x-amz-date": date}))
