"""The edge: limits, uploads, streams, and what every answer carries."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import socket
import statistics
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from pileus.app import processes
from pileus.app.internal import fetch, near
from pileus.app.rates import DELAY
from pileus.model import bounds
from pileus.model.errors import Fault
from tests.app.stub import Stub

_session = functools.cache(boto3.Session)
"""One for all: each session reads the service models anew."""


def client(stub: Stub, service: str) -> Any:
    """A boto3 client of the administrator."""
    admin = stub.admin
    return _session().client(  # type: ignore[call-overload]
        service,
        endpoint_url=stub.endpoints[service],
        region_name="us-east-1",
        aws_access_key_id=admin["access_key"],
        aws_secret_access_key=admin["secret_key"],
        config=Config(retries={"max_attempts": 0}),
    )


def test_amazons_clients_are_served_at_the_root(stub: Stub) -> None:
    answer = client(stub, "sts").get_caller_identity()
    assert answer["Account"] == stub.admin["account_id"]
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-requestid"] == answer["ResponseMetadata"]["RequestId"]
    with pytest.raises(ClientError) as caught:
        client(stub, "ec2").describe_instances(InstanceIds=["i-00000000000000000"])
    assert caught.value.response["Error"]["Code"] == "InvalidInstanceID.NotFound"
    status, _, body = stub.http("GET", "/services/Cloud/?Action=DescribeRegions&Version=2016-11-15", token=False)
    assert status >= 400
    assert b"<Errors>" in body


def test_health_and_unknown_paths(stub: Stub) -> None:
    assert stub.http("GET", "/healthz", token=False)[::2] == (200, b"ok\n")
    assert stub.http("GET", "/nothing", token=False)[0] == 404
    status, headers, body = stub.http("HEAD", "/v1/instances")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 0
    assert stub.http("GET", "/v1/openapi.json", token=False)[0] == 200
    assert stub.http("GET", "/v1/instances", token=False)[0] == 401
    assert stub.http("GET", "/v1/instances", token=False, headers={"X-Auth-Token": stub.admin["token"]})[0] == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_that_are_too_large_are_refused(stub: Stub, *, chunked: bool) -> None:
    body: Any = iter([b"x" * (1 << 20)] * 8) if chunked else b"x" * (8 << 20)
    status, headers, answer = stub.http("POST", "/v1/users", body)
    assert status == 413
    assert json.loads(answer)["error"]["request_id"] == headers["x-request-id"]


def test_a_body_of_ec2_that_is_too_large_is_refused_in_its_dialect(stub: Stub) -> None:
    tags = [{"ResourceType": "security-group", "Tags": [{"Key": "a", "Value": "x" * (3 << 20)}]}]
    with pytest.raises(ClientError) as caught:
        client(stub, "ec2").create_security_group(GroupName="a", Description="a", TagSpecifications=tags)
    response = caught.value.response
    assert response["Error"]["Code"] == "RequestEntityTooLarge"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 413
    key = stub.admin["access_key"]
    lines = [json.loads(line) for line in stub.state.audit.read_text().splitlines()]
    assert [line["status"] for line in lines if line["key"] == key and line["code"] == "RequestEntityTooLarge"] == [413]


def test_requests_that_are_no_http_do_no_harm(stub: Stub) -> None:
    for data in (b"\x00\xff\r\n\r\n", b"GET / HTTP/1.1\r\ncontent-length: many\r\n\r\n", b"GET /v1/instances"):
        with socket.create_connection(("127.0.0.1", stub.port), timeout=10) as link:
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
            while link.recv(65536):
                pass
    assert stub.http("GET", "/healthz")[0] == 200


def upload(stub: Stub, path: Path, **query: str) -> dict[str, Any]:
    """Upload a file; the JSON of the answer."""
    words = "&".join(f"{key}={value}" for key, value in {"name": path.stem, **query}.items())
    answer: dict[str, Any] = json.loads(stub.http("POST", f"/v1/images?{words}", path.read_bytes())[2])
    return answer


def qcow2(path: Path, *words: str) -> Path:
    """A new qcow2 file."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *words, str(path), "8M"], check=True)
    return path


def test_an_image_is_uploaded_inspected_and_kept(stub: Stub, tmp_path: Path) -> None:
    path = qcow2(tmp_path / "good.qcow2")
    image = upload(stub, path, login_user="ada", public="1")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    wanted = image["wanted"]
    assert (wanted["digest"], wanted["size"]) == (digest, path.stat().st_size)
    assert (wanted["format"], wanted["virtual_size"], wanted["login_user"]) == ("qcow2", 8 << 20, "ada")
    assert upload(stub, path, login_user="ada", public="1")["id"] == image["id"]
    assert (stub.state.objects / "owners" / image["project"] / digest).exists()
    target = tmp_path / "fetched"
    fetch(functools.partial(near, stub.state.internal), digest, target)
    assert target.read_bytes() == path.read_bytes()


def test_names_that_cannot_be_are_refused_before_any_bytes(stub: Stub, tmp_path: Path) -> None:
    path = qcow2(tmp_path / "good.qcow2")
    for wrong in ({"login_user": "-oProxyCommand=x"}, {"login_user": ""}, {"name": ""}, {"name": "a%1b[2J"}):
        error = upload(stub, path, **wrong)["error"]
        assert (error["code"], error["reason"]) == ("InvalidValue", "name" if "name" in wrong else "login-user")


def test_images_that_refer_to_other_files_or_are_absurd_are_refused(stub: Stub, tmp_path: Path) -> None:
    base = qcow2(tmp_path / "base.qcow2")
    backed = tmp_path / "backed.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", backed], check=True)
    data = qcow2(tmp_path / "data.qcow2", "-o", f"data_file={tmp_path / 'data.raw'},data_file_raw=on")
    damaged = tmp_path / "damaged.qcow2"
    damaged.write_bytes(base.read_bytes()[:80])
    vmdk = tmp_path / "other.vmdk"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", vmdk, "8M"], check=True)
    empty = tmp_path / "empty.raw"
    empty.touch()
    before = {image["id"] for image in stub.client.all("images")}
    stored_names = sorted(path.name for path in stub.state.objects.rglob("*"))
    absurd = tmp_path / "absurd.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", absurd, "17T"], check=True)
    for path in (backed, data, damaged, vmdk, empty, absurd):
        assert upload(stub, path)["error"]["code"] == "InvalidValue", path
    assert upload(stub, base, digest="0" * 64)["error"]["reason"] == "digest"
    assert upload(stub, base, format="raw")["error"]["reason"] == "format"
    assert upload(stub, base, colour="red")["error"]["code"] == "InvalidValue"
    assert upload(stub, base, kind="toaster")["error"]["code"] == "InvalidValue"
    assert {image["id"] for image in stub.client.all("images")} == before
    assert sorted(path.name for path in stub.state.objects.rglob("*")) == stored_names


def test_an_uploaded_descriptor_does_not_tell_whether_a_file_exists(stub: Stub, tmp_path: Path) -> None:
    answers = []
    (tmp_path / "there").write_bytes(bytes(1 << 20))
    for name in ("there", "nowhere"):
        path = tmp_path / f"{name}.vmdk"
        path.write_text(
            '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
            f'RW 2048 FLAT "{tmp_path / name}" 0\n'
        )
        answers.append(upload(stub, path, name="probe")["error"])
    assert answers[0]["message"] == answers[1]["message"]
    assert "VMDK" in answers[0]["message"]
    assert not any(str(folder) in answers[0]["message"] for folder in (tmp_path, stub.state.root))


def test_only_administrators_make_images_public(stub: Stub, tmp_path: Path) -> None:
    user = stub.client.post("users", body={"name": "ivy"})
    path = qcow2(tmp_path / "private.qcow2")
    headers = {"authorization": f"Bearer {user['token']}"}
    for query, status in (("name=x&public=1", 403), ("name=x", 201)):
        assert stub.http("POST", f"/v1/images?{query}", path.read_bytes(), headers)[0] == status
    assert stub.http("POST", "/v1/images?name=x", b"", token=False)[0] == 401


def test_an_upload_that_breaks_off_leaves_nothing(stub: Stub) -> None:
    head = f"POST /v1/images?name=half HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {stub.admin['token']}\r\n"
    with socket.create_connection(("127.0.0.1", stub.port), timeout=10) as link:
        link.sendall(f"{head}content-length: 1000000\r\n\r\n".encode() + b"x" * 1000)
        assert processes.until(lambda: any((stub.state.objects / "incoming").iterdir()), 10)
    assert processes.until(lambda: not any((stub.state.objects / "incoming").iterdir()), 10)
    assert "half" not in [image["name"] for image in stub.client.all("images")]


def test_hosts_get_objects_whole_or_not_at_all(stub: Stub, tmp_path: Path) -> None:
    target = tmp_path / "object"
    with pytest.raises(Fault, match="ImageMissing"):
        fetch(functools.partial(near, stub.state.internal), "0" * 64, target)
    with pytest.raises(Fault, match="ImageUnavailable"):
        fetch(functools.partial(near, tmp_path / "nobody-there"), "0" * 64, target)
    assert list(tmp_path.iterdir()) == []
    digest = stub.client.get("images", "stub-machine")["wanted"]["digest"]
    fetch(functools.partial(near, stub.state.internal), digest, target)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == digest
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(stub.state.internal))
        link.sendall(b"GET /internal/objects/../../secret.key HTTP/1.0\r\n\r\n")
        assert link.recv(100).startswith(b"HTTP/1.0 404 ")


def test_a_stream_to_an_instance(stub: Stub) -> None:
    instance = stub.client.post("instances", body={"image": "stub-machine", "name": "echo"})["instances"][0]
    assert processes.until(lambda: stub.client.get("instances", instance["id"])["state"] == "running", 20)
    url = f"ws://127.0.0.1:{stub.port}/v1/instances/echo/connect/22"
    token = {"authorization": f"Bearer {stub.admin['token']}"}
    with connect(url, additional_headers=token, proxy=None) as link:
        data = bytes(range(256)) * 1000
        link.send(data)
        back = b""
        while len(back) < len(data):
            back += link.recv(timeout=20, decode=False)
        assert back == data
        link.send(b"")  # the last of ours; the guest's side ends then, too
        with pytest.raises(ConnectionClosed) as closed:
            link.recv(timeout=20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
    with pytest.raises(InvalidStatus), connect(url, proxy=None):
        pass
    with pytest.raises(InvalidStatus), connect(url.replace("connect", "touch"), additional_headers=token, proxy=None):
        pass
    for wrong, says in ((url.replace("echo", "nobody"), "does not exist"), (url.replace("/22", "/0"), "no TCP port")):
        with connect(wrong, additional_headers=token, proxy=None) as link, pytest.raises(ConnectionClosed, match=says):
            link.recv(timeout=20)


@pytest.mark.parametrize("body", [b'{"name": "\xff"}', b'{"a":' * 3000, b"[]", b"\x00"])
def test_a_body_that_is_no_json_is_refused_in_words(stub: Stub, body: bytes) -> None:
    status, _, answer = stub.http("POST", "/v1/users", body)
    assert status == 400
    assert "not what this path takes" in json.loads(answer)["error"]["message"]


def test_figures_are_for_admitted_addresses_and_for_administrators(tmp_path: Path) -> None:
    stub = Stub(tmp_path / "s", PILEUS_METRICS_ALLOW="10.0.0.0/8")
    stub.up()
    try:
        user = json.loads(stub.pileus("user", "create", "ann", "--json").stdout)
        assert stub.http("GET", "/metrics", token=False)[0] == 403
        headers = {"authorization": f"Bearer {user['token']}"}
        assert stub.http("GET", "/metrics", headers=headers, token=False)[0] == 403
        assert stub.http("GET", "/metrics", headers={"x-forwarded-for": "10.0.0.5"}, token=False)[0] == 403
        assert stub.http("GET", "/metrics")[0] == 200
    finally:
        stub.down()


def test_what_needs_no_credential_has_a_rate_and_health_is_always_answered(tmp_path: Path) -> None:
    stub = Stub(tmp_path / "s", PILEUS_RATE_REFUSALS="0.05")
    stub.up()
    try:
        assert [stub.http("GET", "/healthz", token=False)[0] for _ in range(5)] == [200] * 5
        status, headers, _ = stub.http("GET", "/metrics", token=False)
        assert (status, headers["retry-after"]) == (429, "1")
        assert stub.http("GET", "/v1/openapi.json", token=False)[0] == 429
        assert stub.http("GET", "/v1/instances")[0] == 200
        for path in ("/healthz", "/nothing", "/metrics"):
            began = time.monotonic()
            stub.http("GET", path, token=False)
            assert time.monotonic() - began >= DELAY, "a client that asks again at once keeps the cloud busy"
        began = time.monotonic()
        with pytest.raises(InvalidStatus):
            connect(f"ws://127.0.0.1:{stub.port}/nothing", proxy=None)
        assert time.monotonic() - began >= DELAY
    finally:
        stub.down()


def tenant(stub: Stub, name: str) -> dict[str, str]:
    """The headers of a new user in a project of its own."""
    return {"authorization": f"Bearer {stub.client.post('users', body={'name': name})['token']}"}


def machine(stub: Stub, headers: dict[str, str]) -> str:
    """The id of a tenant's instance that runs."""
    body = json.dumps({"image": "stub-machine", "flavor": "m1.tiny"})
    ident: str = json.loads(stub.http("POST", "/v1/instances", body, headers)[2])["instances"][0]["id"]
    path = f"/v1/instances/{ident}"
    assert processes.until(lambda: json.loads(stub.http("GET", path, None, headers)[2])["state"] == "running", 20)
    return ident


def test_one_tenants_streams_leave_room_for_anothers(stub: Stub) -> None:
    loud, mute = tenant(stub, "loud-streams"), tenant(stub, "mute-streams")
    url = f"ws://127.0.0.1:{stub.port}/v1/instances/{{}}/connect/22"
    first, second = url.format(machine(stub, loud)), url.format(machine(stub, mute))
    with contextlib.ExitStack() as open_:
        for _ in range(bounds.PROJECT_STREAMS.most):
            open_.enter_context(connect(first, additional_headers=loud, proxy=None))
        with connect(first, additional_headers=loud, proxy=None) as link, pytest.raises(ConnectionClosed) as closed:
            link.recv(timeout=20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013
        with connect(second, additional_headers=mute, proxy=None) as link:
            link.send(b"x")
            assert link.recv(timeout=20, decode=False) == b"x"


@pytest.mark.parametrize("frame", [b"\x89\x80\0\0\0\0", b"\x82\x81\0\0\0\0a"], ids=["pings", "messages"])
def test_one_tenants_tiny_frames_leave_time_for_another(stub: Stub, frame: bytes) -> None:
    loud, mute = tenant(stub, f"loud-frames-{frame[0]}"), tenant(stub, f"mute-frames-{frame[0]}")
    head = (
        f"GET /v1/instances/{machine(stub, loud)}/connect/22 HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\n"
        "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"authorization: {loud['authorization']}\r\n\r\n"
    ).encode()
    ended = threading.Event()

    def flood(link: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not ended.is_set():
                link.sendall(frame * 10_000)

    def read(link: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while link.recv(1 << 16):
                pass

    def seconds() -> float:
        times = []
        for _ in range(9):
            begin = time.monotonic()
            assert stub.http("GET", "/v1/instances", None, mute)[0] == 200
            times.append(time.monotonic() - begin)
        return statistics.median(times)

    alone = seconds()
    with socket.create_connection(("127.0.0.1", stub.port), timeout=5) as link:
        link.sendall(head)
        assert link.recv(12) == b"HTTP/1.1 101"
        threads = [threading.Thread(target=work, args=(link,)) for work in (flood, read)]
        for thread in threads:
            thread.start()
        try:
            assert seconds() < 10 * alone + 0.25
        finally:
            ended.set()
            with contextlib.suppress(OSError):  # it may be closed from there
                link.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def sockets(pid: int) -> int:
    """The number of sockets that a process has open."""
    count = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += str(path.readlink()).startswith("socket:")
    return count


def test_a_client_that_leaves_while_its_stream_opens_leaves_nothing_behind(stub: Stub) -> None:
    leaving = tenant(stub, "leaving")
    head = (
        f"GET /v1/instances/{machine(stub, leaving)}/connect/22 HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\n"
        "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"authorization: {leaving['authorization']}\r\n\r\n"
    ).encode()
    before = sockets(stub.pid)
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", stub.port), timeout=20) as link:
            link.sendall(head)
    assert processes.until(lambda: sockets(stub.pid) <= before + 5, 20)


def test_one_tenants_uploads_leave_room_for_anothers(stub: Stub, tmp_path: Path) -> None:
    loud, mute = tenant(stub, "loud-uploads"), tenant(stub, "mute-uploads")
    incoming = stub.state.objects / "incoming"
    head = f"POST /v1/images?name=x HTTP/1.1\r\nhost: x\r\nauthorization: {loud['authorization']}\r\n"
    path = qcow2(tmp_path / "small.qcow2")
    with contextlib.ExitStack() as open_:
        before = len(list(incoming.iterdir()))
        for _ in range(bounds.PROJECT_UPLOADS.most):
            link = open_.enter_context(socket.create_connection(("127.0.0.1", stub.port), timeout=20))
            link.sendall(f"{head}content-length: 1000\r\n\r\nx".encode())
        full = before + bounds.PROJECT_UPLOADS.most
        assert processes.until(lambda: len(list(incoming.iterdir())) == full, 20)
        status, headers, body = stub.http("POST", "/v1/images?name=x", b"x" * 1000, loud)
        assert (status, json.loads(body)["error"]["code"]) == (429, "Throttled")
        assert headers["retry-after"]
        assert stub.http("POST", "/v1/images?name=x", path.read_bytes(), mute)[0] == 201


def test_refusals_leave_a_line_and_every_line_has_the_clients_address(stub: Stub) -> None:
    eve = client(stub, "ec2")
    eve._request_signer._credentials.secret_key = "wrong"
    with pytest.raises(ClientError) as caught:
        eve.describe_instances()
    assert stub.http("GET", "/v1/instances", token=False)[0] == 401
    stub.client.post("keypairs", body={"name": "audited"})
    audited = [json.loads(line) for line in stub.state.audit.read_text().splitlines()]
    refused = next(
        line for line in audited if line["request"] == caught.value.response["ResponseMetadata"]["RequestId"]
    )
    assert (refused["client"], refused["key"]) == ("127.0.0.1", stub.admin["access_key"])
    assert (refused["face"], refused["status"], refused["code"]) == ("ec2", 401, "AuthFailure")
    assert any((line["face"], line["status"], line["user"]) == ("rest", 401, "-") for line in audited)
    assert any((line["user"], line["action"]) == ("admin", "POST /v1/keypairs") for line in audited)
    logged = [json.loads(line) for line in stub.state.log("cloud").read_text().splitlines()]
    assert {line["client"] for line in logged if line["event"] == "request"} >= {"127.0.0.1"}
    assert all(line["client"] for line in logged if line["event"] == "request")
