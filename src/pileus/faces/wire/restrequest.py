"""Requests of the protocols rest-xml and rest-json to actions and their parameters, keyed by the model's member names.

A service's paths are compiled once; where several actions share one, that is meant of which most constant and required
parameters are there. Parameters come in the path, the query, headers and the body. A payload that is a blob stays as it
is: its bytes, or None where they are received in parts.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from pileus.faces.wire import restvalues
from pileus.faces.wire.errors import WireError
from pileus.faces.wire.http import Request
from pileus.faces.wire.model import Operation, Reference, ServiceModel, Shape
from pileus.model import bounds

_LABEL = re.compile(r"\{(\w+)(\+?)\}")


class MatchedAction(NamedTuple):
    """An action that a request is for, and the words of its path, decoded, by their names on the wire."""

    operation: Operation
    labels: Mapping[str, str]


class _Binding(NamedTuple):
    operation: Operation
    pattern: re.Pattern[str]
    constants: Mapping[str, str]
    required: frozenset[tuple[str, str]]


def match(service: ServiceModel, request: Request) -> MatchedAction:
    """Return the action that a request is for; raises WireError where the service has none for it."""
    query = parameters(request)
    best: tuple[tuple[int, ...], MatchedAction] | None = None
    for binding in _bindings(service):
        labels = binding.pattern.fullmatch(request.path) if binding.operation.http.method == request.method else None
        if labels is None or any(query.get(name, [None])[0] != value for name, value in binding.constants.items()):
            continue
        there = sum(name in (query if place == "querystring" else request.headers) for place, name in binding.required)
        missing, matches = len(binding.required) - there, len(binding.constants) + there
        # Of two that are told by the same, an older one is deprecated, and a rarer one has the longer name.
        rank = -missing, matches, -binding.operation.deprecated, -len(binding.operation.name)
        if best is None or rank > best[0]:
            words = {name: unquote(word) for name, word in labels.groupdict().items()}
            best = rank, MatchedAction(binding.operation, words)
    if best is None:
        raise service.faults.no_such_action("", service.version)
    return best[1]


def parse(service: ServiceModel, request: Request, *, in_parts: bool = False) -> tuple[str, dict[str, Any]]:
    """Return the action and its parameters, typed; raises WireError. With `in_parts` the body is not there yet."""
    operation, labels = match(service, request)
    arguments: dict[str, Any] = {}
    if operation.input is None:
        return operation.name, arguments
    shape = service.shapes[operation.input.shape]
    query = parameters(request)
    bound_keys = {
        each.location_name or member for member, each in shape.members.items() if each.location == "querystring"
    } | _constants(operation).keys()
    for member, reference in shape.members.items():
        name = reference.location_name or member
        value: Any = None
        if reference.location == "uri":
            value = restvalues.from_text(service, reference, labels.get(name), name)
        elif reference.location == "querystring":
            value = _from_query(service, reference, query, name, bound_keys)
        elif reference.location == "header":
            value = _from_header(service, reference, request.headers, name)
        elif reference.location == "headers":
            start = name.lower()
            value = {key[len(start) :]: text for key, text in request.headers.items() if key.startswith(start)} or None
        if value is not None:
            arguments[member] = value
    arguments |= _from_body(service, operation.input, shape, b"" if in_parts else request.body)
    for member in shape.required:
        if member not in arguments and not (in_parts and member == shape.payload):
            raise service.faults.missing(shape.members[member].location_name or member)
    return operation.name, arguments


def parameters(request: Request) -> dict[str, list[str]]:
    """Return the parameters of a request's query, several values of a name in order; raises WireError."""
    if request.query.count("&") >= bounds.QUERY.most:
        raise WireError("InvalidArgument", f"The query has more than {bounds.QUERY.most} parameters.")
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return values


def _from_query(
    service: ServiceModel, reference: Reference, query: Mapping[str, list[str]], name: str, bound_keys: set[str]
) -> Any:
    shape = service.shapes[reference.shape]
    if shape.type == "map" and shape.value is not None:
        inner = service.shapes[shape.value.shape]
        # All but the parameters that have members of their own.
        rest = {key: texts for key, texts in query.items() if key not in bound_keys}
        return {key: texts if inner.type == "list" else texts[0] for key, texts in rest.items()} or None
    texts = query.get(name)
    if texts is None:
        return None
    if shape.type == "list" and shape.member is not None:
        member = shape.member
        elements = [restvalues.from_text(service, member, text, name) for text in texts]
        return restvalues.limited(service, reference, elements, name)
    return restvalues.from_text(service, reference, texts[0], name)


def _from_header(service: ServiceModel, reference: Reference, headers: Mapping[str, str], name: str) -> Any:
    text = headers.get(name.lower())
    shape = service.shapes[reference.shape]
    if text is not None and shape.type == "list" and shape.member is not None:
        member = shape.member
        parts = [part.strip() for part in text.split(",") if part.strip()]
        elements = [restvalues.from_text(service, member, part, name) for part in parts]
        return restvalues.limited(service, reference, elements, name)
    return restvalues.from_text(service, reference, text, name, header=True)


def _from_body(service: ServiceModel, reference: Reference, shape: Shape, body: bytes) -> dict[str, Any]:
    if shape.payload is not None:
        payload = shape.members[shape.payload]
        payload_type = service.shapes[payload.shape].type
        if payload_type in ("blob", "string"):
            value = body if payload_type == "blob" else body.decode("utf-8", "replace")
            return {shape.payload: value} if body else {}
        if not body:
            return {}
        return {shape.payload: restvalues.from_document(service, payload, body, shape.payload)}
    if not body or all(member.location is not None for member in shape.members.values()):
        return {}
    document: dict[str, Any] = restvalues.from_document(service, reference, body, "")
    return {member: value for member, value in document.items() if shape.members[member].location is None}


@functools.cache
def _bindings(service: ServiceModel) -> tuple[_Binding, ...]:
    return tuple(
        _Binding(operation, _path_pattern(operation), _constants(operation), _required(service, operation))
        for operation in service.operations.values()
    )


def _constants(operation: Operation) -> dict[str, str]:
    """The parameters of the query that tell an action; `x-id` is for readers of logs."""
    query = operation.http.request_uri.partition("?")[2]
    return {name: value for name, value in parse_qsl(query, keep_blank_values=True) if name != "x-id"}


def _path_pattern(operation: Operation) -> re.Pattern[str]:
    path, text, end = operation.http.request_uri.partition("?")[0], "", 0
    for label in _LABEL.finditer(path):
        # A greedy label has slashes in it, and at least one character.
        text += re.escape(path[end : label.start()]) + f"(?P<{label[1]}>{'.+' if label[2] else '[^/]+'})"
        end = label.end()
    text += re.escape(path[end:])
    return re.compile(text if text.endswith("/") else f"{text}/?" if not text.endswith("+)") else text, re.DOTALL)


def _required(service: ServiceModel, operation: Operation) -> frozenset[tuple[str, str]]:
    if operation.input is None:
        return frozenset()
    shape = service.shapes[operation.input.shape]
    places: list[tuple[str, str]] = []
    for member in shape.required:
        reference = shape.members[member]
        name = reference.location_name or member
        if reference.location == "querystring":
            places.append(("querystring", name))
        elif reference.location == "header":
            places.append(("header", name.lower()))
    return frozenset(places)
