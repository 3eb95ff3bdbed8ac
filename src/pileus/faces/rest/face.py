"""From an HTTP request to a route and back: who asks, which path, and errors as JSON."""

from __future__ import annotations

import functools
import uuid
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

import msgspec

from pileus.faces.rest import errors
from pileus.faces.rest.openapi import openapi
from pileus.faces.rest.routes import ROUTES, RestRequest, Route
from pileus.faces.wire.http import Identified, Request, Response
from pileus.model import bounds
from pileus.model.errors import Fault, InvalidValue, NotFound, PileusError
from pileus.verbs.instance.launch import Launch

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.verbs.core import Core
    from pileus.verbs.credential import Authority

FACE = "rest"
ROOT = "/v1/"

_Words = tuple[str, ...]


class RestFace:
    """Answers every request under /v1. Blocks on the store, and on hosts for consoles: call it in a thread."""

    def __init__(self, core: Core, authority: Authority) -> None:
        self._core = core
        self._authority = authority
        self._routes = [(route, tuple(route.path.split("/"))) for route in ROUTES]

    def handle(self, request: Request) -> Response:
        """Answer; refusals of the core are answers too. Anything else that is raised is a fault of ours."""
        identified = self.identify(request)
        return identified if isinstance(identified, Response) else identified.answer()

    def identify(self, request: Request) -> Identified | Response:
        """Find out who asks, and which route; the answer where that is refused, or where anybody may ask.

        Reads the store for unknown tokens.
        """
        words = tuple(unquote(word) for word in request.path.removeprefix(ROOT).strip("/").split("/"))
        if words == ("openapi.json",) and request.method in ("GET", "HEAD"):
            return _own(_json(200, _description(), str(uuid.uuid4())))
        try:
            caller = caller_of(self._authority, request)
        except PileusError as error:
            return self.refused(error)
        if caller is None:
            return unauthorized()
        method = "GET" if request.method == "HEAD" else request.method
        matching = [(route, path) for route, pattern in self._routes if (path := _match(pattern, words)) is not None]
        chosen = next(((route, path) for route, path in matching if route.method == method), None)
        if chosen is None:
            nothing = functools.partial(_nothing, request, sorted({route.method for route, _ in matching}), caller)
            return Identified(caller, nothing, lambda error: _own(errors.of(error, caller.request)), reads=True)
        route, path = chosen
        return Identified(
            caller,
            functools.partial(self._answer, route, caller, path, request),
            lambda error: _routed(route, errors.of(error, caller.request)),
            reads=route.method == "GET",
            waits=route.waits,
            launches=_launches(request.body) if route.body is Launch else 0,
        )

    def refused(self, error: PileusError) -> Response:
        """The answer to a request that is refused before anything is known of it."""
        return _own(errors.of(error, str(uuid.uuid4())))

    def _answer(self, route: Route, caller: Caller, path: dict[str, str], request: Request) -> Response:
        try:
            _check_lengths(path)
            query = parameters(request.query)
            response = _reply(route, RestRequest(caller, self._core, path, query, request.body))
        except PileusError as error:
            response = errors.of(error, caller.request)
        except Fault as fault:
            response = errors.own("Fault", f"{fault.code}: {fault.message}", caller.request)
        return _routed(route, response)


def parameters(query: str) -> dict[str, str]:
    """Return the parameters of a query; the last one of those with the same name. Raises InvalidValue."""
    most = bounds.QUERY.most
    if query.count("&") >= most:
        raise InvalidValue(f"The query has more than the {most} parameters that are taken.", reason="parameters")
    return dict(parse_qsl(query, keep_blank_values=True))


def _own(response: Response) -> Response:
    return msgspec.structs.replace(response, face=FACE)


def _routed(route: Route, response: Response) -> Response:
    """The answer of a route, as logs name it."""
    action = f"{route.method} {ROOT}{route.path}"
    return msgspec.structs.replace(response, face=FACE, action=action, reads=route.method == "GET")


class _Count(msgspec.Struct):
    """The part of a launch that says how many."""

    most: int = 1


def _launches(body: bytes) -> int:
    """The number of instances that a launch asks for, as far as that can be read; the verb looks at it closely."""
    try:
        return max(1, msgspec.json.decode(body, type=_Count).most)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return 1


@functools.cache
def _description() -> bytes:
    """The face's own OpenAPI document: made when it is first asked for, as few clouds are."""
    return msgspec.json.encode(openapi())


def caller_of(authority: Authority, request: Request) -> Caller | None:
    """Return the caller by bearer token (or X-Auth-Token); None when the request proves nobody."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        token = request.headers.get("x-auth-token", "")
    return authority.by_token(token.strip(), FACE) if token.strip() else None


def unauthorized() -> Response:
    """The answer to a request that proves nobody."""
    text = "Send 'Authorization: Bearer TOKEN' with a token of this cloud (admin.json has the administrator's)."
    return _own(errors.own("Unauthorized", text, str(uuid.uuid4())))


def created(caller: Caller, body: object, status: int = 201) -> Response:
    """The answer to a request that made `body`."""
    return _json(status, msgspec.json.encode(body), caller.request)


def _check_lengths(path: dict[str, str]) -> None:
    """Raise InvalidValue for a word of a route's path that has more characters than any id or name."""
    for name, word in path.items():
        if len(word) > bounds.IDENT.most:
            text = f"'{name}' in the path has {len(word)} characters; {bounds.IDENT.most} is the most."
            raise InvalidValue(text, ident=word[:40], reason="length")


def _nothing(request: Request, allowed: list[str], caller: Caller) -> Response:
    """The answer where no route goes; `allowed` are the methods that this path takes."""
    if allowed:
        text = f"{request.method} does not go with this path; {', '.join(allowed)} does."
        return _own(errors.own("MethodNotAllowed", text, caller.request))
    text = f"There is nothing at {request.path}; see {ROOT}openapi.json."
    return _own(errors.of(NotFound(text, ident=request.path), caller.request))


def _reply(route: Route, request: RestRequest) -> Response:
    return _json(route.status, msgspec.json.encode(route.handle(request)), request.caller.request)


def _json(status: int, body: bytes, request: str) -> Response:
    return Response(status, {"content-type": "application/json", "x-request-id": request}, body, request=request)


def _match(pattern: _Words, words: _Words) -> dict[str, str] | None:
    if len(pattern) != len(words):
        return None
    path_values = {}
    for expected, word in zip(pattern, words, strict=True):
        if expected.startswith("{"):
            path_values[expected[1:-1]] = word
        elif expected != word:
            return None
    return path_values if all(path_values.values()) else None
