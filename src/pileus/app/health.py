"""Whether a cloud can do what it is asked: its store can be read and written, its loops run, and a host reports."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog

from pileus.faces.wire.http import Response
from pileus.loops.standing import stands
from pileus.model import threads
from pileus.model.errors import Unavailable
from pileus.model.host import LOST_AFTER, Host, alive
from pileus.store.store import Store

PATIENCE = 5.0
"""Seconds after which a store that does not answer is missing."""

REPEATED = 1.0
"""Seconds for which an answer is repeated to addresses that ask too often."""

log = structlog.get_logger()


class Health(msgspec.Struct, frozen=True):
    """The parts of a cloud that do not work now, by name, with the reason.

    Without what is `missing` ("store", or what the opening of the store waits for) requests are refused. Without what
    is `late` ("broker", "loops", "host", "threads") they are taken, and done when it is back.
    `unanswered` are the hosts ("host NAME") that the store was opened without although they report: the rest goes on.
    """

    missing: dict[str, str] = {}
    late: dict[str, str] = {}
    unanswered: dict[str, str] = {}


class Checks:
    """The answers to `GET /healthz` of one process, to which `look` gives its health; all wait for one look at a time.

    `loops`: the process has loops, and is well only while hosts do the work. A process that only answers requests is
    well without hosts: a balancer that took it away because hosts are silent would leave clients without any answer.
    """

    def __init__(self, look: Callable[[], Coroutine[Any, Any, Health]], *, loops: bool) -> None:
        self._look = look
        self._loops = loops
        self._looking: asyncio.Task[Response] | None = None
        self._latest = Response(503, {}, b"")
        self._at = -REPEATED

    async def answer(self, *, repeat: bool) -> Response:
        """Return 200 while this process can do its work, else 503, with the names of missing parts and the reasons.

        With `repeat`, return the latest answer if it is younger than `REPEATED` seconds: a prober is never refused, and
        no other client at its address can have it refused.
        """
        if repeat and time.monotonic() - self._at < REPEATED:
            return self._latest
        if self._looking is None:
            self._looking = asyncio.create_task(self._answer())
        # A client that leaves ends no look for which others wait.
        return await asyncio.shield(self._looking)

    async def _answer(self) -> Response:
        try:
            try:
                health = await asyncio.wait_for(self._look(), PATIENCE)
            except TimeoutError:
                words = f"The cloud's database does not answer within {PATIENCE:.0f} s."
                health = Health(missing={"store": words})
            self._latest, self._at = self._response(health), time.monotonic()
            return self._latest
        finally:
            self._looking = None

    def _response(self, health: Health) -> Response:
        why = {**health.missing, **health.late, **health.unanswered}
        if not why:
            return Response(200, {"content-type": "text/plain"}, b"ok\n")
        well = not health.missing and not (health.late and self._loops)
        body = {"status": "degraded" if well else "unavailable", "missing": list(why), "why": why}
        return Response(200 if well else 503, {"content-type": "application/json"}, json.dumps(body).encode())


def look(
    store: Store,
    opening: Callable[[], dict[str, str]],
    connected: Callable[[], bool],
    unanswered: Callable[[], dict[str, str]] = dict,
) -> Health:
    """Return the health of this process now.

    `opening` says what is waited for until the store was compared with its hosts, `unanswered` which hosts it was
    opened without although they report, `connected` whether messages pass to and from hosts. A host that was not heard
    of for as long as makes one count as lost is none.
    """
    try:
        waiting = opening()
        if waiting:
            return Health(missing=waiting)
        with store.read() as tx:
            hosts, looped = tx.list(Host), not store.shared or stands(tx, store.now())
        # A process with loops writes reports every few seconds: what came of the last one is never old news. Another
        # one is asked for nothing while it is not well.
        if store.trouble is not None and store.shared:
            store.prove()
        if store.trouble is not None:
            return Health(missing={"store": store.trouble.message})
    except Unavailable as error:
        return Health(missing={"store": error.message})
    except Exception as error:
        log.exception("the store does not answer")
        words = f"The cloud's database cannot be used: {type(error).__name__}; the cloud's log tells more."
        return Health(missing={"store": words})
    late = {
        "broker": "" if connected() else "The broker does not answer; the log tells why.",
        "loops": "" if looped else "No 'pileus loops' has said lately that it works.",
        "host": "" if any(alive(host, store.now()) for host in hosts) else _NO_HOST,
        "threads": "; ".join(f"{name}: {why}" for name, why in sorted(threads.failing().items())),
    }
    return Health(late={name: why for name, why in late.items() if why}, unanswered=unanswered())


_NO_HOST = f"No host has reported within the last {LOST_AFTER:.0f} s; 'pileus status' tells what runs."
