"""Typed dialects: routes over documents in JSON or XML, with bodies as msgspec structs and one table of errors.

A face of such a dialect is a table of `Route`, and what `TypedDialect` says of it:

    ROUTES = (Route("GET", "servers/{id}", _show, "One server."), Route("POST", "servers", _make, "…", NewServer, 202))

Words in braces stand for any one word of a path, `{port:int}` for a number; `TypedFace` does the rest.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode

import msgspec

from pileus.faces.wire import media as medias_of
from pileus.faces.wire.body import decoded
from pileus.faces.wire.face import ActionKey, ActionSummary
from pileus.faces.wire.http import Identified, Request, Response
from pileus.faces.wire.media import JSON, Media
from pileus.faces.wire.refusals import PLAIN, ErrorTable
from pileus.faces.wire.streams import BodySink, BodyStream, Received, Waiting
from pileus.model import bounds
from pileus.model.errors import Fault, InvalidValue, NotFound, PileusError

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.rules.core import Core

T = TypeVar("T")

_DIGITS = 18


class BodyWords(NamedTuple):
    """A dialect's words for a body that does not fit: texts with `{field}`, `{known}` and `{why}`."""

    unknown: str = "Unknown field '{field}'; known: {known}."
    wrong: str = "The body is not what this path takes: {why}"
    overlooks_unknown: bool = False


class TypedRequest(msgspec.Struct, frozen=True):
    """A request whose caller is known: the words of its path by their names, its query, its body."""

    caller: Caller
    core: Core
    path: dict[str, Any]
    query: dict[str, str]
    body: bytes
    words: BodyWords = BodyWords()
    raw: Request | None = None

    def read(self, shape: type[T]) -> T:
        """The body as `shape`; InvalidValue naming what is missing, ill-typed or unknown."""
        fields = decoded(self.body or b"{}", dict[str, Any])
        try:
            names = {field.encode_name for field in msgspec.structs.fields(shape)}  # type: ignore[arg-type]  # all shapes are Structs
            unknown = sorted(fields.keys() - names)
            if unknown and not self.words.overlooks_unknown:
                text = self.words.unknown.format(field=unknown[0], known=", ".join(sorted(names)))
                raise InvalidValue(text, reason="body")
            return msgspec.convert(fields, shape)
        except msgspec.DecodeError as error:
            raise InvalidValue(self.words.wrong.format(why=error), reason="body") from error

    def flag(self, name: str) -> bool:
        """Whether the query says 1 or true for `name`."""
        return self.query.get(name, "").lower() in ("1", "true")

    def next_page(self, marker: str | None, name: str = "after") -> str | None:
        """The path and query of the next page of a list, which begins after `marker`; None for the last one."""
        if marker is None or self.raw is None:
            return None
        return f"{self.raw.path}?{urlencode({**self.query, name: marker})}"


class Route(msgspec.Struct, frozen=True):
    """One path of a dialect. `body` is what it takes. `waits`: it waits for hosts.

    `handle` returns a document, or a Response, a Waiting or a BodyStream. `kind` is "whole" for bodies that are read
    before; for "parts" it takes the request and the bytes received, and returns a BodySink; for "socket" it returns an
    Access or a Conversation. `launches` is the number of instances that a body asks for.
    """

    method: str
    path: str
    handle: Callable[..., Any]
    says: str
    body: type[msgspec.Struct] | None = None
    status: int = 200
    waits: bool = False
    kind: Literal["whole", "parts", "socket"] = "whole"
    launches: Callable[[bytes], int] | None = None


class OpenDocument(NamedTuple):
    """A document that anybody may read, such as the versions of an API; `path` as in routes."""

    path: str
    make: Callable[[Request], object]
    status: int = 200


class TypedDialect(NamedTuple):
    """A dialect: its name, the path that all of its paths begin with (with a slash at its end), and its tables.

    `proven` returns the caller of a request, or None; `unproven` is the text for that. `forms` are those of documents,
    the first one by default; with `suffixes`, `.json` or `.xml` at the end of a path chooses one too.
    """

    name: str
    root: str
    routes: Sequence[Route]
    proven: Callable[[Request], Caller | None]
    unproven: str
    errors: ErrorTable = PLAIN
    documents: Sequence[OpenDocument] = ()
    forms: Sequence[Media] = (JSON,)
    suffixes: bool = False
    words: BodyWords = BodyWords()
    see: str = ""


_Pattern = tuple[tuple[str, Callable[[str], Any] | None], ...]


class _Matched(NamedTuple):
    route: Route
    path: dict[str, Any]


class TypedFace:
    """A running face of a typed dialect. Handlers block on the store, and on hosts: it is called in threads."""

    def __init__(self, core: Core, dialect: TypedDialect) -> None:
        self._core = core
        self._dialect = dialect
        self._routes = [(route, _compiled(route.path)) for route in dialect.routes]
        self._documents = [(document, _compiled(document.path)) for document in dialect.documents]

    def handle(self, request: Request) -> Response:
        """Answer; refusals of the core are answers too. Anything else that is raised is a fault of ours."""
        identified = self.identify(request)
        return identified if isinstance(identified, Response) else identified.now()

    def identify(self, request: Request) -> Identified | Response:
        """Find out who asks, and which route; the answer where that is refused, or where anybody may ask.

        Reads the store for unknown credentials.
        """
        words, form = self._words(request)
        if request.method in ("GET", "HEAD"):
            for document, pattern in self._documents:
                if _match(pattern, words) is not None:
                    return self._own(_written(form, document.status, document.make(request), str(uuid.uuid4())))
        try:
            caller = self._dialect.proven(request)
        except PileusError as error:
            return self._own(self._dialect.errors.of(error, str(uuid.uuid4()), form))
        if caller is None:
            return self.unauthorized(form)
        matching = self._matching(request, words)
        method = "GET" if request.method == "HEAD" else request.method
        chosen = next((each for each in matching if each.route.method == method), None)
        if chosen is None:
            allowed = sorted({each.route.method for each in matching})
            nothing = functools.partial(self._nothing, request, allowed, caller, form)
            return Identified(caller, nothing, functools.partial(self._refuse, None, caller, form), reads=True)
        return self._identified(chosen, caller, request, form)

    def refused(self, error: PileusError) -> Response:
        """The answer to a request that is refused before anything is known of it."""
        return self._own(self._dialect.errors.of(error, str(uuid.uuid4())))

    def unauthorized(self, form: Media = JSON) -> Response:
        """The answer to a request that proves nobody."""
        text = self._dialect.unproven
        return self._own(self._dialect.errors.own("Unauthorized", text, str(uuid.uuid4()), form))

    def _words(self, request: Request) -> tuple[tuple[str, ...], Media]:
        dialect = self._dialect
        path, form = request.path.removeprefix(dialect.root).strip("/"), None
        if dialect.suffixes:
            path, form = medias_of.suffixed(path, dialect.forms)
        if form is None:
            form = dialect.forms[0]
            if len(dialect.forms) > 1:
                form = medias_of.accepted(request.headers.get("accept", ""), dialect.forms)
        return tuple(unquote(word) for word in path.split("/")), form

    def _matching(self, request: Request, words: tuple[str, ...]) -> list[_Matched]:
        socket = request.headers.get("upgrade", "").lower() == "websocket"
        return [
            _Matched(route, path)
            for route, pattern in self._routes
            if (route.kind == "socket") == socket and (path := _match(pattern, words)) is not None
        ]

    def _identified(self, chosen: _Matched, caller: Caller, request: Request, form: Media) -> Identified:
        route = chosen.route
        typed_request = functools.partial(self._asked, chosen, caller, request)
        return Identified(
            caller,
            functools.partial(self._answer, chosen, caller, request, form),
            functools.partial(self._refuse, route, caller, form),
            reads=route.method == "GET" and route.kind != "socket",
            waits=route.waits,
            launches=route.launches(request.body) if route.launches is not None else 0,
            sink=functools.partial(self._sink, typed_request, route, caller, form) if route.kind == "parts" else None,
            socket=(lambda: route.handle(typed_request())) if route.kind == "socket" else None,
            action=self._action(route),
        )

    def _asked(self, chosen: _Matched, caller: Caller, request: Request) -> TypedRequest:
        _check_lengths(chosen.path)
        query = parameters(request.query)
        return TypedRequest(caller, self._core, chosen.path, query, request.body, self._dialect.words, request)

    def _answer(self, chosen: _Matched, caller: Caller, request: Request, form: Media) -> Response | Waiting:
        route = chosen.route
        try:
            if route.kind != "whole":
                return self._nothing(request, [], caller, form)
            result = route.handle(self._asked(chosen, caller, request))
            if isinstance(result, Waiting):
                return result._replace(
                    look=functools.partial(self._looked, route, caller, form, result.look),
                    late=functools.partial(self._looked, route, caller, form, result.late, last=True),
                )
            return self._reply(route, caller, form, result)
        except (PileusError, Fault) as error:
            return self._refuse(route, caller, form, error)

    def _looked(
        self, route: Route, caller: Caller, form: Media, look: Callable[[], Any], *, last: bool = False
    ) -> Response | None:
        try:
            result = look()
        except (PileusError, Fault) as error:
            return self._refuse(route, caller, form, error)
        return None if result is None and not last else self._reply(route, caller, form, result)

    def _reply(self, route: Route, caller: Caller, form: Media, result: Any) -> Response:
        if isinstance(result, BodyStream):
            return self._routed(route, Response(route.status, {}, b"", request=caller.request, stream=result))
        if isinstance(result, Response):
            return self._routed(route, result)
        return self._routed(route, _written(form, route.status, result, caller.request))

    def _sink(
        self, typed_request: Callable[[], TypedRequest], route: Route, caller: Caller, form: Media, received: Received
    ) -> BodySink:
        sink: BodySink = route.handle(typed_request(), received, functools.partial(self._reply, route, caller, form))
        return sink

    def _refuse(self, route: Route | None, caller: Caller, form: Media, error: PileusError | Fault) -> Response:
        if isinstance(error, Fault):
            response = self._dialect.errors.own("Fault", f"{error.code}: {error.message}", caller.request, form)
        else:
            response = self._dialect.errors.of(error, caller.request, form)
        return self._own(response) if route is None else self._routed(route, response)

    def _nothing(self, request: Request, allowed: list[str], caller: Caller, form: Media) -> Response:
        """The answer where no route goes; `allowed` are the methods that this path takes."""
        if allowed:
            text = f"{request.method} does not go with this path; {', '.join(allowed)} does."
            return self._own(self._dialect.errors.own("MethodNotAllowed", text, caller.request, form))
        see = f"; see {self._dialect.see}" if self._dialect.see else ""
        error = NotFound(f"There is nothing at {request.path}{see}.", ident=request.path)
        return self._own(self._dialect.errors.of(error, caller.request, form))

    def _action(self, route: Route) -> str:
        return f"{route.method} {self._dialect.root}{route.path}"

    def _own(self, response: Response) -> Response:
        return msgspec.structs.replace(response, face=self._dialect.name)

    def _routed(self, route: Route, response: Response) -> Response:
        """The answer of a route, as logs name it."""
        return msgspec.structs.replace(
            response, face=self._dialect.name, action=self._action(route), reads=route.method == "GET"
        )


def parameters(query: str) -> dict[str, str]:
    """Return the parameters of a query; the last one of those with the same name. Raises InvalidValue."""
    most = bounds.QUERY.most
    if query.count("&") >= most:
        raise InvalidValue(f"The query has more than the {most} parameters that are taken.", reason="parameters")
    return dict(parse_qsl(query, keep_blank_values=True))


def actions(routes: Sequence[Route]) -> Mapping[ActionKey, ActionSummary]:
    """Return the actions of a dialect, as its declaration gives them."""
    return {("", f"{route.method} {route.path}"): ActionSummary(route.says, route.waits) for route in routes}


def versions(request: Request, states: Mapping[str, str], root: str = "/") -> dict[str, Any]:
    """Return a document of an API's versions: `states` maps ids to states ("CURRENT"), newest first."""
    host = request.headers.get("host", "localhost")
    listed = [
        {"id": ident, "status": state, "links": [link("self", f"{request.scheme}://{host}{root}{ident}/")]}
        for ident, state in states.items()
    ]
    return {"versions": listed}


def link(relation: str, target: str) -> dict[str, str]:
    """Return a link of a document, `relation` being "self", "next" or another one of RFC 8288."""
    return {"rel": relation, "href": target}


def _written(form: Media, status: int, document: object, request: str) -> Response:
    headers = {"content-type": form.type, "x-request-id": request}
    return Response(status, headers, form.encode(document), request=request)


def _integer(word: str) -> int | None:
    return int(word) if word.isascii() and word.isdecimal() and len(word) <= _DIGITS else None


def _compiled(path: str) -> _Pattern:
    converters: dict[str, Callable[[str], Any]] = {"str": str, "int": _integer}
    pattern: list[tuple[str, Callable[[str], Any] | None]] = []
    for word in path.split("/"):
        name, _, kind = word.strip("{}").partition(":")
        pattern.append((name, converters[kind or "str"]) if word.startswith("{") else (word, None))
    return tuple(pattern)


def _match(pattern: _Pattern, words: tuple[str, ...]) -> dict[str, Any] | None:
    if len(pattern) != len(words):
        return None
    path_values = {}
    for (name, convert), word in zip(pattern, words, strict=True):
        if convert is None:
            if name != word:
                return None
            continue
        value = convert(word) if word else None
        if value is None:
            return None
        path_values[name] = value
    return path_values


def _check_lengths(path: Mapping[str, Any]) -> None:
    """Raise InvalidValue for a word of a route's path that has more characters than any id or name."""
    for name, word in path.items():
        if isinstance(word, str) and len(word) > bounds.IDENT.most:
            text = f"'{name}' in the path has {len(word)} characters; {bounds.IDENT.most} is the most."
            raise InvalidValue(text, ident=word[:40], reason="length")
