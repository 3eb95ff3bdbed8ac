"""Parsers of untrusted bytes, each as a function that a coverage-guided fuzzer calls with one input.

A target returns for every input. An exception that leaves it is a fault of the parser, and so is an answer with status
500. `seeds` are valid inputs, from which the fuzzer begins; `words` are tokens that it inserts.
"""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from urllib.parse import urlencode

import msgspec

from pileus.bus import messages
from pileus.faces.metadata import bind
from pileus.faces.rest import RestFace
from pileus.faces.rest.routes import ROUTES
from pileus.faces.wire import query, signing, sigv2, sigv4
from pileus.faces.wire.errors import WireError
from pileus.faces.wire.http import Request
from pileus.faces.wire.model import ServiceModel
from pileus.mcc import xmlrpc
from pileus.model import listing
from pileus.model.errors import PileusError
from pileus.model.instance import Power
from pileus.model.project import Project
from pileus.model.rootfs import RefusedError
from pileus.model.spec import InstanceSpec
from pileus.model.user import User
from pileus.objects import archives
from pileus.providers.local.guestnet import dns, http
from pileus.verbs import credential, keypair
from tests import databases
from tests.faces.ec2.cloud import Account, Cloud
from tests.faces.ec2.test_fuzz import NAMES, parameters

Work = Callable[[bytes], None]

RESET = 2000
"""Requests after which a target's cloud is put back to its first state: what requests make must not fill the memory."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """`make` returns the function that the fuzzer calls; `largest` is the greatest length of an input in bytes."""

    make: Callable[[], Work]
    seeds: tuple[bytes, ...]
    words: tuple[str, ...] = ()
    largest: int = 4096


def _text(data: bytes) -> str:
    return data.decode("latin-1")


# -- Amazon's query dialect and its signatures -----------------------------------------------------------------------


def _ec2_parameters() -> Work:
    model = ServiceModel.load("ec2")

    def work(data: bytes) -> None:
        with contextlib.suppress(WireError, PileusError):
            parameters = query.decode_form("", data)
            query.parse(model, parameters)

    return work


class _Tenant:
    """One account of a cloud without hosts; its database is put back after `RESET` requests."""

    def __init__(self) -> None:
        self.cloud = Cloud()
        self.account: Account = self.cloud.account({"instances": 5, "keypairs": 5, "securitygroups": 5})
        self.account.ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
        self._image = self.cloud.database()
        self._requests = 0

    def count(self) -> None:
        """Count one request."""
        self._requests += 1
        if self._requests % RESET == 0:
            databases.load(self.cloud.core.store, self._image)


def _ec2_requests() -> Work:
    tenant = _Tenant()
    account = tenant.account
    credential = signing.Credential(account.access_key, account.secret_key.encode(), "us-east-1", "ec2")

    def work(data: bytes) -> None:
        now = tenant.cloud.core.store.now()
        headers = signing.sign(signing.Request("POST", "/", "", {"host": "cloud.test"}, data), credential, now)
        answer = tenant.cloud.face.handle(Request("POST", "/", "", headers, data))
        assert answer.status not in (500, 502), answer.body
        tenant.count()

    return work


def _signature_4() -> Work:
    verifier = sigv4.Verifier({"AKIAEXAMPLE": b"secret"}.get, lambda: 1.7e9)

    def work(data: bytes) -> None:
        head, _, body = data.partition(b"\n\n")
        first, _, rest = _text(head).partition("\n")
        headers = dict(line.lower().partition(":")[::2] for line in rest.split("\n"))
        path, _, search = first.partition("?")
        with contextlib.suppress(WireError):
            verifier.verify(signing.Request("POST", path or "/", search, headers, body))

    return work


def _signature_2() -> Work:
    verifier = sigv2.Verifier({"AKIAEXAMPLE": b"secret"}.get, lambda: 1.7e9)

    def work(data: bytes) -> None:
        received = signing.Request("POST", "/", "", {"host": "cloud.test"}, data)
        with contextlib.suppress(WireError):
            parameters = query.decode_form("", data)
            if sigv2.present(parameters):
                verifier.verify(received, parameters, "ec2")

    return work


def _form(action: str) -> bytes:
    """Return a request for an action with the first of its parameters."""
    values = dict.fromkeys(parameters(action)[:20], "1")
    return urlencode({"Action": action, "Version": "2016-11-15", **values}).encode()


_LAUNCH = urlencode(
    {
        "Action": "RunInstances",
        "Version": "2016-11-15",
        "MinCount": "1",
        "MaxCount": "1",
        "ImageId": "ami-1",
        "TagSpecification.1.ResourceType": "instance",
        "TagSpecification.1.Tag.1.Key": "a",
        "BlockDeviceMapping.1.Ebs.VolumeSize": "8",
        "DryRun": "true",
    }
).encode()
_RULE = urlencode(
    {
        "Action": "AuthorizeSecurityGroupIngress",
        "Version": "2016-11-15",
        "GroupName": "default",
        "IpPermissions.1.IpProtocol": "tcp",
        "IpPermissions.1.FromPort": "22",
        "IpPermissions.1.ToPort": "22",
        "IpPermissions.1.IpRanges.1.CidrIp": "10.0.0.0/8",
    }
).encode()
_EC2_SEEDS = (_LAUNCH, _RULE, *map(_form, NAMES))
_V4_HEAD = (
    b"/?Action=DescribeInstances\nhost:cloud.test\nx-amz-date:20231114T221320Z\nauthorization:AWS4-HMAC-SHA256 "
    b"Credential=AKIAEXAMPLE/20231114/us-east-1/ec2/aws4_request, SignedHeaders=host;x-amz-date, Signature=00\n\nbody"
)
_V2_FORM = (
    b"Action=DescribeInstances&AWSAccessKeyId=AKIAEXAMPLE&SignatureMethod=HmacSHA256&SignatureVersion=2"
    b"&Timestamp=2023-11-14T22%3A13%3A20Z&Version=2016-11-15&Signature=AAAA"
)


# -- JSON and XML ----------------------------------------------------------------------------------------------------


def _rest_requests() -> Work:
    tenant = _Tenant()
    face = RestFace(tenant.cloud.core, tenant.cloud.authority)
    with tenant.cloud.core.store.write() as tx:
        caller = tenant.account.caller
        token = credential.add_token(caller, tx, tx.need(User, caller.user), tx.need(Project, caller.project))

    def work(data: bytes) -> None:
        head, _, body = data.partition(b"\n")
        method, _, target = _text(head).partition(" ")
        path, _, search = target.partition("?")
        headers = {"authorization": f"Bearer {token}"}
        answer = face.handle(Request(method, f"/v1/{path}", search, headers, body))
        assert answer.status not in (500, 502), answer.body
        tenant.count()

    return work


def _xml_calls() -> Work:
    def work(data: bytes) -> None:
        with contextlib.suppress(xmlrpc.Malformed):
            xmlrpc.read_call(xmlrpc.parse(data))

    return work


_REST_SEEDS = (
    b"GET instances?project=x\n",
    b'POST instances\n{"image":"tiny","flavor":"m1.tiny","count":1,"tags":{"a":"b"}}',
    b'POST keypairs\n{"name":"a"}',
)


# -- the bus, and what hosts send ------------------------------------------------------------------------------------


def _reports() -> Work:
    def work(data: bytes) -> None:
        with contextlib.suppress(msgspec.DecodeError):
            messages.decode_to_cloud(data)

    return work


def _orders() -> Work:
    def work(data: bytes) -> None:
        with contextlib.suppress(msgspec.DecodeError):
            messages.decode_to_host(data)

    return work


_HELLO = messages.encode(messages.Hello(host="host-1"))
_REPORT = messages.encode(messages.Report(host="host-1", epoch=1, sequence=1, full=True))
_ASK = messages.encode(messages.Ask())


# -- what guests send ------------------------------------------------------------------------------------------------

_SPEC = InstanceSpec(
    uuid="6f1c2d3e-0000-4000-8000-000000000001", project="p", power=Power(), vcpus=1, memory=512, ec2_id="i-1"
)


def _metadata() -> Work:
    respond = bind(b"a secret of thirty-two bytes.....", lambda: 1.7e9)

    def work(data: bytes) -> None:
        head, _, rest = _text(data).partition("\n")
        method, _, path = head.partition(" ")
        headers = dict(line.lower().partition(":")[::2] for line in rest.split("\n"))
        assert respond(_SPEC, method, path, headers, "10.0.0.5").status < 500

    return work


def _names() -> Work:
    zone = dns.zone("n", ())

    def work(data: bytes) -> None:
        asked = dns.read(data)
        if asked is not None:
            reply = dns.answer(asked, zone)
            dns.packed(asked, reply if reply is not None else dns.failure(asked), streamed=False)

    return work


def _guests_requests() -> Work:
    def work(data: bytes) -> None:
        reader = http._Reader()
        with contextlib.suppress(http._Refused):
            for start in range(0, len(data), 700):
                reader.feed(data[start : start + 700])

    return work


_DNS_QUERY = bytes.fromhex("123401000001000000000000037777770865787465726e616c03636f6d0000010001")


# -- images and keys -------------------------------------------------------------------------------------------------


def _archives() -> Work:
    folder = tempfile.mkdtemp(prefix="pileus-fuzz-")

    def work(data: bytes) -> None:
        with (
            contextlib.suppress(RefusedError, EOFError, tarfile.TarError, OSError),
            tempfile.TemporaryFile(dir=folder) as upload,
        ):
            upload.write(data)
            upload.seek(0)
            archives.take(upload, io.BytesIO(), folder)

    return work


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, body in (("sbin/init", b"#!/bin/sh\n"), ("etc/os-release", b"ID=x\n")):
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return stream.getvalue()


def _public_keys() -> Work:
    def work(data: bytes) -> None:
        with contextlib.suppress(PileusError):
            keypair._parse(data)

    return work


def _filters() -> Work:
    def work(data: bytes) -> None:
        pattern, _, value = _text(data).partition("\n")
        with contextlib.suppress(PileusError):
            listing.matches([value], [pattern])
        with contextlib.suppress(PileusError):
            listing.after(pattern)

    return work


_ED25519 = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL0vGkMiMoyErPGLqCJqLpwjPKYdtxGD2XpZqPFRzxjS me@here"

TARGETS: dict[str, Target] = {
    "ec2-parameters": Target(make=_ec2_parameters, seeds=_EC2_SEEDS, words=tuple(NAMES)),
    "ec2-requests": Target(make=_ec2_requests, seeds=_EC2_SEEDS, words=tuple(NAMES)),
    "signature-4": Target(make=_signature_4, seeds=(_V4_HEAD,), words=("AWS4-HMAC-SHA256", "x-amz-security-token")),
    "signature-2": Target(make=_signature_2, seeds=(_V2_FORM,), words=("SignatureMethod", "HmacSHA1", "Expires")),
    "rest-requests": Target(make=_rest_requests, seeds=_REST_SEEDS, words=tuple(route.path for route in ROUTES)),
    "xml-rpc": Target(make=_xml_calls, seeds=(xmlrpc.call("run_instances", ["a", 1, {"b": [True]}]),)),
    "reports": Target(make=_reports, seeds=(_HELLO, _REPORT)),
    "orders": Target(make=_orders, seeds=(_ASK,)),
    "metadata": Target(make=_metadata, seeds=(b"GET /latest/meta-data/\n", b"PUT /latest/api/token\nx:1")),
    "dns": Target(make=_names, seeds=(_DNS_QUERY,), largest=512),
    "archives": Target(make=_archives, seeds=(_tar(), json.dumps([{"Layers": []}]).encode()), largest=16384),
    "public-keys": Target(make=_public_keys, seeds=(_ED25519,), words=("ssh-rsa", "ecdsa-sha2-nistp256", "-----BEGIN")),
    "filters": Target(make=_filters, seeds=(b"a*b?c\nabc", b"cGlsZXVzLzE=\n")),
    "guests-http": Target(make=_guests_requests, seeds=(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",)),
}
"""Every target by its name."""
