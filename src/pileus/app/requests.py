"""Requests between the edge and the faces: callers are identified, rates and shares are held, calls are recorded."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from pileus.app.rates import DELAY, Rates
from pileus.app.shares import Answering, Slots, Workers
from pileus.faces.rest.face import caller_of, unauthorized
from pileus.faces.wire import claims
from pileus.faces.wire.http import Identified, Request, Response
from pileus.model import bounds
from pileus.model.caller import Caller
from pileus.model.errors import PileusError, Throttled, Unavailable

if TYPE_CHECKING:
    from pileus.app.wiring import Cloud

T = TypeVar("T")

OFTEN = "Too many requests without a credential come from this address; ask less often."


class Face(Protocol):
    """A dialect, as requests need it."""

    def identify(self, request: Request) -> Identified | Response:
        """Find out who asks; the answer where that is refused."""

    def refused(self, error: PileusError) -> Response:
        """The answer to a request that is refused before anything is known of it."""


class Requests:
    """Answers the requests of one process.

    Calls that wait for hosts have threads of their own: a host that hangs keeps no request thread.
    """

    def __init__(self, cloud: Cloud) -> None:
        settings = cloud.settings
        self._authority = cloud.authority
        self._rest = cloud.rest
        self._audit = cloud.audit
        self._rates = Rates(settings, cloud.processes)
        self._workers = Workers(settings.threads, settings.threads_share)
        self._host_threads = ThreadPoolExecutor(bounds.HOST_WAITS.most, thread_name_prefix="host")
        self._host_waits = Slots(bounds.PROJECT_HOST_WAITS, bounds.HOST_WAITS)

    def close(self) -> None:
        """End the threads, after the requests that are under way."""
        self._workers.close()
        self._host_threads.shutdown(wait=True, cancel_futures=True)

    async def answer(self, face: Face, request: Request, client: str) -> Response:
        """The answer to a request from the address `client`. Raises what a verb of ours should not."""
        try:
            turn, proven = self._rates.turn(client, claims.credential(request))
            identify = functools.partial(self._identify, face, request, client)
            identified = await self._workers.identify(turn, identify, proven=proven)
            if isinstance(identified, Response):
                return identified
            if isinstance(identified, _Refused):
                return await identified.answer()
            try:
                return await self.wait(identified.caller.project, functools.partial(self._answer, identified, client))
            except Throttled as error:
                return await self._refuse(identified, client, error).answer()
        except (Throttled, Unavailable) as error:
            late = isinstance(error, Throttled)
            return await self._unproven(face.refused(error), request, client, late=late).answer()

    async def refuse(self, face: Face, request: Request, client: str, error: PileusError) -> Response:
        """The answer to a request from the address `client` that is refused without a look at its credential."""
        late = self._refused(request, client)
        return await self._unproven(face.refused(error), request, client, late=late).answer()

    async def caller(self, request: Request, client: str) -> Caller | Response:
        """The caller of a request that no face answers, by its token; the answer where it is refused."""
        try:
            turn, proven = self._rates.turn(client, claims.credential(request))
            identify = functools.partial(caller_of, self._authority, request)
            identified = await self._workers.identify(turn, identify, proven=proven)
            if isinstance(identified, Caller):
                self._rates.take(identified, reads=False)
                return identified
            refused = self._unproven(unauthorized(), request, client, late=self._refused(request, client))
        except PileusError as error:
            late = isinstance(error, Throttled)
            refused = self._unproven(self._rest.refused(error), request, client, late=late)
        return await refused.answer()

    async def admit(self, client: str) -> bool:
        """Count a request that needs no credential. False, a little later, where `client` makes too many of them."""
        if self._rates.admit(client):
            return True
        await asyncio.sleep(DELAY)
        return False

    def record(self, client: str, response: Response, caller: Caller | None = None) -> None:
        """Write the audit line of a call that no face answered."""
        self._audit.record(client, response, caller)

    async def run(self, caller: Caller, work: Callable[..., T], *arguments: object) -> T:
        """The result of `work`, within the share of the caller's project. Raises Throttled, and as the work does."""
        result: T = await self._workers.run(caller.project, functools.partial(work, *arguments))
        return result

    async def wait(self, project: str, work: Callable[[], T]) -> T:
        """The result of `work`, which waits for a host. Raises Throttled at once where too many of `project` wait."""
        with self._host_waits.of(project):
            return await asyncio.get_running_loop().run_in_executor(self._host_threads, work)

    def _identify(self, face: Face, request: Request, client: str) -> Response | _Refused | Identified | Answering:
        """Find the caller. The result is an answer, a refusal, a call that waits for a host, or another call."""
        identified = face.identify(request)
        if isinstance(identified, Response):
            if not identified.code:  # an answer that anybody may have
                if self._rates.admit(client):
                    return identified
                return self._unproven(face.refused(Throttled(OFTEN, reason="rate")), request, client, late=True)
            return self._unproven(identified, request, client, late=self._refused(request, client))
        self._rates.proved(client, identified.caller.key or claims.credential(request))
        try:
            self._rates.take(identified.caller, reads=identified.reads, launches=identified.launches)
        except Throttled as error:
            return self._refuse(identified, client, error)
        if identified.waits:
            return identified
        answer = functools.partial(self._answer, identified, client)
        return Answering(identified.caller.project, answer, functools.partial(self._refuse, identified, client))

    def _refused(self, request: Request, client: str) -> bool:
        return self._rates.refused(client, claims.credential(request))

    def _answer(self, identified: Identified, client: str) -> Response:
        response = identified.answer()
        self._audit.record(client, response, identified.caller)
        return response

    def _refuse(self, identified: Identified, client: str, error: PileusError) -> _Refused:
        response = identified.refuse(error)
        self._audit.record(client, response, identified.caller)
        return _Refused(response, late=True)

    def _unproven(self, response: Response, request: Request, client: str, *, late: bool) -> _Refused:
        self._audit.record(client, response, key=claims.access_key(request))
        return _Refused(response, late)


class _Refused(NamedTuple):
    """The answer to a request that was refused before it came to a verb; `late` where that is for its rate."""

    response: Response
    late: bool

    async def answer(self) -> Response:
        """Give it, a little later if it is late: for clients that try again at once."""
        if self.late:
            await asyncio.sleep(DELAY)
        return self.response
