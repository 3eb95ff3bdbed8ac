"""The door of the mcc tools, in this process: what does not come is not waited for."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pileus.app import mccdoor
from pileus.app.audit import Audit, Journal
from pileus.app.metrics import Metrics
from pileus.app.settings import Settings
from pileus.app.state import State
from pileus.cli.problem import Problem
from pileus.faces.mcc import MccFace
from pileus.mcc import xmlrpc
from pileus.verbs import network
from tests.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 0.05


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[mccdoor.Door]:
    """A door of little patience, with a face behind it."""
    monkeypatch.setattr(mccdoor, "PATIENCE", PATIENCE)
    site = Site()
    ann = site.caller()
    face = MccFace(site.core, lambda: ann, network.flat(ann, site.core, "10.0.0.10-10.0.0.20"))
    audit = Audit(Journal(tmp_path / "audit.log", 1 << 20, 2))
    parts: Any = SimpleNamespace(settings=Settings(), mcc=face, metrics=Metrics(site.store), audit=audit)
    made = mccdoor.Door(parts)
    yield made
    made.close()
    audit.close()


def test_the_port_is_opened_where_somebody_asked_for_it_and_stays(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.prepare()
    assert mccdoor.listen(state, Settings(), "local") is None
    assert mccdoor.listen(state, Settings(mcc_listen="off"), "stub") is None
    ports = []
    for chosen, provider in (("", "stub"), ("", "stub"), ("127.0.0.1:0", "local")):
        made = mccdoor.listen(state, Settings(mcc_listen=chosen), provider)
        assert made is not None
        with made:
            ports.append(made.getsockname())
    assert len(set(ports)) == 1
    with socket.create_server(ports[0]):
        other = mccdoor.listen(state, Settings(), "stub")
        assert other is not None
        with other, pytest.raises(Problem):
            mccdoor.listen(state, Settings(mcc_listen=f"127.0.0.1:{ports[0][1]}"), "stub")


def test_a_body_that_does_not_come_is_not_waited_for_for_ever(door: mccdoor.Door) -> None:
    said: list[Any] = []

    async def never() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        said.append(message)

    headers = [(b"content-type", b"text/xml"), (b"content-length", b"10")]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    asyncio.run(door(scope, never, send))
    assert said[0]["status"] == 408


@pytest.mark.parametrize(
    ("host", "status"),
    [("", 200), ("127.0.0.1:1", 200), ("[::1]:1", 200), ("localhost", 200), ("10.0.0.9", 200), ("evil.example", 421)],
)
def test_a_page_of_another_name_gets_no_answer(door: mccdoor.Door, host: str, status: int) -> None:
    answers: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": xmlrpc.call("openvz.get_images", [])}

    async def send(message: Any) -> None:
        answers.append(message)

    headers = [(b"content-type", b"text/xml"), (b"content-length", b"10")]
    headers += [(b"host", host.encode())] if host else []
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    asyncio.run(door(scope, receive, send))
    assert answers[0]["status"] == status
