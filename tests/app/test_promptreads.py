"""The event loop answers reads that are quick, one at a time, while nothing else is asked; never what changes."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from pileus.app import promptreads
from pileus.app.promptreads import PROMPT, PromptReads, kind_of
from pileus.app.requests import Requests
from pileus.app.settings import Settings
from pileus.app.wiring import CLOUD
from pileus.faces.wire.http import Identified, Request, Response
from pileus.model.caller import SYSTEM
from pileus.model.errors import PileusError

CLIENT = "192.0.2.7"
LONG = 0.5


@pytest.fixture(autouse=True)
def _a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread may begin late here."""
    monkeypatch.setattr(promptreads, "PROMPT", LONG / 2)
    monkeypatch.setattr(promptreads, "SHARED", 0.0)


class Face:
    """A face that takes `seconds` for each answer, and notes the thread that makes it."""

    def __init__(self, *, reads: bool = True) -> None:
        self.reads = reads
        self.seconds = 0.0
        self.threads: list[int] = []

    def identify(self, request: Request) -> Identified:
        """Everybody is the system."""
        return Identified(SYSTEM, self._answer, self.refused, reads=self.reads)

    def refused(self, error: PileusError) -> Response:
        """Refuse."""
        return Response(503, {}, b"", "face", "", "Throttled")

    def _answer(self) -> Response:
        self.threads.append(threading.get_ident())
        time.sleep(self.seconds)
        return Response(200, {}, b"", "face", "List", reads=self.reads)


def _requests(*, embedded: bool = True) -> Requests:
    store = SimpleNamespace(embedded=embedded)
    cloud: Any = SimpleNamespace(
        settings=Settings(rate_reads=0, rate_changes=0),
        authority=None,
        audit=SimpleNamespace(record=lambda *_, **__: None),
        processes=lambda: 1,
        role=CLOUD,
        core=SimpleNamespace(store=store),
    )
    return Requests(cloud)


def _ask(requests: Requests, face: Any, body: bytes = b"Action=List") -> Any:
    request = Request("POST", "/", "", {"authorization": "Bearer token"}, body)
    return requests.answer(face, request, CLIENT)


async def _one_by_one(requests: Requests, face: Face, count: int) -> list[bool]:
    """Whether the event loop itself answered each of `count` requests, and the loop comes round between them."""
    here = threading.get_ident()
    for _ in range(count):
        assert (await _ask(requests, face)).status == 200
        await asyncio.sleep(0.02)
    return [thread == here for thread in face.threads[-count:]]


def test_a_read_that_was_quick_is_answered_by_the_event_loop() -> None:
    async def test() -> None:
        requests, face = _requests(), Face()
        # The first is a stranger's, the second the first of its kind by a proven client.
        assert await _one_by_one(requests, face, 4) == [False, False, True, True]
        face.seconds = LONG
        assert await _one_by_one(requests, face, 3) == [True, False, False]
        face.seconds = 0.0
        assert await _one_by_one(requests, face, 2) == [False, True]
        requests.close()

    asyncio.run(test())


@pytest.mark.parametrize(("embedded", "reads"), [(False, True), (True, False)])
def test_what_changes_or_waits_for_a_server_is_answered_in_threads(*, embedded: bool, reads: bool) -> None:
    async def test() -> None:
        requests, face = _requests(embedded=embedded), Face(reads=reads)
        assert await _one_by_one(requests, face, 5) == [False] * 5
        requests.close()

    asyncio.run(test())


def test_a_change_that_looks_like_a_quick_read_leaves_the_event_loop() -> None:
    async def test() -> None:
        requests, reading, changing = _requests(), Face(), Face(reads=False)
        assert (await _one_by_one(requests, reading, 3))[-1]
        assert await _one_by_one(requests, changing, 1) == [False]
        requests.close()

    asyncio.run(test())


def test_of_requests_that_come_together_the_event_loop_answers_one() -> None:
    async def test() -> None:
        requests, face = _requests(), Face()
        await _one_by_one(requests, face, 3)
        await asyncio.gather(*(_ask(requests, face) for _ in range(8)))
        assert face.threads[-8:].count(threading.get_ident()) == 1
        requests.close()

    asyncio.run(test())


def test_clients_that_ask_at_the_same_time_have_their_shares_of_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(promptreads, "SHARED", 2.0)
    prompt, request = PromptReads(embedded=True), Request("GET", "/", "", {}, b"")
    kinds = {client: kind_of(client, request) for client in ("ann", "bob")}
    for client, kind in kinds.items():
        prompt.came(client)
        prompt.measured(kind, 0.0)
    assert not any(map(prompt.admits, kinds.values()))
    now += 1.5
    prompt.came("bob")
    now += 1.0
    assert prompt.admits(kinds["bob"])
    assert not prompt.admits(kinds["ann"])


def test_kinds_differ_by_client_and_action() -> None:
    request = Request("POST", "/", "", {}, b"Action=DescribeInstances&Version=2016-11-15")
    other = Request("POST", "/", "", {}, b"Action=DescribeVolumes&Version=2016-11-15")
    assert len({kind_of("ann", request), kind_of("bob", request), kind_of("ann", other)}) == 3


def test_nothing_is_admitted_before_it_was_measured() -> None:
    prompt, kind = PromptReads(embedded=True), kind_of("ann", Request("GET", "/", "", {}, b""))
    assert not prompt.admits(kind)
    prompt.measured(kind, PROMPT / 2)
    assert prompt.admits(kind)
