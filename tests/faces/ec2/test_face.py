"""Requests as a whole: who may ask, which service is meant, and what an answer looks like."""

import base64
import threading
from typing import Any
from urllib.parse import urlencode

import pytest

from pileus.faces.ec2 import FACE
from pileus.faces.ec2.call import ACTIONS, Action, Call, action
from pileus.faces.ec2.face import Ec2Face
from pileus.faces.wire import signing
from pileus.faces.wire.http import Request, Response
from pileus.faces.wire.model import ServiceModel
from pileus.verbs import credential
from tests.faces.ec2.cloud import Account, Cloud, code_of, refused

QUERY = "Action=DescribeRegions&Version=2016-11-15"


def signed(account: Account, query: str, *, path: str = "/", method: str = "GET", service: str = "ec2") -> Request:
    request = signing.RawRequest(method, path, query, {"host": "cloud.test"}, b"")
    credential = signing.SigningCredential(account.access_key, account.secret_key.encode(), "anywhere-7", service)
    headers = signing.sign(request, credential, account.cloud.core.store.now())
    return Request(method, path, query, headers, b"")


def answered(account: Account, request: Request) -> Response:
    return account.cloud.handle(request)


def test_get_works_as_post_does(account: Account) -> None:
    response = answered(account, signed(account, QUERY))
    assert response.status == 200
    assert b"<regionName>us-east-1</regionName>" in response.body


@pytest.mark.parametrize("path", sorted(FACE.paths.exact))
def test_every_path_works(account: Account, path: str) -> None:
    assert answered(account, signed(account, QUERY, path=path)).status == 200


def test_presigned_url_works(account: Account) -> None:
    request = signing.RawRequest("GET", "/", QUERY, {"host": "cloud.test"}, b"")
    credential = signing.SigningCredential(account.access_key, account.secret_key.encode(), "us-east-1", "ec2")
    query = signing.presign(request, credential, account.cloud.core.store.now(), 60)
    response = answered(account, Request("GET", "/", query, {"host": "cloud.test"}, b""))
    assert response.status == 200


def test_scope_says_which_service_is_meant(account: Account) -> None:
    query = "Action=GetCallerIdentity&Version=2011-06-15"
    assert answered(account, signed(account, query, service="sts")).status == 200
    assert code_of(answered(account, signed(account, query, service="ec2"))) == "InvalidAction"


def test_a_signature_for_another_service_is_worth_nothing(account: Account) -> None:
    for service in ("execute-api", "127", "s3"):
        response = answered(account, signed(account, QUERY, service=service))
        assert (response.status, code_of(response)) == (401, "AuthFailure")
        assert b"scoped to correct service: 'ec2'" in response.body
        response = answered(account, signed(account, "Action=GetCallerIdentity&Version=2011-06-15", service=service))
        assert (response.status, code_of(response)) == (403, "SignatureDoesNotMatch")


def test_version_decides_for_boto_2_which_signs_for_the_first_word_of_the_host(account: Account) -> None:
    for query in ("Action=GetCallerIdentity&Version=2011-06-15", QUERY):
        assert answered(account, signed(account, query, service="cloud")).status == 200


def test_scope_of_s3_proves_nothing(account: Account) -> None:
    request = signing.RawRequest("POST", "/", "", {"host": "cloud.test"}, b"")
    credential = signing.SigningCredential(account.access_key, account.secret_key.encode(), "us-east-1", "s3")
    headers = signing.sign(
        request._replace(headers={"host": "cloud.test", "x-amz-content-sha256": signing.UNSIGNED}),
        credential,
        account.cloud.core.store.now(),
    )
    response = answered(account, Request("POST", "/", "", headers, QUERY.encode()))
    assert (response.status, code_of(response)) == (401, "AuthFailure")


def test_unsigned_requests_are_refused(cloud: Cloud) -> None:
    for body in (b"", QUERY.encode(), b"Action=GetCallerIdentity&Version=2011-06-15", b"\xff\x00=", b"{}"):
        response = cloud.face.handle(Request("POST", "/", "", {"host": "cloud.test"}, body))
        assert response.status in (400, 403)
        assert code_of(response) in ("MissingAuthenticationToken", "MalformedQueryString")


def test_wrong_secrets_keys_and_clocks_are_refused(account: Account) -> None:
    now = account.cloud.core.store.now()
    assert code_of(account.post(Action="DescribeRegions", now=now - 3600)) == "RequestExpired"
    assert code_of(account.post(Action="DescribeRegions", now=now + 3600)) == "RequestExpired"
    assert account.post(Action="DescribeRegions", now=now - 600).status == 200
    good = account.secret_key
    account.secret_key = good[:-1] + ("A" if good[-1] != "A" else "B")
    response = account.post(Action="DescribeRegions")
    assert (response.status, code_of(response)) == (401, "AuthFailure")
    response = account.post("sts", Action="GetCallerIdentity")
    assert (response.status, code_of(response)) == (403, "SignatureDoesNotMatch")
    account.secret_key, account.access_key = good, "AKIA" + "Z" * 16
    assert code_of(account.post(Action="DescribeRegions")) == "AuthFailure"
    assert code_of(account.post("sts", Action="GetCallerIdentity")) == "InvalidClientTokenId"


def test_revoked_keys_are_worth_nothing(account: Account) -> None:
    assert account.post(Action="DescribeRegions").status == 200
    credential.revoke(account.caller, account.cloud.core, account.access_key)
    assert code_of(account.post(Action="DescribeRegions")) == "AuthFailure"


def test_body_belongs_to_the_signature(account: Account) -> None:
    request = signing.RawRequest("POST", "/", "", {"host": "cloud.test"}, QUERY.encode())
    credential = signing.SigningCredential(account.access_key, account.secret_key.encode(), "us-east-1", "ec2")
    headers = signing.sign(request, credential, account.cloud.core.store.now())
    body = QUERY.replace("Regions", "Vpcs").encode()
    assert code_of(answered(account, Request("POST", "/", "", headers, body))) == "AuthFailure"


def test_unknown_action_and_known_one_that_is_missing(account: Account) -> None:
    assert code_of(account.post(Action="DoWonders")) == "InvalidAction"
    response = account.post(Action="CreateVpnGateway", Nonsense="1")
    assert (response.status, code_of(response)) == (400, "UnsupportedOperation")
    assert code_of(account.post()) == "MissingAction"
    assert code_of(account.post(Action="DescribeRegions", Version="1999-01-01")) == "NoSuchVersion"
    assert code_of(account.post(Action="DescribeRegions", Surprise="1")) == "UnknownParameter"


def test_other_methods_are_refused(account: Account) -> None:
    response = answered(account, signed(account, QUERY, method="PUT"))
    assert code_of(response) == "UnsupportedHttpVerb"


def test_answers_carry_their_request_id(account: Account) -> None:
    good = account.ec2.describe_regions()["ResponseMetadata"]
    assert good["RequestId"] == good["HTTPHeaders"]["x-amzn-requestid"]
    assert good["HTTPHeaders"]["content-type"] == "text/xml;charset=UTF-8"
    bad = account.post(Action="DoWonders")
    assert bad.headers["x-amzn-requestid"].encode() in bad.body
    assert b"<RequestID>" in bad.body
    assert b"<RequestId>" in account.post("sts", Action="DoWonders").body


def test_request_id_of_the_answer_is_that_of_the_journal(account: Account) -> None:
    made = account.ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    with account.cloud.core.store.read() as tx:
        lines = tx.journal(limit=1)
    assert (lines[0].request, lines[0].face) == (made["ResponseMetadata"]["RequestId"], "ec2")


def test_our_own_mistakes_are_internal_errors_without_details(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(call: Call) -> dict[str, Any]:
        raise RuntimeError("the secret of the universe")

    monkeypatch.setitem(ACTIONS, ("ec2", "DescribeRegions"), Action(broken, dry=False))
    response = account.post(Action="DescribeRegions")
    assert (response.status, code_of(response)) == (500, "InternalError")
    assert b"universe" not in response.body
    assert b"Traceback" not in response.body
    logged = capsys.readouterr()
    assert response.headers["x-amzn-requestid"] in logged.out + logged.err


def test_result_that_the_model_lacks_is_our_mistake(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ACTIONS, ("ec2", "DescribeRegions"), Action(lambda _: {"Nonsense": 1}, dry=False))
    assert code_of(account.post(Action="DescribeRegions")) == "InternalError"


def test_dry_runs_do_nothing(account: Account) -> None:
    with refused("DryRunOperation", 412):
        account.ec2.create_key_pair(KeyName="dry", DryRun=True)
    with refused("DryRunOperation", 412):
        account.ec2.describe_instances(DryRun=True)
    assert account.ec2.describe_key_pairs()["KeyPairs"] == []
    with refused("MissingParameter"):
        account.ec2.run_instances(MinCount=1, MaxCount=1, DryRun=True)


def test_actions_are_amazons_and_registered_once() -> None:
    operations = {(service, name) for service in Ec2Face.SERVICES for name in ServiceModel.load(service).operations}
    assert ACTIONS.keys() <= operations
    with pytest.raises(ValueError, match="twice"):
        action("RunInstances")(lambda _: {})


def test_many_threads_at_once(account: Account) -> None:
    """Launches from many threads each get their own addresses."""
    failures: list[BaseException] = []
    body = {
        "Action": "RunInstances",
        "Version": "2016-11-15",
        "ImageId": account.cloud.image.ec2_id,
        "InstanceType": "m1.tiny",
        "MinCount": "2",
        "MaxCount": "2",
        "UserData": base64.b64encode(b"x").decode(),
    }

    def launch() -> None:
        try:
            encoded = urlencode(body).encode()
            request = signing.RawRequest("POST", "/", "", {"host": "cloud.test"}, encoded)
            credential = signing.SigningCredential(account.access_key, account.secret_key.encode(), "r", "ec2")
            headers = signing.sign(request, credential, account.cloud.core.store.now())
            assert answered(account, Request("POST", "/", "", headers, encoded)).status == 200
        except BaseException as error:  # noqa: BLE001  (a thread's failure must reach the test)
            failures.append(error)

    threads = [threading.Thread(target=launch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    instances = [i for r in account.ec2.describe_instances()["Reservations"] for i in r["Instances"]]
    assert len({instance["PrivateIpAddress"] for instance in instances}) == 16
    assert len({instance["PublicIpAddress"] for instance in instances}) == 16


def test_while_the_store_is_recovered_reads_go_on_and_changes_come_later(account: Account) -> None:
    store = account.cloud.core.store
    store.closed = True
    try:
        assert answered(account, signed(account, "Action=DescribeVpcs&Version=2016-11-15")).status == 200
        response = answered(account, signed(account, "Action=AllocateAddress&Version=2016-11-15"))
    finally:
        store.closed = False
    assert response.status == 503
    assert b"<Code>Unavailable</Code>" in response.body
    assert b"try again shortly" in response.body
