"""TLS of the faces: real clients verify the cloud, and refuse what is not it."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import SSLError
from cryptography import x509

from pileus.app import certificates, processes, tls
from pileus.cli import streams
from pileus.cli.client import Client
from pileus.cli.problem import Problem
from pileus.posix.files import write_file
from tests.app.mcc import Tools

if TYPE_CHECKING:
    from tests.app.stub import Stub

AWS = str(Path(sys.executable).parent / "aws")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The certificate of another cloud's authority."""
    path = tmp_path / "other.pem"
    path.write_bytes(certificates.authority(tmp_path).pem)
    return path


def ec2(stub: Stub, verify: Path) -> Any:
    """A boto3 client that trusts one authority."""
    return boto3.client(
        "ec2",
        endpoint_url=stub.endpoints["ec2"],
        region_name="us-east-1",
        aws_access_key_id=stub.admin["access_key"],
        aws_secret_access_key=stub.admin["secret_key"],
        verify=str(verify),
        config=Config(retries={"max_attempts": 0}),
    )


def exported(stub: Stub) -> dict[str, str]:
    """What a shell has after `eval "$(pileus env)"`."""
    script = f"{stub.pileus('env').stdout}\nenv -0"
    done = subprocess.run(["sh", "-ec", script], env={"PATH": os.environ["PATH"]}, capture_output=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if line)


def test_the_mcc_tools_verify_the_cloud(sealed: Stub, tmp_path: Path) -> None:
    url = sealed.endpoints["mcc"]
    knowing = Tools(tmp_path, url, SSL_CERT_FILE=str(sealed.state.ca))
    assert knowing.out("mcc-list-images") == "IMAGE \tstub-container\n"
    tools = Tools(tmp_path, url, MCC_CA=exported(sealed)["MCC_CA"])
    assert tools.out("mcc-list-images") == "IMAGE \tstub-container\n"
    assert "No such file" in Tools(tmp_path, url, MCC_CA="/nowhere").run("mcc-list-images")[2]
    assert "CERTIFICATE_VERIFY_FAILED" in Tools(tmp_path, url).run("mcc-list-images")[2]
    assert Tools(tmp_path, url.removeprefix("https://")).run("mcc-list-images")[0] == 1


def test_the_faces_are_https_and_everybody_may_read_by_what_to_know_them(sealed: Stub) -> None:
    assert all(url.startswith("https://localhost:") for url in sealed.endpoints.values())
    assert stat.S_IMODE(sealed.state.ca.stat().st_mode) == 0o644
    assert stat.S_IMODE((sealed.state.cloud / "ca.key").stat().st_mode) == 0o600
    shown = x509.load_pem_x509_certificate(sealed.state.ca.read_bytes())
    assert shown == certificates.authority(sealed.state.cloud).certificate
    assert b"PRIVATE" not in sealed.state.ca.read_bytes()


def test_boto3_verifies_the_cloud_and_refuses_another(sealed: Stub, other: Path) -> None:
    regions = ec2(sealed, sealed.state.ca).describe_regions()["Regions"]
    assert [region["RegionName"] for region in regions] == ["us-east-1"]
    with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        ec2(sealed, other).describe_regions()


def test_the_aws_command_verifies_it_by_what_env_exports(sealed: Stub) -> None:
    environment = exported(sealed)
    assert environment["AWS_CA_BUNDLE"] == environment["REQUESTS_CA_BUNDLE"] == str(sealed.state.ca)
    words = [AWS, "sts", "get-caller-identity"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["Account"] == sealed.admin["account_id"]


def test_our_own_commands_verify_it(sealed: Stub, other: Path) -> None:
    assert "stub-machine" in sealed.pileus("list", "images").stdout
    for ca in (other, None):
        with pytest.raises(Problem, match="is not the cloud"):
            Client(sealed.endpoints["rest"], sealed.admin["token"], ca).get("images")


def test_a_stream_goes_through_tls(sealed: Stub) -> None:
    instance = sealed.client.post("instances", body={"image": "stub-machine", "name": "echo"})["instances"][0]
    assert processes.until(lambda: sealed.client.get("instances", instance["id"])["state"] == "running", 20)
    assert sealed.pileus("connect", "echo", "22", input_text="there and back").stdout == "there and back"


def test_one_thread_alone_has_the_connection_of_a_stream(
    sealed: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL's must not be read by one while another one writes: now and then both would wait for ever."""
    instance = sealed.client.post("instances", body={"image": "stub-machine", "name": "parrot"})["instances"][0]
    assert processes.until(lambda: sealed.client.get("instances", instance["id"])["state"] == "running", 20)
    threads: dict[str, set[int]] = {}

    def noted(cls: type, name: str) -> None:
        real = getattr(cls, name)

        def call(*arguments: Any) -> Any:
            threads.setdefault(name, set()).add(threading.get_ident())
            return real(*arguments)

        monkeypatch.setattr(cls, name, call)

    for cls in (ssl.SSLSocket, ssl.SSLObject):
        noted(cls, "read")
        noted(cls, "write")
    for name in ("recv", "send"):
        noted(ssl.SSLSocket, name)
    (tmp_path / "said").write_bytes(b"there and back")
    with (tmp_path / "said").open() as source, (tmp_path / "heard").open("w") as sink:
        monkeypatch.setattr(sys, "stdin", source)
        monkeypatch.setattr(sys, "stdout", sink)
        streams.run(streams.splice(sealed.client, "parrot", 22))
        monkeypatch.undo()
    assert (tmp_path / "heard").read_text() == "there and back"
    assert threads.keys() >= {"read", "write"}
    assert len(set.union(*threads.values())) == 1


def test_a_plain_request_is_told_to_use_https_and_old_tls_is_refused(sealed: Stub) -> None:
    link = http.client.HTTPConnection("127.0.0.1", sealed.port, timeout=10)
    link.request("GET", "/healthz")
    answer = link.getresponse()
    assert (answer.status, answer.read()) == (400, b"This port speaks HTTPS: use an https:// URL.\n")
    assert answer.getheader("connection") == "close"
    link.close()
    with socket.create_connection(("127.0.0.1", sealed.port), timeout=10) as nonsense:
        nonsense.sendall(b"\x00" * 64)
        assert nonsense.recv(64)[:1] in (b"", b"\x15")  # an alert, at most
    for version, accepted in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)):
        assert handshakes(sealed, version) is accepted


def handshakes(stub: Stub, version: ssl.TLSVersion) -> bool:
    """Whether the cloud speaks TLS of that version, and no newer."""
    context = ssl.create_default_context(cafile=stub.state.ca)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with warnings.catch_warnings(action="ignore"):
        context.maximum_version = version
    try:
        link = socket.create_connection(("127.0.0.1", stub.port), timeout=10)
        with link, context.wrap_socket(link, server_hostname="localhost"):
            return True
    except (ssl.SSLError, ConnectionError):
        return False


def test_a_cloud_over_tls_is_alive_to_its_supervisor_and_starts_again_with_the_same_certificate(sealed: Stub) -> None:
    before = (sealed.state.cloud / "server.pem").read_bytes()
    pid = sealed.pid
    os.kill(pid, 9)
    # Its supervisor may have the next one run before anybody looks.
    assert processes.until(lambda: processes.owner(sealed.state.pidfile("cloud")) != pid, 10)
    sealed.up()
    assert sealed.pileus("status").returncode == 0
    assert (sealed.state.cloud / "server.pem").read_bytes() == before
    assert ec2(sealed, sealed.state.ca).describe_regions()["Regions"]


@pytest.fixture
def bought(own: Stub, tmp_path: Path) -> tuple[Stub, Path]:
    """A cloud with a certificate of the operator's own, and the folder that it is in."""
    pem = certificates.authority(tmp_path).server(["cloud.example", "127.0.0.1"])
    (tmp_path / "cert.pem").write_bytes(pem)
    (tmp_path / "key.pem").write_bytes(pem)
    own.settings["PILEUS_TLS"] = f"{tmp_path}/cert.pem:{tmp_path}/key.pem"
    own.up()
    return own, tmp_path


def test_an_operators_certificate_is_served_and_taken_anew_when_it_changes(bought: tuple[Stub, Path]) -> None:
    stub, folder = bought
    authority = certificates.authority(folder)
    assert stub.endpoints["ec2"].startswith("https://127.0.0.1:")
    assert stub.state.ca.read_bytes() == authority.pem
    first = served(stub)
    assert ec2(stub, stub.state.ca).describe_regions()["Regions"]
    # Half of a pair, or nonsense, changes nothing.
    (folder / "cert.pem").write_bytes(b"nonsense")
    assert served(stub) == first
    pem = authority.server(["127.0.0.1"])
    (folder / "cert.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(pem)
    assert processes.until(lambda: served(stub) == x509.load_pem_x509_certificate(pem), 60, 0.2)


def served(stub: Stub) -> x509.Certificate:
    """The certificate that new connections get."""
    return x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", stub.port)).encode())


def test_a_certificate_that_cannot_be_used_is_said_in_one_line(own: Stub, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_bytes(b"nonsense")
    own.settings["PILEUS_TLS"] = f"{tmp_path}/cert.pem:{tmp_path}/key.pem"
    done = own.pileus("up", "--provider", "stub", check=False)
    assert done.returncode == 1
    assert "key.pem cannot be used for TLS" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("moments", [{0}, {0, 1}, set(range(4))], ids=str)
def test_processes_of_one_cloud_may_make_their_certificate_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moments: set[int]
) -> None:
    """Another one puts its own in the place of the file while it is read, each of these times.

    A certificate that has no key of its own is refused by OpenSSL itself.
    """
    authority = certificates.authority(tmp_path)
    file, tries = tmp_path / "own.pem", itertools.count()
    write_file(file, authority.server(["127.0.0.1"]))
    load = ssl.SSLContext.load_cert_chain

    def interrupted(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
        half = tmp_path / "half.pem"
        shutil.copyfile(certificate, half)
        if next(tries) in moments:
            write_file(file, authority.server(["127.0.0.1"]))
        load(context, half, key)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", interrupted)
    identity = tls.own(authority, file, ["127.0.0.1"])
    assert next(tries) > max(moments) + 1, "it was read again after each of them"
    assert shown_by(identity) == x509.load_pem_x509_certificate(file.read_bytes())


def test_a_connection_that_begins_amid_a_renewal_is_served_one_pair_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL takes the certificate first and its key after it: in between, who comes sees the pair of before."""
    authority = certificates.authority(tmp_path)
    file = tmp_path / "own.pem"
    write_file(file, authority.server(["127.0.0.1"]))
    identity = tls.own(authority, file, ["127.0.0.1"])
    before = x509.load_pem_x509_certificate(file.read_bytes())
    load, amid = ssl.SSLContext.load_cert_chain, []

    def halfway(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
        load(context, certificate, key)
        amid.append(shown_by(identity))

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", halfway)
    write_file(file, authority.server(["127.0.0.1"]))
    identity.refresh()
    assert amid == [before]
    assert shown_by(identity) == x509.load_pem_x509_certificate(file.read_bytes()) != before


def shown_by(identity: tls.ListenerIdentity) -> x509.Certificate:
    """The certificate that a client of this one gets."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    server, client = identity.context.wrap_bio(there, back, server_side=True), client_context.wrap_bio(back, there)
    for side in (client, server, client):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    shown = client.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown)


def test_without_the_setting_nothing_is_left_of_it(own: Stub) -> None:
    own.state.prepare()
    own.state.ca.write_bytes(certificates.authority(own.state.cloud).pem)
    assert own.up()["ec2"].startswith("http:")
    assert not own.state.ca.exists()
    assert "CA_BUNDLE=" not in own.pileus("env").stdout
