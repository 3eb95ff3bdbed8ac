"""Targets behind the faces: Amazon's query dialect, its signatures, JSON, XML, filters."""

from __future__ import annotations

import contextlib
from urllib.parse import urlencode

from pileus.faces.rest.face import RestFace
from pileus.faces.rest.routes import ROUTES
from pileus.faces.wire import query, restanswer, restrequest, signing, sigv2, sigv4
from pileus.faces.wire.errors import WireError
from pileus.faces.wire.http import Request
from pileus.faces.wire.model import ServiceModel
from pileus.mcc import xmlrpc
from pileus.model import listing
from pileus.model.errors import PileusError
from pileus.model.project import Project
from pileus.model.user import User
from pileus.rules import credential as credential_rules
from tests.faces.ec2.test_fuzz import NAMES, parameters
from tests.fuzz.target import IDS, Target, Tenant, Work, text

# -- Amazon's query dialect and its signatures -----------------------------------------------------------------------


def _ec2_parameters() -> Work:
    model = ServiceModel.load("ec2")

    def work(data: bytes) -> None:
        with contextlib.suppress(WireError, PileusError):
            parameters = query.decode_form("", data)
            query.parse(model, parameters)

    return work


def _ec2_requests() -> Work:
    tenant = Tenant()
    account = tenant.account
    credential = signing.SigningCredential(account.access_key, account.secret_key.encode(), "us-east-1", "ec2")

    def work(data: bytes) -> None:
        now = tenant.cloud.core.store.now()
        body = tenant.real(data)
        headers = signing.sign(signing.RawRequest("POST", "/", "", {"host": "cloud.test"}, body), credential, now)
        answer = tenant.cloud.face.handle(Request("POST", "/", "", headers, body))
        assert answer.status not in (500, 502), answer.body
        tenant.undone.count()

    return work


def _signature_4() -> Work:
    verifier = sigv4.SigV4Verifier({"AKIAEXAMPLE": b"secret"}.get, lambda: 1.7e9)

    def work(data: bytes) -> None:
        head, _, body = data.partition(b"\n\n")
        first, _, rest = text(head).partition("\n")
        headers = {name.lower(): value for name, _, value in (line.partition(":") for line in rest.split("\n"))}
        path, _, search = first.partition("?")
        with contextlib.suppress(WireError):
            verifier.verify(signing.RawRequest("POST", path or "/", search, headers, body))

    return work


def _signature_2() -> Work:
    verifier = sigv2.SigV2Verifier({"AKIAEXAMPLE": b"secret"}.get, lambda: 1.7e9)

    def work(data: bytes) -> None:
        received = signing.RawRequest("POST", "/", "", {"host": "cloud.test"}, data)
        with contextlib.suppress(WireError):
            parameters = query.decode_form("", data)
            if sigv2.present(parameters):
                verifier.verify(received, parameters, "ec2")

    return work


_MARKS = {
    "InstanceId": "~i~",
    "ImageId": "~a~",
    "VolumeId": "~v~",
    "NetworkInterfaceId": "~n~",
    "PrivateIpAddress": "~p~",
    "SubnetId": "~s~",
    "VpcId": "~w~",
    "GroupId": "~g~",
    "KeyName": "mine",
    "GroupName": "default",
    "InstanceType": "m1.tiny",
}


def _form(action: str, **values: str) -> bytes:
    return urlencode({"Action": action, "Version": "2016-11-15", **values}).encode()


def _whole(action: str) -> bytes:
    """Return a request for an action with the first of its parameters, and those of a name that means something."""
    names = parameters(action)
    marked = {name: mark for name in names for word, mark in _MARKS.items() if name in (word, f"{word}.1")}
    return _form(action, **{**dict.fromkeys(names[:20], "1"), **marked})


def _short(action: str) -> bytes:
    """Return a request for an action with ids of the tenant's alone."""
    marked = {name: _MARKS[name.removesuffix(".1")] for name in parameters(action) if name.removesuffix(".1") in _MARKS}
    return _form(action, **marked)


_MATERIAL = (
    "c3NoLWVkMjU1MTkgQUFBQUMzTnphQzFsWkRJMU5URTVBQUFBSUwwdkdrTWlNb3lFclBHTHFDSnFMcHdqUEtZZHR4R0QyWHBacVBGUnp4alMgYQ=="
)
_TAG = {"TagSpecification.1.ResourceType": "instance", "TagSpecification.1.Tag.1.Key": "a"}
_RULE = {
    "GroupId": "~g~",
    "IpPermissions.1.IpProtocol": "tcp",
    "IpPermissions.1.FromPort": "22",
    "IpPermissions.1.ToPort": "22",
    "IpPermissions.1.IpRanges.1.CidrIp": "10.0.0.0/8",
    "IpPermissions.1.Groups.1.GroupId": "~g~",
}
_LAUNCH = {"MinCount": "1", "MaxCount": "1", "ImageId": "~a~", "InstanceType": "m1.tiny"}
_LAUNCHED = {
    "SubnetId": "~s~",
    "SecurityGroupId.1": "~g~",
    "KeyName": "mine",
    "UserData": "aGVsbG8=",
    "ClientToken": "t",
    "BlockDeviceMapping.1.DeviceName": "/dev/vda",
    "BlockDeviceMapping.1.Ebs.VolumeSize": "8",
    "Placement.AvailabilityZone": "us-east-1a",
}
_FILTER = {"Filter.1.Name": "tag:a", "Filter.1.Value.1": "*", "MaxResults": "5"}
_EC2_SEEDS = (
    _form("RunInstances", **_LAUNCH),
    _form("RunInstances", **_LAUNCH, **_LAUNCHED, **_TAG),
    _form("AuthorizeSecurityGroupIngress", **_RULE),
    _form("RevokeSecurityGroupIngress", **_RULE),
    _form("CreateSecurityGroup", GroupName="a", GroupDescription="d", VpcId="~w~"),
    _form("CreateTags", **{"ResourceId.1": "~i~", "Tag.1.Key": "a", "Tag.1.Value": "b"}),
    _form("ModifyInstanceAttribute", **{"InstanceId": "~i~", "DisableApiTermination.Value": "true"}),
    _form("DescribeInstanceAttribute", InstanceId="~i~", Attribute="userData"),
    _form("ImportKeyPair", KeyName="b", PublicKeyMaterial=_MATERIAL),
    *(_form(name, **_FILTER) for name in NAMES if name.startswith("Describe")),
    *map(_short, NAMES),
    *map(_whole, NAMES),
)
_V4_HEAD = (
    b"/?Action=DescribeInstances\nhost:cloud.test\nx-amz-date:20231114T221320Z\nauthorization:AWS4-HMAC-SHA256 "
    b"Credential=AKIAEXAMPLE/20231114/us-east-1/ec2/aws4_request, SignedHeaders=host;x-amz-date, Signature="
    b"0000000000000000000000000000000000000000000000000000000000000000\n\nbody"
)
_V4_QUERY = (
    b"/?Action=DescribeInstances&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAEXAMPLE%2F20231114%2Fus-east-1"
    b"%2Fec2%2Faws4_request&X-Amz-Date=20231114T221320Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature="
    b"0000000000000000000000000000000000000000000000000000000000000000\nhost:cloud.test\n\nbody"
)
_V2_FORM = (
    b"Action=DescribeInstances&AWSAccessKeyId=AKIAEXAMPLE&SignatureMethod=HmacSHA256&SignatureVersion=2"
    b"&Timestamp=2023-11-14T22%3A13%3A20Z&Version=2016-11-15&Signature=AAAA"
)


# -- JSON and XML ----------------------------------------------------------------------------------------------------


def _rest_requests() -> Work:
    tenant = Tenant()
    face = RestFace(tenant.cloud.core, tenant.cloud.authority)
    with tenant.cloud.core.store.write() as tx:
        caller = tenant.account.caller
        token = credential_rules.add_token(caller, tx, tx.need(User, caller.user), tx.need(Project, caller.project))

    def work(data: bytes) -> None:
        head, _, body = tenant.real(data).partition(b"\n")
        method, _, target = text(head).partition(" ")
        path, _, search = target.partition("?")
        headers = {"authorization": f"Bearer {token}"}
        answer = face.handle(Request(method, f"/v1/{path}", search, headers, body))
        assert answer.status not in (500, 502), answer.body
        tenant.undone.count()

    return work


def _rest_model(name: str) -> Work:
    """Requests of a REST protocol by its vendor's model; an error has an answer, which is a document."""
    service = ServiceModel.load(name)

    def work(data: bytes) -> None:
        head, _, body = data.partition(b"\n")
        method, _, target = head.decode("latin-1").partition(" ")
        path, _, search = target.partition("?")
        headers = {"x-amz-meta-a": "b", "x-amz-copy-source": path, "content-length": search}
        try:
            restrequest.parse(service, Request(method, path, search, headers, body))
        except WireError as error:
            answer = restanswer.error(service, error.code, error.message, "r", error.status, path)
            assert 400 <= answer.status < 500
            assert answer.body

    return work


def _xml_calls() -> Work:
    def work(data: bytes) -> None:
        with contextlib.suppress(xmlrpc.MalformedXmlRpc):
            xmlrpc.read_call(xmlrpc.parse(data))

    return work


def _routes() -> tuple[bytes, ...]:
    """Return a request for every route, with no body to speak of."""
    found = []
    for route in ROUTES:
        path = route.path.replace("{nouns}", "instances").replace("{id}", "~i~").replace("{kind}", "instance")
        found.append(f"{route.method} {path}\n{{}}".encode())
    return tuple(found)


_REST_SEEDS = (
    b"GET instances?project=x&limit=1\n",
    b'POST instances\n{"image":"~a~","flavor":"m1.tiny","most":1,"tags":{"a":"b"},"groups":["~g~"],"subnet":"~s~"}',
    b'POST keypairs\n{"name":"a"}',
    b'POST images/capture\n{"instance":"~i~","name":"a"}',
    b'POST floatingips/x/associate\n{"instance":"~i~"}',
    b"GET securitygroups/~g~\n",
    b"GET openapi.json\n",
    *_routes(),
)


def _filters() -> Work:
    def work(data: bytes) -> None:
        pattern, _, value = text(data).partition("\n")
        with contextlib.suppress(PileusError):
            listing.matches([value], [pattern])
        with contextlib.suppress(PileusError):
            listing.after(pattern)

    return work


_XML = (
    xmlrpc.call("run_instances", ["a", 1, {"b": [True]}]),
    (
        b"<methodCall><methodName>a</methodName><params><param><value><double>1.5</double></value></param>"
        b"<param><value><base64>AAAA</base64></value></param><param><value>a</value></param></params></methodCall>"
    ),
)
_S3 = (
    b"PUT /bucket/a%2Fb?partNumber=1&uploadId=u\nbody",
    b"GET /bucket?list-type=2&max-keys=3&encoding-type=url\n",
    (
        b"PUT /bucket?acl\n<AccessControlPolicy><AccessControlList><Grant><Grantee xmlns:xsi='x' xsi:type='Group'>"
        b"<URI>u</URI></Grantee></Grant></AccessControlList></AccessControlPolicy>"
    ),
    (
        b"POST /bucket?delete\n<Delete><Object><Key>a</Key><LastModifiedTime>2024-01-01T00:00:00Z</LastModifiedTime>"
        b"</Object></Delete>"
    ),
    (
        b"PUT /bucket?lifecycle\n<LifecycleConfiguration><Rule><Expiration><Days>1</Days></Expiration></Rule>"
        b"</LifecycleConfiguration>"
    ),
)
_LAMBDA = (
    b'PUT /2015-03-31/functions/a/configuration\n{"Timeout":3,"Environment":{"Variables":{"a":"b"}},"Layers":["l"]}',
    b'POST /2015-03-31/functions\n{"Code":{"ZipFile":"AAAA"},"FunctionName":"a","Role":"r"}',
    b"GET /2015-03-31/functions?MaxItems=3\n",
)
_V4_TIME = ("AWS4-HMAC-SHA256", "x-amz-security-token", "X-Amz-Expires=", "x-amz-content-sha256", "UNSIGNED-PAYLOAD")

TARGETS = {
    "ec2-parameters": Target(make=_ec2_parameters, seeds=_EC2_SEEDS, words=tuple(NAMES)),
    "ec2-requests": Target(make=_ec2_requests, seeds=_EC2_SEEDS, words=(*NAMES, *IDS)),
    "signature-4": Target(make=_signature_4, seeds=(_V4_HEAD, _V4_QUERY), words=_V4_TIME),
    "signature-2": Target(make=_signature_2, seeds=(_V2_FORM,), words=("SignatureMethod", "HmacSHA1", "Expires")),
    "rest-requests": Target(make=_rest_requests, seeds=_REST_SEEDS, words=(*(route.path for route in ROUTES), *IDS)),
    "s3-requests": Target(make=lambda: _rest_model("s3"), seeds=_S3, words=("versionId=", "<Grantee", "xsi:type")),
    "lambda-requests": Target(make=lambda: _rest_model("lambda"), seeds=_LAMBDA, words=("Layers", "null", "1e999")),
    "xml-rpc": Target(
        make=_xml_calls, seeds=_XML, words=("<double>", "<i4>", "<nil/>", "<struct>", "<dateTime.iso8601>")
    ),
    "filters": Target(make=_filters, seeds=(b"a*b?c\nabc", b"cGlsZXVzLzE=\n")),
}
"""These targets by name."""
