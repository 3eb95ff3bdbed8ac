"""Targets at the edge of a cloud: uploads, streams, hosts that join, and the mcc tools."""

from __future__ import annotations

import contextlib
import json
import tempfile
from base64 import encodebytes
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pileus.app import certificates, streams
from pileus.app.hostlistener import HostApplication
from pileus.app.settings import Settings
from pileus.faces.rest import streams as rest_streams
from pileus.faces.rest.face import RestFace
from pileus.faces.wire.http import Identified, Request
from pileus.mcc import xmlrpc
from pileus.mcc.keys import Keys
from pileus.model.errors import Fault, PileusError
from pileus.verbs import imageupload
from tests.faces.mcc.test_face import Mcc
from tests.fuzz.target import Target, Undone, Work, text
from tests.site import Site

# -- uploads and streams -----------------------------------------------------------------------------------------------


def _uploads() -> Work:
    site = Site()
    caller, undone = site.caller("blue"), Undone(site.store)

    def work(data: bytes) -> None:
        with contextlib.suppress(PileusError):
            upload = rest_streams.read(dict(parse_qsl(text(data), keep_blank_values=True)))
            imageupload.check(caller, upload)
            imageupload.register(caller, site.core, upload, imageupload.Disk("qcow2", 1 << 20), "0" * 64, 1)
            site.work()
        undone.count()

    return work


def _stream_paths() -> Work:
    site = Site()
    caller = site.caller("blue")
    authority: Any = SimpleNamespace(by_token=lambda *_: caller)
    face = RestFace(site.core, authority)
    headers = {"authorization": "Bearer x", "upgrade": "websocket"}

    def work(data: bytes) -> None:
        identified = face.identify(Request("GET", data.decode("latin-1"), "", headers, b""))
        assert isinstance(identified, Identified)
        if identified.socket is not None:
            refusal: PileusError | Fault | None = None
            try:
                identified.socket()
            except (PileusError, Fault) as error:
                refusal = error
            assert refusal is None or len(streams.reason(refusal).encode()) <= streams.CLOSE_REASON

    return work


# -- hosts that join ---------------------------------------------------------------------------------------------------


def _application(folder: Path) -> tuple[Site, HostApplication]:
    site = Site()
    cloud: Any = SimpleNamespace(core=site.core, settings=Settings(), processes=lambda: 1)
    return site, HostApplication(cloud, certificates.authority(folder))


def _joins() -> Work:
    folder = Path(tempfile.mkdtemp(prefix="pileus-fuzz-"))
    site, application = _application(folder)
    request = json.dumps(certificates.new_request("h1")[1].decode()).encode()
    undone = Undone(site.store)

    def work(data: bytes) -> None:
        line, _, body = data.partition(b"\n")
        method, _, path = text(line).partition(" ")
        scope = {"method": method, "path": f"/internal/{path}", "host": ("h1", "1") if b"~h~" in body else None}
        with contextlib.suppress(PileusError):
            application._answer(scope, body.replace(b"~r~", request))
        undone.count()

    return work


def _certificate_requests() -> Work:
    authority = certificates.authority(Path(tempfile.mkdtemp(prefix="pileus-fuzz-")))
    begin, end = b"-----BEGIN CERTIFICATE REQUEST-----\n", b"-----END CERTIFICATE REQUEST-----\n"

    def work(data: bytes) -> None:
        pem = data if data.startswith(b"-") else begin + encodebytes(data) + end
        with contextlib.suppress(PileusError):
            authority.host(pem, "h1")

    return work


def _request() -> bytes:
    pem = certificates.new_request("h1")[1]
    return x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER)


# -- the mcc tools -----------------------------------------------------------------------------------------------------


def _mcc_calls() -> Work:
    mcc = Mcc()
    undone = Undone(mcc.site.store)

    def work(data: bytes) -> None:
        answer = mcc.post(data)
        assert answer.code != "Internal", answer.body
        assert answer.status < 500, answer.body
        mcc.site.sent.clear()
        undone.count()

    return work


def _key_names() -> Work:
    folder = Path(tempfile.mkdtemp(prefix="pileus-fuzz-"))
    keys = Keys(folder / "mcc" / "keys")

    def work(data: bytes) -> None:
        name, _, key = data.decode("utf-8", "surrogateescape").partition("\n")
        with contextlib.suppress(ValueError, OSError):  # names that are too long for a file
            keys.add(name, key)
            assert keys.names() == [name]
            keys.text(name)
            keys.remove(name)
        assert [path.name for path in folder.rglob("*")] == ["mcc", "keys"]

    return work


TARGETS = {
    "uploads": Target(
        make=_uploads,
        seeds=(b"name=a&format=qcow2&kind=machine&min_memory=64&min_disk=1&description=d&architecture=x86_64",),
        words=("login_user", "digest", "public=true", "min_memory", "container", "%00"),
        largest=1024,
    ),
    "stream-paths": Target(
        make=_stream_paths, seeds=(b"/v1/instances/i-1/connect/22", b"/v1/instances/%C3%A9/connect/65536"), largest=1024
    ),
    "joins": Target(
        make=_joins,
        seeds=(
            b'POST join\n{"token":"pileus_join_x.y","request":~r~,"name":"h1","zone":"z"}',
            b'POST renew\n{"request":~r~} ~h~',
            b"GET host\n~h~",
            b"GET ca\n",
        ),
    ),
    "certificate-requests": Target(make=_certificate_requests, seeds=(_request(), certificates.new_request("a")[1])),
    "mcc-calls": Target(
        make=_mcc_calls,
        seeds=(
            xmlrpc.call("openvz.get_instances", [{"instance": "500"}]),
            xmlrpc.call("openvz.get_instances", [{"all": True}]),
            xmlrpc.call("openvz.run_instance", ["centos", "basic", "ssh-rsa AAAA me", "name"]),
            xmlrpc.call("openvz.run_instance", ["ubuntu"]),
            xmlrpc.call("openvz.destroy_instance", ["500"]),
            xmlrpc.call("openvz.destroy_instance", [500]),
            xmlrpc.call("openvz.get_images", []),
        ),
        words=(
            "<double>",
            "<i4>",
            "<boolean>",
            "<struct>",
            "<array><data>",
            "<nil/>",
            "<base64>",
            "<dateTime.iso8601>",
        ),
    ),
    "key-names": Target(make=_key_names, seeds=(b"mine\nssh-rsa AAAA", b"../x\n"), largest=512),
}
"""These targets by name."""
