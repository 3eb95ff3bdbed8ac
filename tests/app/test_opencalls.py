"""A face on a listener of its own, in this process: where it listens, and by which names it is called."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pileus.app import faceports, faces, kits
from pileus.app.audit import Audit, Journal
from pileus.app.faces import MountedFace
from pileus.app.metrics import Metrics
from pileus.app.opencalls import OpenApplication
from pileus.app.rates import BURST, DELAY
from pileus.app.settings import Settings
from pileus.app.state import StateDirectory
from pileus.cli.problem import Problem
from pileus.faces.mcc import FACE
from pileus.faces.mcc.face import MccFace
from pileus.faces.mcc.settings import MccSettings
from pileus.faces.wire.http import Request, Response
from pileus.mcc import xmlrpc
from pileus.model import bounds
from pileus.verbs import network
from tests.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


THREADS = 2


def listen(state: StateDirectory, provider: str, chosen: str = "") -> socket.socket | None:
    """The socket of the mcc face over a provider."""
    return faceports.listen(state, FACE, faces.chosen({"PILEUS_MCC_LISTEN": chosen}, kits.load(provider))["mcc"])


@pytest.fixture
def application(tmp_path: Path) -> Iterator[OpenApplication]:
    """The application of an open face's listener."""
    site = Site()
    ann = site.caller()
    face = MccFace(site.core, MccSettings())
    face.act(lambda: ann, network.flat(ann, site.core, "10.0.0.10-10.0.0.20"))
    audit = Audit(Journal(tmp_path / "audit.log", 1 << 20, 2))
    parts: Any = SimpleNamespace(
        settings=Settings(names="cloud.example", rate_refusals=3 / BURST),
        metrics=Metrics(site.store),
        audit=audit,
        processes=lambda: 1,
    )
    assert FACE.listener is not None
    assert FACE.listener.calls is not None
    application = OpenApplication(parts, MountedFace(FACE, MccSettings(), face), FACE.listener.calls)
    yield application
    application.close()
    audit.close()


def test_the_port_is_opened_where_somebody_asked_for_it_and_stays(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    state.prepare()
    assert listen(state, "local") is None
    assert listen(state, "stub", "off") is None
    ports = []
    for chosen, provider in (("", "stub"), ("", "stub"), ("127.0.0.1:0", "local")):
        listener = listen(state, provider, chosen)
        assert listener is not None
        with listener:
            ports.append(listener.getsockname())
    assert len(set(ports)) == 1
    with socket.create_server(ports[0]):
        other = listen(state, "stub")
        assert other is not None
        with other, pytest.raises(Problem):
            listen(state, "stub", f"127.0.0.1:{ports[0][1]}")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *((name, 200) for name in ("", "127.0.0.1:1", "[::1]:1", "[::1]", "LocalHost", "cloud.example:80", "10.0.0.9")),
        (socket.gethostname(), 200),
        *(
            (name, 421)
            for name in ("evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example")
        ),
        *((name, 421) for name in ("[::1", "a@b", "::1]", ":80", "[evil.example]")),
    ],
)
def test_a_page_of_another_name_gets_no_answer(application: OpenApplication, host: str, status: int) -> None:
    assert asyncio.run(called(application, host=host)) == status


def test_refusals_beyond_the_rate_of_an_address_are_answered_later(application: OpenApplication) -> None:
    async def test() -> None:
        for _ in range(3):
            assert await called(application, host="evil.example") == 421
        began = time.monotonic()
        assert await called(application, host="evil.example") == 421
        assert time.monotonic() - began >= DELAY
        assert await called(application) == 200

    asyncio.run(test())


def test_calls_leave_the_faces_most_of_the_processor(application: OpenApplication) -> None:
    running, most, lock = [0], [0], threading.Lock()

    def handle(_request: Request) -> Response:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02)  # the work of a call: a third one would begin beside it
        with lock:
            running[0] -= 1
        return Response(200, {}, b"")

    async def test() -> None:
        addresses = ["192.0.2.1"] * 20, [f"192.0.2.{number}" for number in range(20)]
        for callers in addresses:
            assert set(await asyncio.gather(*(called(application, address) for address in callers))) == {200}

    application._face.handle = handle  # type: ignore[assignment]  # all that it calls
    asyncio.run(asyncio.wait_for(test(), 30))
    assert most[0] <= 2


def test_calls_of_other_addresses_take_turns_with_those_of_the_busiest(application: OpenApplication) -> None:
    may_end, order = threading.Event(), []

    def handle(_request: Request) -> Response:
        assert may_end.wait(20)
        return Response(200, {}, b"")

    async def note(address: str) -> int:
        status = await called(application, address)
        order.append(address)
        return status

    async def test() -> None:
        busy = [f"192.0.2.{number}" for number in range(1, 5)]
        calls = [asyncio.ensure_future(note(address)) for _ in range(200) for address in busy]
        await asyncio.sleep(0.1)
        others = [asyncio.ensure_future(note(address)) for address in ("198.51.100.7", "2001:db8::1")]
        await asyncio.sleep(0.1)
        may_end.set()
        assert await asyncio.gather(*others) == [200, 200]
        answered = (await asyncio.gather(*calls)).count(200)
        assert answered <= bounds.MCC_CALLS.most + THREADS
        refused = len(calls) - answered
        assert order.index("198.51.100.7") < refused + 50

    application._face.handle = handle  # type: ignore[assignment]  # all that it calls
    asyncio.run(asyncio.wait_for(test(), 30))


async def called(application: OpenApplication, address: str = "127.0.0.1", host: str = "localhost") -> int:
    """The status of the answer to a call from `address`."""
    answers: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": xmlrpc.call("openvz.get_images", [])}

    async def send(message: Any) -> None:
        answers.append(message)

    headers = [(b"content-type", b"text/xml"), (b"content-length", b"10")]
    headers += [(b"host", host.encode())] if host else []
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    scope |= {"hold": lambda _: True, "client": (address, 1)}
    await application(scope, receive, send)
    status: int = answers[0]["status"]
    return status
