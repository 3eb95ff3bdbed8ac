"""Version 2 signatures: botocore's and boto 2's are accepted, nothing that differs from what was signed."""

from __future__ import annotations

import base64
import calendar
import hmac
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import SigV2Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.faces.wire.errors import WireError
from pileus.faces.wire.signing import RawRequest
from pileus.faces.wire.sigv2 import Method, SigV2Verifier, present, sign
from pileus.faces.wire.sigv4 import SKEW

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW = 1_700_000_000.0
HOST = "127.0.0.1:8773"
BASE = RawRequest("GET", "/", "", {"host": HOST})
ASKED = {"Action": "DescribeVpcs", "Version": "2016-11-15", "Filter.1.Value.1": "a b/+~*é"}
AUTH = ("AWSAccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "Timestamp")


def verifier(now: float = NOW, secrets: Mapping[str, bytes] | None = None) -> SigV2Verifier:
    """Return a verifier that knows one key."""
    known = {KEY: SECRET.encode()} if secrets is None else secrets
    return SigV2Verifier(known.get, lambda: now)


def signed(params: Mapping[str, str] = ASKED, method: Method = "HmacSHA256") -> dict[str, str]:
    """Return the parameters as our own signer signs them."""
    return sign(BASE, params, KEY, SECRET.encode(), NOW, method)


def refused(params: Mapping[str, str], request: RawRequest = BASE, now: float = NOW, service: str = "ec2") -> str:
    """Return the code that a request is refused with."""
    with pytest.raises(WireError) as caught:
        verifier(now).verify(request, params, service)
    return caught.value.code


def by_botocore(method: str, path: str, params: Mapping[str, str]) -> tuple[dict[str, str], float]:
    """Return the parameters as botocore signs them, and the time it did."""
    given: Any = dict(params)
    request = AWSRequest(method, f"http://{HOST}{path}", data=given if method == "POST" else None, params=given)
    SigV2Auth(Credentials(KEY, SECRET)).add_auth(request)
    sent: Any = request.data if method == "POST" else request.params
    return dict(sent), calendar.timegm(time.strptime(sent["Timestamp"], "%Y-%m-%dT%H:%M:%SZ"))


_TEXT = st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=12)
_PARAMS = st.dictionaries(_TEXT.map("q{}".format), _TEXT, min_size=1, max_size=6)
_PATHS = st.sampled_from(["/", "/services/Cloud", "/services/Cloud/"])


@settings(max_examples=80, deadline=None)
@given(method=st.sampled_from(["GET", "POST"]), path=_PATHS, params=_PARAMS)
def test_accepts_what_botocore_signs(method: str, path: str, params: dict[str, str]) -> None:
    found, now = by_botocore(method, path, params)
    request = RawRequest(method, path, "", {"host": HOST})
    assert verifier(now).verify(request, found, "ec2") == KEY
    assert sign(request, params, KEY, SECRET.encode(), now) == found


@settings(max_examples=80, deadline=None)
@given(params=_PARAMS, name=_TEXT, value=_TEXT, data=st.data())
def test_nothing_may_be_added_changed_or_left_out(
    params: dict[str, str], name: str, value: str, data: st.DataObject
) -> None:
    found = signed(params)
    victim = data.draw(st.sampled_from(sorted(found)))
    for other in (
        {**found, f"z{name}": value},
        {**found, victim: value},
        {key: text for key, text in found.items() if key != victim},
    ):
        if other != found:
            with pytest.raises(WireError):
                verifier().verify(BASE, other, "ec2")


def test_accepts_boto_2_which_signs_the_host_without_its_port() -> None:
    params = {
        **ASKED,
        "AWSAccessKeyId": KEY,
        "SignatureMethod": "HmacSHA1",
        "SignatureVersion": "2",
        "Timestamp": "2023-11-14T22:13:20Z",
    }
    pairs = [f"{quote(name, safe='')}={quote(value, safe='-_~')}" for name, value in sorted(params.items())]
    text = f"GET\n127.0.0.1\n/\n{'&'.join(pairs)}"
    params["Signature"] = base64.b64encode(hmac.digest(SECRET.encode(), text.encode(), "sha1")).decode()
    assert verifier().verify(BASE, params, "ec2") == KEY
    assert refused(params, BASE._replace(headers={"host": "127.0.0.2:8773"})) == "AuthFailure"


@pytest.mark.parametrize("method", ["HmacSHA1", "HmacSHA256"])
def test_both_methods_are_good_but_not_for_each_other(method: Method) -> None:
    found = signed(method=method)
    assert verifier().verify(BASE, found, "sts") == KEY
    other = "HmacSHA1" if method == "HmacSHA256" else "HmacSHA256"
    assert refused({**found, "SignatureMethod": other}) == "AuthFailure"


def test_method_host_and_path_belong_to_the_signature() -> None:
    for other in (
        BASE._replace(method="POST"),
        BASE._replace(path="/services/Cloud"),
        BASE._replace(headers={"host": "cloud.test"}),
        BASE._replace(headers={}),
    ):
        assert refused(signed(), other) == "AuthFailure"
    assert verifier().verify(BASE._replace(path=""), signed(), "ec2") == KEY


def test_each_service_refuses_in_its_own_words() -> None:
    found = signed()
    assert refused({**found, "Signature": "é"}) == "AuthFailure"
    assert refused({**found, "Signature": "é"}, service="sts") == "SignatureDoesNotMatch"
    assert refused({**found, "AWSAccessKeyId": "AKIA"}) == "AuthFailure"
    assert refused({**found, "AWSAccessKeyId": "AKIA"}, service="sts") == "InvalidClientTokenId"
    assert refused(found, now=NOW + SKEW + 1) == "RequestExpired"
    assert refused(found, now=NOW + SKEW + 1, service="sts") == "SignatureDoesNotMatch"


def test_clock_may_differ_by_a_quarter_of_an_hour() -> None:
    for now in (NOW - SKEW, NOW, NOW + SKEW):
        assert verifier(now).verify(BASE, signed(), "ec2") == KEY
    assert refused(signed(), now=NOW - SKEW - 1) == "RequestExpired"


@pytest.mark.parametrize(
    "end", ["2023-11-14T22:13:20Z", "2023-11-14T22:13:20.000Z", "2023-11-14T22:13:20", "2023-11-14T23:13:20+01:00"]
)
def test_expires_is_the_last_moment(end: str) -> None:
    found = signed({**ASKED, "Expires": end})
    assert "Timestamp" not in found
    for now in (NOW - 24 * 3600, NOW):
        assert verifier(now).verify(BASE, found, "ec2") == KEY
    assert refused(found, now=NOW + 1) == "RequestExpired"
    assert refused({**found, "Timestamp": end}) == "InvalidParameterCombination"


@pytest.mark.parametrize("name", AUTH)
def test_each_part_is_needed(name: str) -> None:
    found = signed()
    assert refused({**found, name: ""}) == "MissingParameter"
    del found[name]
    assert refused(found) == "MissingParameter"


@pytest.mark.parametrize("name", ["SignatureMethod", "SignatureVersion", "Timestamp", "Expires"])
@pytest.mark.parametrize("value", ["1", "2023-11-14T22:13:99Z", "2023-11-14", "x" * 1000, "٢"])
def test_values_that_mean_nothing_are_refused(name: str, value: str) -> None:
    found = {key: text for key, text in signed().items() if (key, name) != ("Timestamp", "Expires")}
    assert refused({**found, name: value}) == "InvalidParameterValue"


def test_two_signatures_are_one_too_many() -> None:
    assert refused(signed(), BASE._replace(headers={"host": HOST, "authorization": "x"})) == "IncompleteSignature"
    assert refused({**signed(), "X-Amz-Signature": "x"}) == "IncompleteSignature"


def test_a_rotated_secret_counts_at_once() -> None:
    secrets = {KEY: SECRET.encode()}
    known = verifier(secrets=secrets)
    assert known.verify(BASE, signed(), "ec2") == KEY
    secrets[KEY] = b"another"
    with pytest.raises(WireError):
        known.verify(BASE, signed(), "ec2")


def test_tells_whether_a_request_claims_to_be_signed_so() -> None:
    assert present(signed())
    assert not present(ASKED)
