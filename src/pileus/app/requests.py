"""Requests between the edge and the faces: callers are identified, rates and shares are held, calls are recorded."""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pileus.app.answers import never
from pileus.app.promptreads import PromptReads, kind_of
from pileus.app.rates import DELAY, Rates
from pileus.app.shares import Answering, Slots, Workers
from pileus.app.waits import Waits
from pileus.faces.wire import presented
from pileus.faces.wire.face import RunningFace
from pileus.faces.wire.http import Identified, Request, Response
from pileus.faces.wire.refusals import PLAIN
from pileus.faces.wire.streams import Waiting
from pileus.model import bounds
from pileus.model.caller import Caller
from pileus.model.errors import PileusError, Throttled, Unavailable

if TYPE_CHECKING:
    from pileus.app.wiring import Cloud

T = TypeVar("T")

OFTEN = "Too many requests without a credential come from this address; ask less often."


FACE = "app"
"""How the audit log names what no face answers."""

UNPROVEN = "Send 'Authorization: Bearer TOKEN' with a token of this cloud (admin.json has the administrator's)."


class Requests:
    """Answers the requests of one process.

    Calls that wait for hosts have threads of their own: a host that hangs keeps no request thread.
    """

    def __init__(self, cloud: Cloud) -> None:
        settings = cloud.settings
        self._authority = cloud.authority
        self._audit = cloud.audit
        self._rates = Rates(settings, cloud.processes)
        self._workers = Workers(settings.threads, settings.threads_share)
        self._host_threads = ThreadPoolExecutor(bounds.HOST_WAITS.most, thread_name_prefix="host")
        self._host_waits = Slots(bounds.PROJECT_HOST_WAITS, bounds.HOST_WAITS)
        self._prompt = PromptReads(embedded=cloud.core.store.embedded)
        self.waits = Waits(shared=not cloud.role.alone)

    def close(self) -> None:
        """End the threads, after the requests that are under way."""
        self._workers.close()
        self._host_threads.shutdown(wait=True, cancel_futures=True)

    async def answer(
        self, face: RunningFace, request: Request, client: str, client_left: Callable[[], Awaitable[None]] = never
    ) -> Response | None:
        """The answer to a request from the address `client`; None where the client left before it was there.

        Raises what a verb of ours should not.
        """
        try:
            answered = await self._identified(face, request, client, answers=True)
            if isinstance(answered, Identified):
                answered = await self._from_host(answered, client)
            if isinstance(answered, _Postponed):
                return await self._later(answered, client, client_left)
            return await answered.answer() if isinstance(answered, _Refused) else answered
        except (Throttled, Unavailable) as error:
            return await self._not_now(face.refused(error), request, client, error).answer()

    async def identify(self, face: RunningFace, request: Request, client: str) -> Identified | Response:
        """The request with its caller, counted as one that changes something; the answer where it is refused."""
        try:
            identified = await self._identified(face, request, client, answers=False)
        except (Throttled, Unavailable) as error:
            identified = self._not_now(face.refused(error), request, client, error)
        return await identified.answer() if isinstance(identified, _Refused) else identified

    async def refuse(self, face: RunningFace, request: Request, client: str, error: PileusError) -> Response:
        """The answer to a request from the address `client` that is refused without a look at its credential."""
        late = self._refused(request, client)
        return await self._unproven(face.refused(error), request, client, late=late).answer()

    async def caller(self, request: Request, client: str) -> Caller | Response:
        """The caller of a request that no face answers, by its token; the answer where it is refused."""
        try:
            turn, proven = self._rates.turn(client, presented.credential(request))
            identify = functools.partial(self._by_token, presented.token(request))
            identified: Caller | None = await self._workers.identify(turn, identify, proven=proven)
            if identified is not None:
                self._rates.take(identified, reads=False)
                return identified
            answer = PLAIN.own("Unauthorized", UNPROVEN, str(uuid.uuid4()))
            refused = self._unproven(answer, request, client, late=self._refused(request, client))
        except PileusError as error:
            refused = self._not_now(PLAIN.of(error, str(uuid.uuid4())), request, client, error)
        return await refused.answer()

    def _by_token(self, token: str) -> Caller | None:
        return self._authority.by_token(token, FACE) if token else None

    async def admit(self, client: str) -> bool:
        """Count a request that needs no credential. False, a little later, where `client` makes too many of them."""
        if self._rates.admit(client):
            return True
        await asyncio.sleep(DELAY)
        return False

    def record(self, client: str, response: Response, caller: Caller | None = None) -> None:
        """Write the audit line of a call whose body, or answer, came in parts."""
        self._audit.record(client, response, caller)

    async def run(self, caller: Caller, work: Callable[..., T], *arguments: object) -> T:
        """The result of `work`, within the share of the caller's project. Raises Throttled, and as the work does."""
        result: T = await self._workers.run(caller.project, functools.partial(work, *arguments))
        return result

    async def wait(self, project: str, work: Callable[[], T]) -> T:
        """The result of `work`, which waits for a host. Raises Throttled at once where too many of `project` wait."""
        with self._host_waits.of(project):
            return await asyncio.get_running_loop().run_in_executor(self._host_threads, work)

    async def _identified(self, face: RunningFace, request: Request, client: str, *, answers: bool) -> Any:
        turn, proven = self._rates.turn(client, presented.credential(request))
        identify = functools.partial(self._identify, face, request, client, answers=answers)
        self._prompt.came(turn)
        if not answers or not proven:
            return await self._workers.identify(turn, identify, proven=proven)
        kind, began = kind_of(turn, request), time.perf_counter()
        if self._workers.idle() and self._prompt.admits(kind):
            self._prompt.rest()
            outcome = await self._at_once(identify)
        else:
            outcome = await self._workers.identify(turn, identify, proven=True)
        if isinstance(outcome, Response) and outcome.reads:
            self._prompt.measured(kind, time.perf_counter() - began)
        return outcome

    async def _at_once(self, identify: Callable[[], Any]) -> Any:
        """The result of an identification that the event loop makes itself, and of a read that follows from it."""
        outcome = identify()
        if not isinstance(outcome, Answering):
            return outcome
        if outcome.reads:
            return outcome.run()
        try:
            return await self._workers.run(outcome.project, outcome.run)
        except Throttled as error:
            return outcome.refuse(error)

    async def _from_host(self, identified: Identified, client: str) -> Response | _Refused | _Postponed:
        try:
            return await self.wait(identified.caller.project, functools.partial(self._answer, identified, client))
        except Throttled as error:
            return self._refuse(identified, client, error)

    async def _later(
        self, postponed: _Postponed, client: str, client_left: Callable[[], Awaitable[None]]
    ) -> Response | None:
        """The answer that is waited for, in no thread; None where the client left before."""
        identified = postponed.identified
        run = functools.partial(self.run, identified.caller)
        waiting = asyncio.ensure_future(self.waits.until(postponed.waiting, identified.caller.project, run))
        leaving = asyncio.ensure_future(client_left())
        try:
            await asyncio.wait((waiting, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                return None
            response = waiting.result()
        except Throttled as error:
            return await self._refuse(identified, client, error).answer()
        finally:
            waiting.cancel()
            leaving.cancel()
        self._audit.record(client, response, identified.caller)
        return response

    def _identify(
        self, face: RunningFace, request: Request, client: str, *, answers: bool
    ) -> Response | _Refused | Identified | Answering:
        """Find the caller. The result is an answer, a refusal, a call that waits for a host, or another call.

        Unless it `answers` too, the result is any call that is not refused.
        """
        identified = face.identify(request)
        if isinstance(identified, Response):
            if not identified.code:  # an answer that anybody may have
                if self._rates.admit(client):
                    return identified
                return self._unproven(face.refused(Throttled(OFTEN, reason="rate")), request, client, late=True)
            return self._unproven(identified, request, client, late=self._refused(request, client))
        self._rates.proved(client, identified.caller.key or presented.credential(request))
        try:
            self._rates.take(identified.caller, reads=identified.reads and answers, launches=identified.launches)
        except Throttled as error:
            return self._refuse(identified, client, error)
        if identified.waits or not answers:
            return identified
        answer = functools.partial(self._answer, identified, client)
        refuse = functools.partial(self._refuse, identified, client)
        return Answering(identified.caller.project, answer, refuse, identified.reads)

    def _refused(self, request: Request, client: str) -> bool:
        return self._rates.refused(client, presented.credential(request))

    def _answer(self, identified: Identified, client: str) -> Response | _Postponed:
        response = identified.answer()
        if isinstance(response, Waiting):
            return _Postponed(identified, response)
        self._audit.record(client, response, identified.caller)
        return response

    def _refuse(self, identified: Identified, client: str, error: PileusError) -> _Refused:
        response = identified.refuse(error)
        self._audit.record(client, response, identified.caller)
        return _Refused(response, late=True)

    def _not_now(self, response: Response, request: Request, client: str, error: PileusError) -> _Refused:
        return self._unproven(response, request, client, late=isinstance(error, Throttled))

    def _unproven(self, response: Response, request: Request, client: str, *, late: bool) -> _Refused:
        self._audit.record(client, response, key=presented.access_key(request))
        return _Refused(response, late)


class _Postponed(NamedTuple):
    """A call whose answer is waited for."""

    identified: Identified
    waiting: Waiting


class _Refused(NamedTuple):
    """The answer to a request that was refused before it came to a verb; `late` where that is for its rate."""

    response: Response
    late: bool

    async def answer(self) -> Response:
        """Give it, a little later if it is late: for clients that try again at once."""
        if self.late:
            await asyncio.sleep(DELAY)
        return self.response
