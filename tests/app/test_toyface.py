"""A face that is no part of the project: installed beside it, the cloud serves it, and no file of ours knows it."""

from __future__ import annotations

import http.client
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from defusedxml import ElementTree
from websockets.sync.client import connect

import pileus
from pileus.app.processes import until
from tests.app.stub import Stub

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = 1000
GIB = 1 << 30
PART = bytes(1 << 20)
POINT = "[pileus.faces]\ntoy = toyface:FACE\n"


class ToyStub(Stub):
    """A cloud of an environment of Python of its own, in which the toy is installed beside the project."""

    def __init__(self, root: Path, environment: Path, **settings: str) -> None:
        super().__init__(root, forks=False, **settings)
        self.python = environment / "bin" / "python"
        self.python.parent.mkdir(parents=True)
        self.python.symlink_to(Path(sys.executable).resolve())
        (environment / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
        site = environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        metadata = site / "toyface-1.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toyface\nVersion: 1\n")
        (metadata / "entry_points.txt").write_text(POINT)
        shutil.copytree(Path(__file__).parent / "toyface", site / "toyface")
        ours = [Path(pileus.__path__[0]).parent, *(path for path in map(Path, sys.path) if path.name == site.name)]
        (site / "ours.pth").write_text("".join(f"{path}\n" for path in ours))

    def pileus(self, *words: str, check: bool = True, input_text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command."""
        command = [str(self.python), "-I", "-m", "pileus.app.main", *words]
        done = subprocess.run(
            command, check=False, input=input_text, capture_output=True, text=True, env=dict(self.environment())
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def link(self, name: str = "toy") -> http.client.HTTPConnection:
        """A connection to a port."""
        parts = urlsplit(self.endpoints[name])
        return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)

    def ask(
        self, method: str, path: str, body: Any = None, port: str = "toy", **headers: str
    ) -> tuple[int, str, bytes]:
        """The status, the media type and the body of an answer."""
        link = self.link(port)
        link.request(method, path, body, {"Authorization": f"Bearer {self.admin['token']}", **headers})
        answer = link.getresponse()
        try:
            return answer.status, answer.headers.get("content-type", ""), answer.read()
        finally:
            link.close()

    def memory(self) -> int:
        """The bytes of the cloud process that are in memory."""
        line = next(
            line for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if line.startswith("VmRSS")
        )
        return int(line.split()[1]) << 10


@pytest.fixture(scope="module")
def toy() -> Iterator[ToyStub]:
    """A cloud with the toy."""
    root = Path(tempfile.mkdtemp(prefix="pileus-test-"))
    cloud = ToyStub(root / "s", root / "python", PILEUS_ADDRESS_CONNECTIONS="1500", PILEUS_TOY_TOKEN="secret")
    cloud.up()
    yield cloud
    cloud.down()
    shutil.rmtree(root)


def test_a_document_is_json_or_xml_and_its_body_is_checked(toy: ToyStub) -> None:
    for port in ("toy", "rest"):  # a port of its own, and the one that the faces share
        status, media, body = toy.ask("POST", "/toy/sums", '{"numbers": [1, 2]}', port)
        assert (status, media, json.loads(body)) == (201, "application/json", {"sum": 3, "numbers": [1, 2]})
    for path, headers in (("/toy/doubles/4.xml", {}), ("/toy/doubles/4", {"Accept": "text/html, application/xml"})):
        status, media, body = toy.ask("GET", path, **headers)
        root = ElementTree.fromstring(body)
        assert (status, media, root.tag, root.findtext("double")) == (200, "application/xml", "toy", "8")
        assert [(entry.get("key"), entry.text) for entry in root.iter("entry")] == [("is <safe>", "true")]
    status, _, body = toy.ask("POST", "/toy/sums", '{"numbers": ["a"]}')
    assert (status, json.loads(body)["error"]["code"]) == (400, "InvalidValue")
    status, media, body = toy.ask("GET", "/toy/doubles/x.xml")
    assert (status, media) == (404, "application/xml")
    assert ElementTree.fromstring(body).findtext("error/code") == "NotFound"
    status, _, body = toy.ask("GET", "/toy/versions", Authorization="none")
    assert (status, json.loads(body)["versions"][0]["id"]) == (300, "v1")
    assert toy.ask("GET", "/toy/doubles/4", Authorization="none")[0] == 401


def test_a_gibibyte_comes_and_goes_in_flat_memory(toy: ToyStub) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(GIB // len(PART)):
            yield PART
            most.append(toy.memory())

    toy.ask("PUT", f"/toy/bytes/{GIB}", PART)
    most = [toy.memory()]
    status, _, body = toy.ask("PUT", f"/toy/bytes/{GIB}", parts(), **{"Content-Length": str(GIB)})
    assert (status, json.loads(body)["size"]) == (200, GIB)
    assert max(most) - most[0] < 64 << 20
    status, _, body = toy.ask("PUT", "/toy/bytes/5", b"123456")
    assert (status, json.loads(body)["error"]["reason"]) == (400, "size")
    status, _, body = toy.ask("PUT", "/toy/bytes/9", b"123456")
    assert json.loads(body) == {"size": 6, "sum": zlib.adler32(b"123456", 0)}
    link = toy.link()
    link.request("GET", f"/toy/bytes/{GIB >> 2}", headers={"Authorization": f"Bearer {toy.admin['token']}"})
    answer, size = link.getresponse(), 0
    while part := answer.read(1 << 20):
        size += len(part)
        most.append(toy.memory())
    link.close()
    assert size == GIB >> 2
    assert max(most) - most[0] < 64 << 20


def _whole(link: Any) -> bytes:
    """The bytes that a connection receives until a document ends."""
    answer = b""
    while not answer.endswith(b"}"):
        part: bytes = link.recv(65536)
        assert part, answer
        answer += part
    return answer


def test_a_thousand_clients_wait_and_no_request_does(toy: ToyStub) -> None:
    parts = urlsplit(toy.endpoints["toy"])
    request = f"GET /toy/waits/flag HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {toy.admin['token']}\r\n\r\n".encode()
    waiting = selectors.DefaultSelector()
    threads = len(os.listdir(f"/proc/{toy.pid}/task"))  # noqa: PTH208  (a kernel's folder)
    try:
        for number in range(CLIENTS):
            link = socket.create_connection((parts.hostname, parts.port), timeout=30)
            link.sendall(request)
            waiting.register(link, selectors.EVENT_READ)
            if number % 50 == 49:
                toy.ask("GET", "/toy/doubles/1")  # no more than 256 requests of a project wait for a thread
        # As many answer requests as did before, but for those that began with the first ones.
        assert len(os.listdir(f"/proc/{toy.pid}/task")) <= threads + 20  # noqa: PTH208  (the same)
        assert [_whole(key.fileobj) for key, _ in waiting.select(0)[:1]] == []
        began = time.monotonic()
        for _ in range(20):
            assert toy.ask("GET", "/v1/instances", port="rest")[0] == 200
        assert time.monotonic() - began < 2
        toy.client.post("keypairs", body={"name": "flag"})
        answers = b""
        for key in list(waiting.get_map().values()):
            answers += _whole(key.fileobj)
        assert answers.count(b'{"there":true}') == CLIENTS
    finally:
        for key in list(waiting.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]  # what was registered
    assert until(lambda: toy.ask("GET", "/toy/waits/flag")[0] == 200, 5)


def test_events_come_when_something_happens(toy: ToyStub) -> None:
    link = toy.link()
    link.request("GET", "/toy/news/event", headers={"Authorization": f"Bearer {toy.admin['token']}"})
    answer = link.getresponse()
    assert answer.readline() == b": idle\n"
    toy.client.post("keypairs", body={"name": "event"})
    assert answer.read().endswith(b'event: there\ndata: {"there": true}\n\n')
    link.close()


def test_a_websocket_is_answered_by_the_face(toy: ToyStub) -> None:
    url = toy.endpoints["toy"].replace("http", "ws")
    with connect(f"{url}/echo", additional_headers={"Authorization": f"Bearer {toy.admin['token']}"}) as opened:
        for message in ("abc", "é"):
            opened.send(message)
            assert opened.recv() == message.encode()[::-1]


def test_its_settings_are_checked_and_known(toy: ToyStub) -> None:
    assert "no setting" not in toy.pileus("up", "--provider", "stub").stderr
    toy.ask("POST", "/toy/sums", '{"numbers": [1]}')

    def log() -> str:
        return toy.state.log("cloud").read_text().replace(" ", "")

    assert until(lambda: '"face":"toy"' in log() or "face=toy" in log(), 5)
    assert "secret" not in log()
