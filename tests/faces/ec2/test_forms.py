"""Long forms: what it costs to decode them, nobody makes the cloud pay without a good signature."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec
import pytest

from pileus.faces.wire import query, signing, sigv2
from pileus.faces.wire.http import Identified, Request, Response
from pileus.faces.wire.queryface import SMALL_FORM
from pileus.model import bounds
from tests.faces.ec2.cloud import Account, code_of

if TYPE_CHECKING:
    from collections.abc import Mapping

LONG = "&".join(f"Filter.{number}.Name=%41%41" for number in range(1, 400))
HEADS = "Action=DescribeVpcs&Version=2016-11-15"


def signed(account: Account, body: str, secret: str = "") -> Request:
    """A request signed by Signature Version 4, with the account's secret or another."""
    request = signing.RawRequest("POST", "/", "", {"host": "cloud.test"}, body.encode())
    secret_key = (secret or account.secret_key).encode()
    key = signing.SigningCredential(account.access_key, secret_key, "us-east-1", "ec2")
    headers = signing.sign(request, key, account.cloud.core.store.now())
    return Request("POST", "/", "", headers, body.encode())


def test_a_long_form_is_decoded_after_its_signature_was_found_good(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(LONG) > SMALL_FORM
    decoded = []
    decode = query.decode_form

    def noted(*encoded: bytes | str) -> dict[str, str]:
        decoded.append(len(encoded[-1]))
        return decode(*encoded)

    monkeypatch.setattr(query, "decode_form", noted)
    refused = account.cloud.face.identify(signed(account, f"{HEADS}&{LONG}", "another"))
    assert isinstance(refused, Response)
    assert code_of(refused) == "AuthFailure"
    found = account.cloud.face.identify(signed(account, f"{HEADS}&{LONG}"))
    assert isinstance(found, Identified)
    assert found.reads
    assert decoded == [], "the request's project has not had its turn yet"
    assert code_of(found.now()) == "FilterLimitExceeded"
    assert len(decoded) == 1


@pytest.mark.parametrize("key", ["AKIA0000000000000000", ""])
def test_a_long_form_without_a_known_access_key_is_not_decoded(
    account: Account, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.delattr(query, "decode_form")
    form = f"{HEADS}&AWSAccessKeyId={key}&Signature=a&SignatureVersion=2&{LONG}"
    refused = account.cloud.face.identify(Request("POST", "/", "", {"host": "cloud.test"}, form.encode()))
    assert isinstance(refused, Response)
    assert code_of(refused) == ("AuthFailure" if key else "MissingAuthenticationToken")


def test_a_query_string_is_bounded_before_its_signature_is_verified(account: Account) -> None:
    text = "&".join(["a"] * (bounds.SIGNED_PARAMETERS.most + 1))
    request = msgspec.structs.replace(signed(account, HEADS), query=text)
    assert code_of(account.cloud.face.handle(request)) == "MalformedQueryString"


@pytest.mark.parametrize("count", ["100", "%2B100", "00000000100"])
def test_a_launch_counts_however_its_number_is_written(account: Account, count: str) -> None:
    body = f"Action=RunInstances&Version=2016-11-15&MinCount=1&MaxCount={count}"
    found = account.cloud.face.identify(signed(account, body))
    assert isinstance(found, Identified)
    assert found.launches == 100


def test_a_long_form_is_not_decoded_for_what_waits_for_a_host(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such calls are answered outside of the shares of projects: eight long forms were decoded at once."""
    monkeypatch.delattr(query, "decode_form")
    form = f"Action=GetConsoleOutput&Version=2016-11-15&InstanceId=i-0123456789abcdef0&{LONG}"
    found = account.cloud.face.identify(signed(account, form))
    assert isinstance(found, Identified)
    assert found.waits
    assert found.now().status == 413


@pytest.mark.parametrize("heads", ["%41ction=RunInstances&Version=2016-11-15", f"{HEADS}&MaxCount=%31"])
def test_a_long_form_hides_nothing_by_escapes(account: Account, heads: str) -> None:
    """A launch that looks like something else would not count as a launch."""
    assert code_of(account.cloud.face.handle(signed(account, f"{heads}&{LONG}"))) == "MalformedQueryString"
    answer = account.cloud.face.handle(signed(account, heads))
    assert code_of(answer) != "MalformedQueryString"


def test_a_form_with_its_signature_in_it_is_bounded(account: Account) -> None:
    def answer(params: Mapping[str, str]) -> Response:
        request = signing.RawRequest("POST", "/", "", {"host": "cloud.test"})
        secret, now = account.secret_key.encode(), account.cloud.core.store.now()
        form = urlencode(sigv2.sign(request, dict(params), account.access_key, secret, now))
        return account.cloud.face.handle(Request("POST", "/", "", {"host": "cloud.test"}, form.encode()))

    params = {"Action": "DescribeRegions", "Version": "2014-10-01"}
    many = {f"RegionName.{number}": "a" for number in range(bounds.SIGNED_PARAMETERS.most)}
    assert code_of(answer(params | many)) == "MalformedQueryString"
    fits = {f"RegionName.{number}": "us-east-1" for number in range(1, 900)}
    assert answer(params | fits).status == 200
    assert answer(params | {"UserData": "x" * bounds.SIGNED_FORM.most}).status == 413
