"""AWS's services at one port: IAM, STS and EC2, credentials of roles for hosts, and services that are not here."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from pileus.app import internal
from pileus.faces.wire import signing, sigv2
from pileus.model.errors import Fault
from tests.app.stub import PILEUS
from tests.app.test_http import client

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.app.stub import Stub

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
        ],
    }
)


def aws(stub: Stub, *words: str) -> Any:
    """The answer of awscli, in the environment that `pileus env` gives."""
    script = f'eval "$({PILEUS} env)"; exec "$0" "$@"'
    program = str(Path(PILEUS).with_name("aws"))
    environment = {**os.environ, "PILEUS_STATE": str(stub.state.root), "AWS_EC2_METADATA_DISABLED": "true"}
    run = subprocess.run(
        ["bash", "-c", script, program, *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout) if run.stdout.strip() else None


def acting(stub: Stub, service: str, access_key: str, secret_key: str, token: str) -> Any:
    """A boto3 client that signs with these credentials; an empty token is none."""
    return boto3.client(  # type: ignore[call-overload]  # the service is drawn
        service,
        endpoint_url=stub.endpoints["ec2"],
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        aws_session_token=token or None,
        config=Config(retries={"max_attempts": 0}),
    )


def test_awscli_makes_users_and_keys(stub: Stub) -> None:
    assert aws(stub, "iam", "create-user", "--user-name", "ada")["User"]["UserName"] == "ada"
    key = aws(stub, "iam", "create-access-key", "--user-name", "ada")["AccessKey"]
    assert [user["UserName"] for user in aws(stub, "iam", "list-users")["Users"]] == ["ada", "admin"]
    aws(stub, "iam", "delete-access-key", "--user-name", "ada", "--access-key-id", key["AccessKeyId"])
    aws(stub, "iam", "delete-user", "--user-name", "ada")
    credentials = aws(stub, "sts", "get-session-token")["Credentials"]
    words = credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
    assert acting(stub, "sts", *words).get_caller_identity()["Arn"].endswith(":user/admin")


def test_a_host_fetches_credentials_of_the_role_of_an_instance(stub: Stub) -> None:
    iam, ec2 = client(stub, "iam"), client(stub, "ec2")
    iam.create_role(RoleName="served", AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName="served")
    iam.add_role_to_instance_profile(InstanceProfileName="served", RoleName="served")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    launched = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, IamInstanceProfile={"Name": "served"})
    ident = launched["Instances"][0]["InstanceId"]
    uuid = next(each["uuid"] for each in stub.client.all("instances") if each["id"] == ident)
    dial = functools.partial(internal.near, stub.state.internal)
    credentials = internal.fetch_credentials(dial, uuid)
    arn = acting(stub, "sts", credentials.access_key, credentials.secret_key, credentials.token).get_caller_identity()[
        "Arn"
    ]
    assert arn.endswith(f":assumed-role/served/{ident}")
    with pytest.raises(Fault, match="no role"):
        internal.fetch_credentials(dial, "0" * 36)


def test_the_version_says_which_service_is_meant(stub: Stub) -> None:
    """A signature of version 2 names no service, and is in the body."""
    host = stub.endpoints["ec2"].removeprefix("http://")
    params = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
    request = signing.RawRequest("POST", "/", "", {"host": host})
    secret, key = stub.admin["secret_key"].encode(), stub.admin["access_key"]
    body = urlencode(sigv2.sign(request, params, key, secret, time.time())).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    status, _, answer = stub.http("POST", "/", body, token=False, headers=headers)
    assert status == 200, answer
    assert b":user/admin" in answer


def test_services_that_are_not_here_say_which_are(stub: Stub) -> None:
    calls: dict[str, Callable[[Any], object]] = {
        "s3": lambda s3: s3.put_object(Bucket="b", Key="k", Body=b"x" * (1 << 20)),
        "ssm": lambda ssm: ssm.describe_parameters(),
        "lambda": lambda functions: functions.list_functions(),
    }
    for service, call in calls.items():
        other = acting(stub, service, stub.admin["access_key"], stub.admin["secret_key"], "")
        with pytest.raises(ClientError, match="ec2, iam, sts"):
            call(other)
