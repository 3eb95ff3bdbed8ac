"""Requests that clients of the first years sign: the signature is among the parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV2Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pileus.faces.ec2 import FACE
from pileus.faces.wire import signing, sigv2
from pileus.faces.wire.http import Request, Response
from pileus.verbs import credential
from tests.faces.ec2.cloud import Account, code_of

if TYPE_CHECKING:
    from typing import Any

REGIONS = {"Action": "DescribeRegions", "Version": "2014-10-01"}
IDENTITY = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}


def asked(account: Account, params: dict[str, str], method: str = "GET", path: str = "/") -> Response:
    """Send the parameters, signed by ours, in the query or the body."""
    request = signing.RawRequest(method, path, "", {"host": "cloud.test"})
    now, secret = account.cloud.core.store.now(), account.secret_key.encode()
    return sent(account, sigv2.sign(request, params, account.access_key, secret, now), method, path)


def sent(account: Account, params: dict[str, str], method: str = "GET", path: str = "/") -> Response:
    """Send parameters as they are."""
    form, headers = urlencode(params), {"host": "cloud.test"}
    query, body = (form, b"") if method == "GET" else ("", form.encode())
    return account.cloud.handle(Request(method, path, query, headers, body))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", sorted(FACE.paths.exact))
def test_both_methods_work_on_every_path(account: Account, method: str, path: str) -> None:
    response = asked(account, REGIONS, method, path)
    assert response.status == 200, response.body
    assert b"<regionName>us-east-1</regionName>" in response.body


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_botocores_signer_is_understood(account: Account, method: str) -> None:
    params: Any = {**REGIONS, "Filter.1.Name": "region-name", "Filter.1.Value.1": "us-*~ é"}
    data = {"data": params} if method == "POST" else {"params": params}
    SigV2Auth(Credentials(account.access_key, account.secret_key)).add_auth(
        AWSRequest(method, "http://cloud.test/", **data)
    )
    response = sent(account, params, method)
    assert response.status == 200, response.body
    params["Filter.1.Value.1"] = "us-east-1"
    assert code_of(sent(account, params, method)) == "AuthFailure"


def test_boto3_told_to_sign_so_is_served(account: Account) -> None:
    client = account.client("ec2", signature_version="v2")
    client.create_key_pair(KeyName="a b/c", KeyType="ed25519")
    assert client.describe_key_pairs()["KeyPairs"][0]["KeyName"] == "a b/c"
    assert account.client("sts", signature_version="v2").get_caller_identity()["Account"] == account.number


def test_version_decides_which_service_is_meant(account: Account) -> None:
    assert asked(account, IDENTITY).status == 200
    account.secret_key += "x"
    response = asked(account, IDENTITY)
    assert (response.status, code_of(response)) == (403, "SignatureDoesNotMatch")
    response = asked(account, REGIONS)
    assert (response.status, code_of(response)) == (401, "AuthFailure")


def test_clocks_keys_and_parts_are_checked(account: Account) -> None:
    assert code_of(asked(account, {**REGIONS, "Expires": "2014-10-01T00:00:00Z"})) == "RequestExpired"
    assert asked(account, {**REGIONS, "Expires": "2999-10-01T00:00:00Z"}).status == 200
    assert code_of(sent(account, {**REGIONS, "SignatureVersion": "2"})) == "MissingParameter"
    assert code_of(sent(account, {**REGIONS, "AWSAccessKeyId": account.access_key})) == "MissingAuthenticationToken"
    credential.revoke(account.caller, account.cloud.core, account.access_key)
    assert code_of(asked(account, REGIONS)) == "AuthFailure"


def test_parameters_split_between_query_and_body_are_all_signed(account: Account) -> None:
    request = signing.RawRequest("POST", "/", "", {"host": "cloud.test"})
    now, secret = account.cloud.core.store.now(), account.secret_key.encode()
    params = sigv2.sign(request, REGIONS, account.access_key, secret, now)
    query = urlencode({"Action": params.pop("Action")})
    face = account.cloud.face
    good = Request("POST", "/", query, {"host": "cloud.test"}, urlencode(params).encode())
    assert face.handle(good).status == 200
    bad = Request("POST", "/", "Action=DescribeVpcs", {"host": "cloud.test"}, urlencode(params).encode())
    assert code_of(face.handle(bad)) == "AuthFailure"
