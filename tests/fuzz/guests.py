"""Targets that guests reach: metadata, names, and the user data that they are given."""

from __future__ import annotations

import base64
import contextlib

from pileus.faces.metadata import bind
from pileus.model.errors import PileusError
from pileus.model.instance import Power
from pileus.model.sizes import check_user_data
from pileus.model.spec import InstanceSpec
from pileus.providers.local.guestnet import dns, http
from tests.fuzz.target import Target, Work, text
from tests.providers.local.guestnet.test_dns import ONE, SPECS, asked

_SECRET = b"a secret of thirty-two bytes....."
_SPEC = InstanceSpec(
    uuid="6f1c2d3e-0000-4000-8000-000000000001", project="p", power=Power(), vcpus=1, memory=512, ec2_id="i-1"
)
_SPECS = (
    InstanceSpec(
        uuid=_SPEC.uuid,
        project="p",
        power=Power(),
        vcpus=1,
        memory=512,
        ec2_id="i-1",
        metadata_v2_only=True,
        user_data="aGVsbG8=",
        public_keys=("ssh-ed25519 AAAA me", "ssh-rsa BBBB"),
        hostname="a",
    ),
    _SPEC,
)


def _metadata() -> Work:
    answer = bind(_SECRET, lambda: 1.7e9)
    headers = {"x-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = answer(_SPEC, "PUT", "/latest/api/token", headers, "10.0.0.5").body

    def work(data: bytes) -> None:
        head, _, rest = text(data.replace(b"~t~", token)).partition("\n")
        method, _, path = head.partition(" ")
        received = dict(line.partition(":")[::2] for line in rest.split("\n"))
        for spec in (*_SPECS, None):
            assert answer(spec, method, path, received, "10.0.0.5").status < 500

    return work


def _user_data() -> Work:
    answer_to = bind(_SECRET, lambda: 1.7e9)

    def work(data: bytes) -> None:
        try:
            check_user_data(text(data))
        except PileusError:
            return
        spec = InstanceSpec(
            uuid=_SPEC.uuid, project="p", power=Power(), vcpus=1, memory=512, ec2_id="i-1", user_data=text(data)
        )
        answer = answer_to(spec, "GET", "/latest/user-data", {}, "10.0.0.5")
        plain = base64.b64decode(data)
        assert answer.body == plain if plain else answer.status == 404

    return work


def _names() -> Work:
    zone = dns.zone(ONE, SPECS)

    def work(data: bytes) -> None:
        query = dns.read(data)
        if query is not None:
            reply = dns.answer(query, zone)
            dns.packed(query, reply if reply is not None else dns.failure(query), streamed=False)

    return work


def _requests() -> Work:
    def work(data: bytes) -> None:
        reader = http._Reader()
        with contextlib.suppress(http._Refused):
            for start in range(0, len(data), 700):
                reader.feed(data[start : start + 700])

    return work


_DNS_QUERY = bytes.fromhex("123401000001000000000000037777770865787465726e616c03636f6d0000010001")
_NAMED = (("web.internal.", "A"), ("6.0.31.172.in-addr.arpa.", "PTR"), ("web", "AAAA"), ("internal.", "SOA"))
_TREE = (
    "/latest/meta-data/",
    "/latest/dynamic/instance-identity/document",
    "/latest/user-data",
    "/2009-04-04/meta-data/public-keys/0/openssh-key",
    "placement/availability-zone",
    "network/interfaces/macs",
    "x-aws-ec2-metadata-token:~t~",
)

TARGETS = {
    "metadata": Target(
        make=_metadata,
        seeds=(
            b"GET /latest/meta-data/\nx-aws-ec2-metadata-token:~t~",
            b"PUT /latest/api/token\nx-aws-ec2-metadata-token-ttl-seconds:60",
            b"HEAD /latest/meta-data/public-keys/0/openssh-key?x\n",
            b"GET /\n",
        ),
        words=_TREE,
    ),
    "user-data": Target(make=_user_data, seeds=(b"aGVsbG8=", b"", b"/+8=")),
    "dns": Target(
        make=_names, seeds=(_DNS_QUERY, *(asked(name, kind).to_wire() for name, kind in _NAMED)), largest=512
    ),
    "guests-http": Target(
        make=_requests,
        seeds=(
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            b"PUT / HTTP/1.0\r\ncontent-length: 3\r\n\r\nabcGET /x HTTP/1.1\r\n\r\n",
        ),
        words=("content-length:", "transfer-encoding: chunked", "HTTP/1.1", "connection: close"),
    ),
}
"""These targets by name."""
