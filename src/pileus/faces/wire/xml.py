"""A result, keyed by the model's member names, to the XML of an answer; and errors.

Each action's output shape is compiled at its first answer to nested functions that append pieces of text to one list;
a list of 500 instances passes through here, so strings are looked at once and joined once.

Conventions of AWS kept here: EC2 names every list element `item`, the query protocol `member` or what the
model says; None is left out, an empty list is an empty element; an EC2 action without output, and one with a
`Return` that the result leaves out, answers `<return>true</return>`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pileus.faces.wire import scalars
from pileus.faces.wire.model import Reference, ServiceModel, Shape, given

Scalar = Callable[[Any], str]
"""Turns a value without members into text; raises TypeError, KeyError or ValueError for a wrong one."""

Append = Callable[[str], None]
"""Takes the next piece of an answer."""

Writer = Callable[[Any, Append], None]
"""Appends the XML inside the element of a value; raises TypeError, KeyError or ValueError for a wrong one."""

_SCALARS: dict[str, Scalar] = {
    "string": scalars.from_string,
    "boolean": scalars.from_boolean,
    "integer": scalars.from_integer,
    "long": scalars.from_integer,
    "float": scalars.from_float,
    "double": scalars.from_float,
    "timestamp": scalars.from_timestamp,
    "blob": scalars.from_blob,
}

DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_TRUE: Final = "<return>true</return>"
_RETURNING: Final = frozenset({"AssociateAddress", "CreatePlacementGroup", "CreateSecurityGroup"})
"""Actions whose answers have `<return>` in EC2's reference, and no such member in the vendor's model."""


class Rendered(str):
    """The XML inside the element of a structure, where a result has this in the structure's place."""

    __slots__ = ()


def rendered(service: ServiceModel, shape: str, value: Mapping[str, Any]) -> Rendered:
    """The XML inside the element of a structure of the service's model, to be used in any number of answers."""
    pieces: list[str] = []
    _shape_writer(service, shape)(value, pieces.append)
    return Rendered("".join(pieces))


@functools.cache
def _shape_writer(service: ServiceModel, shape: str) -> Writer:
    return _structure(service, shape, service.shapes[shape])


def serialize(service: ServiceModel, action: str, result: Mapping[str, Any], request_id: str) -> bytes:
    """Return the body of a successful answer, UTF-8.

    Times are datetimes or seconds since the epoch, blobs bytes. A member the model lacks, or a value of a
    type that is not the model's, is a mistake of the caller: ValueError or TypeError. An action that the
    service lacks raises WireError.
    """
    pieces = _answer(service, action)(result, scalars.from_string(request_id))
    return "".join(pieces).encode()


def error(service: ServiceModel, code: str, message: str, request_id: str, status: int) -> bytes:
    """Return the body of an error answer, UTF-8; `status` (of HTTP) tells whose fault it was."""
    safe = scalars.from_string
    inner = f"<Code>{safe(code)}</Code><Message>{safe(message)}</Message>"
    if service.protocol == "ec2":
        inner = f"<Errors><Error>{inner}</Error></Errors>"
        text = f"<Response>{inner}<RequestID>{safe(request_id)}</RequestID></Response>"
    else:
        kind = "Receiver" if status >= 500 else "Sender"
        text = (
            f'<ErrorResponse xmlns="{service.namespace}"><Error><Type>{kind}</Type>{inner}</Error>'
            f"<RequestId>{safe(request_id)}</RequestId></ErrorResponse>"
        )
    return f"{DECLARATION}{text}".encode()


@functools.cache
def _answer(service: ServiceModel, action: str) -> Callable[[Mapping[str, Any], str], list[str]]:
    output = service.operation(action).output
    body = _structure(service, action, Shape("structure")) if output is None else _shape_writer(service, output.shape)
    head = f'{DECLARATION}<{action}Response xmlns="{service.namespace}">'
    tail = f"</{action}Response>"
    members = service.shapes[output.shape].members if output is not None else {}
    returns = output is None or "Return" in members or action in _RETURNING
    wrapper = output.result_wrapper if output is not None else None
    opening, closing = (f"<{wrapper}>", f"</{wrapper}>") if wrapper else ("", "")

    def ec2(result: Mapping[str, Any], request_id: str) -> list[str]:
        pieces = [f"{head}<requestId>{request_id}</requestId>"]
        body(result, pieces.append)
        pieces.append((_TRUE if returns and result.get("Return") is None else "") + tail)
        return pieces

    def query(result: Mapping[str, Any], request_id: str) -> list[str]:
        pieces = [head + opening]
        body(result, pieces.append)
        metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        pieces.append(f"{closing}{metadata}{tail}")
        return pieces

    return ec2 if service.protocol == "ec2" else query


def _scalar(service: ServiceModel, reference: Reference) -> Scalar | None:
    """How values of a shape without members are written; None for a shape with members."""
    return _SCALARS.get(service.shapes[reference.shape].type)


def _writer(service: ServiceModel, reference: Reference) -> Writer:
    """How values of a shape with members are written."""
    # No output shape of these services contains itself; if one ever does, this recursion says so at once.
    shape = service.shapes[reference.shape]
    match shape.type:
        case "structure":
            return _structure(service, reference.shape, shape)
        case "list":
            return _list(service, shape)
        case "map":
            return _map(service, shape)
        case _:
            raise KeyError(shape.type)


def _structure(service: ServiceModel, name: str, shape: Shape) -> Writer:
    table: dict[str, tuple[str, str, Scalar | None, Writer | None]] = {}
    for member, reference in shape.members.items():
        tag = service.output_name(member, reference)
        if service.flattened(reference):
            table[member] = "", "", None, _flattened(service, reference, tag)
            continue
        scalar = _scalar(service, reference)
        writer = None if scalar is not None else _writer(service, reference)
        # Strings, nine of ten values, are written in the loop itself: a call each costs more than the rest.
        table[member] = f"<{tag}>", f"</{tag}>", None if scalar is scalars.from_string else scalar, writer
    unsafe, escape = scalars.unsafe, scalars.from_string

    def write(value: Mapping[str, Any] | Rendered, append: Append) -> None:
        if isinstance(value, Rendered):
            append(value)
            return
        member = ""
        try:
            for member, item in value.items():
                if item is None:
                    continue
                head, tail, scalar, writer = table[member]
                if writer is not None:
                    append(head)
                    writer(item, append)
                    append(tail)
                elif scalar is not None:
                    append(head + scalar(item) + tail)
                elif unsafe(item) is None:
                    append(head + item + tail)
                else:
                    append(head + escape(item) + tail)
        except KeyError:
            raise _misfit(name, member, table, value) from None
        except TypeError as wrong:
            raise TypeError(f"{name}.{member}: {wrong}") from wrong

    return write


def _list(service: ServiceModel, shape: Shape) -> Writer:
    element = given(shape.member)
    tag = "item" if service.protocol == "ec2" else element.location_name or "member"
    return _elements(service, element, f"<{tag}>", f"</{tag}>")


def _elements(service: ServiceModel, element: Reference, head: str, tail: str) -> Writer:
    """Write each element of a list between `head` and `tail`."""
    scalar, between = _scalar(service, element), tail + head
    if scalar is not None:

        def write_scalars(value: Iterable[Any], append: Append) -> None:
            if value:
                append(head + between.join(map(scalar, value)) + tail)

        return write_scalars
    writer = _writer(service, element)

    def write(value: Iterable[Any], append: Append) -> None:
        piece = head
        for item in value:
            append(piece)
            writer(item, append)
            piece = between
        if piece is between:
            append(tail)

    return write


def _flattened(service: ServiceModel, reference: Reference, tag: str) -> Writer:
    """Write the elements of a list, or the entries of a map, each as an element of the structure that it is in."""
    shape = service.shapes[reference.shape]
    head, tail = f"<{tag}>", f"</{tag}>"
    if shape.member is not None:
        return _elements(service, shape.member, head, tail)
    return _entries(service, shape, head, tail)


def _map(service: ServiceModel, shape: Shape) -> Writer:
    return _entries(service, shape, "<entry>", "</entry>")


def _entries(service: ServiceModel, shape: Shape, head: str, tail: str) -> Writer:
    """Write each entry of a map between `head` and `tail`."""
    key, value = given(shape.key), given(shape.value)
    write_key, write_value = _one(service, key, "key"), _one(service, value, "value")

    def write(value: Mapping[Any, Any], append: Append) -> None:
        for key, item in value.items():
            append(head)
            write_key(key, append)
            write_value(item, append)
            append(tail)

    return write


def _one(service: ServiceModel, reference: Reference, name: str) -> Writer:
    """Write a value in an element of the reference's own name, or `name` where it has none."""
    tag = reference.location_name or name
    write = _elements(service, reference, f"<{tag}>", f"</{tag}>")
    return lambda value, append: write((value,), append)


def _misfit(name: str, member: str, table: Mapping[str, object], value: Mapping[str, Any]) -> ValueError:
    if member not in table:
        return ValueError(f"{name} has no member {member}")
    return ValueError(f"{name}.{member} cannot be {value[member]!r}")
