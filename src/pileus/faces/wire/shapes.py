"""Input shapes compiled to functions that read a tree of parameters; one per action, at its first request.

Where AWS is more lenient than its model, or its clients differ from each other, this is what holds:

- A member is known by its name on the wire (`InstanceId.1`) and by its name in the model (`InstanceIds.1`).
- Lists keep the order of their indexes, which need not be contiguous; two that are the same number (`1` and
  `01`) are refused. In the EC2 protocol a bare value where a list is wanted is a list of one.
- Lists of values and limits of numbers and lengths come from the model; patterns are not checked. The values
  of OPEN_ENUMS are this cloud's own and left to the verbs.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import Any, Final

from pileus.faces.wire import scalars
from pileus.faces.wire.errors import malformed
from pileus.faces.wire.model import Reference, ServiceModel, Shape, given
from pileus.model import bounds

OPEN_ENUMS: Final = frozenset({"InstanceType", "AccountAttributeName", "BucketLocationConstraint"})
"""Shapes whose listed values are not all that there are: this cloud has flavors and a region of its own, and AWS
documents, and answers, more attributes of an account than its model lists."""

Tree = str | dict[str, Any]
"""A value's text, or trees by the next part of the parameter's name."""

Reader = Callable[[Tree, str], Any]
"""Reads the tree found at a path; raises WireError."""

_INDEX = re.compile(r"[0-9]{1,9}", re.ASCII)

_BOUNDS: dict[str, float] = {"integer": 2**31, "long": 2**63}
"""The numbers that a type of integers ends before, and that its negatives end with."""


@functools.cache
def input_reader(service: ServiceModel, action: str) -> Reader:
    """Return the function that reads the action's parameters, compiling it at the first call."""
    reference = service.operation(action).input
    if reference is None:
        return _structure(service, Shape("structure"))
    return _reader(service, reference)


def _reader(service: ServiceModel, reference: Reference) -> Reader:
    # No input shape of these services contains itself; if one ever does, this recursion says so at once.
    shape = service.shapes[reference.shape]
    flat = service.flattened(reference)
    match shape.type:
        case "structure":
            return _structure(service, shape)
        case "list":
            return _list(service, shape, flat=flat)
        case "map":
            return _map(service, shape, flat=flat)
        case "string":
            return _string(service, reference.shape, shape)
        case "integer" | "long" | "float" | "double":
            return _number(service, shape)
        case _:
            return _converted(service, shape)


def _structure(service: ServiceModel, shape: Shape) -> Reader:
    faults = service.faults
    readers: dict[str, tuple[str, Reader]] = {}
    required: list[tuple[str, str]] = []
    for member, reference in shape.members.items():
        wire = service.input_name(member, reference)
        readers[wire] = member, _reader(service, reference)
        if member in shape.required:
            required.append((member, wire))
    for member, reference in shape.members.items():
        readers.setdefault(member, readers[service.input_name(member, reference)])

    def read(tree: Tree, path: str) -> dict[str, Any]:
        if isinstance(tree, str):
            raise faults.ill_typed(path, _told(shape, tree), "a structure")
        result: dict[str, Any] = {}
        for name, child in tree.items():
            member_reader = readers.get(name)
            if member_reader is None:
                if faults.ignores_unknown:
                    continue
                raise faults.unknown(_join(path, name))
            member, reader = member_reader
            if member in result:
                raise malformed(f"The parameter {_join(path, name)} is given under two names.")
            result[member] = reader(child, _join(path, name))
        for member, wire in required:
            if member not in result:
                raise faults.missing(_join(path, wire))
        return result

    return read


def _list(service: ServiceModel, shape: Shape, *, flat: bool) -> Reader:
    faults = service.faults
    member = given(shape.member)
    reader = _reader(service, member)
    bare = service.protocol == "ec2"
    label = None if bare or flat else member.location_name or "member"
    check = _limits(service, shape)

    def read(tree: Tree, path: str) -> list[Any]:
        if isinstance(tree, str):
            if bare:
                return [reader(tree, path)]
            if tree:
                raise faults.ill_typed(path, tree, "a list")
            return []
        if label is not None:
            tree, path = _only(service, tree, label, path)
        indexes = _indexes(service, tree, path)
        if len(indexes) > bounds.LISTED.most:
            raise faults.outside(path, f"{len(indexes)} elements", f"length less than or equal to {bounds.LISTED.most}")
        check(len(indexes), path, f"{len(indexes)} elements")
        return [reader(tree[indexes[index]], f"{path}.{index}") for index in sorted(indexes)]

    return read


def _map(service: ServiceModel, shape: Shape, *, flat: bool) -> Reader:
    key, value = given(shape.key), given(shape.value)
    key_name, value_name = key.location_name or "key", value.location_name or "value"
    read_key, read_value = _reader(service, key), _reader(service, value)
    faults = service.faults

    def read(tree: Tree, path: str) -> dict[str, Any]:
        if isinstance(tree, str):
            raise faults.ill_typed(path, tree, "a map")
        if not flat:
            tree, path = _only(service, tree, "entry", path)
        result: dict[str, Any] = {}
        indexes = _indexes(service, tree, path)
        for index in sorted(indexes):
            place, entry = f"{path}.{index}", tree[indexes[index]]
            if isinstance(entry, str):
                raise faults.ill_typed(place, entry, "a key and a value")
            for name in (key_name, value_name):
                if name not in entry:
                    raise faults.missing(f"{place}.{name}")
            key = read_key(entry[key_name], f"{place}.{key_name}")
            if key in result:
                raise malformed(f"The map {path} has one key twice.")
            result[key] = read_value(entry[value_name], f"{place}.{value_name}")
        return result

    return read


def _string(service: ServiceModel, name: str, shape: Shape) -> Reader:
    faults = service.faults
    choices = frozenset() if name in OPEN_ENUMS else frozenset(shape.enum)
    illegal = scalars.ILLEGAL.search
    check = _limits(service, shape)

    def read(tree: Tree, path: str) -> str:
        text = _leaf(service, tree, path)
        if illegal(text) is not None:
            raise faults.character(path)
        if choices and text not in choices:
            raise faults.not_among(path, _told(shape, text), choices)
        check(len(text), path, _told(shape, text))
        return text

    return read


def _number(service: ServiceModel, shape: Shape) -> Reader:
    faults = service.faults
    convert, wanted = scalars.READERS[shape.type]
    bound = _BOUNDS.get(shape.type, math.inf)
    least, most = shape.min, shape.max

    def read(tree: Tree, path: str) -> float:
        text = _leaf(service, tree, path)
        try:
            number: float = convert(text)
        except ValueError:
            raise faults.ill_typed(path, text, wanted) from None
        if not -bound <= number < bound:
            raise faults.ill_typed(path, text, wanted)
        if least is not None and number < least:
            raise faults.outside(path, text, f"value greater than or equal to {least:.15g}")
        if most is not None and number > most:
            raise faults.outside(path, text, f"value less than or equal to {most:.15g}")
        return number

    return read


def _converted(service: ServiceModel, shape: Shape) -> Reader:
    faults = service.faults
    convert, wanted = scalars.READERS[shape.type]

    def read(tree: Tree, path: str) -> Any:
        text = _leaf(service, tree, path)
        try:
            return convert(text)
        except ValueError:
            raise faults.ill_typed(path, _told(shape, text), wanted) from None

    return read


def _limits(service: ServiceModel, shape: Shape) -> Callable[[int, str, str], None]:
    """Return the check of a length against the shape's limits; it takes length, path and text."""
    least, most = shape.min or 0, shape.max
    faults = service.faults

    def check(size: int, path: str, text: str) -> None:
        if size < least:
            raise faults.outside(path, text, f"length greater than or equal to {least:.0f}")
        if most is not None and size > most:
            raise faults.outside(path, text, f"length less than or equal to {most:.0f}")

    return check


def _told(shape: Shape, text: str) -> str:
    """Return what an error may repeat of a value."""
    return "..." if shape.sensitive else text


def _leaf(service: ServiceModel, tree: Tree, path: str) -> str:
    if isinstance(tree, str):
        return tree
    raise service.faults.unknown(_join(path, next(iter(tree))))


def _only(service: ServiceModel, tree: dict[str, Any], label: str, path: str) -> tuple[dict[str, Any], str]:
    """Step over the one part of the name that the query protocol puts before an index."""
    place = f"{path}.{label}"
    child = tree.get(label)
    if len(tree) != 1 or child is None:
        raise service.faults.unknown(_join(path, next(name for name in tree if name != label)))
    if isinstance(child, str):
        raise service.faults.ill_typed(place, child, "a list")
    return child, place


def _indexes(service: ServiceModel, tree: dict[str, Any], path: str) -> dict[int, str]:
    """Return the parts of the name that are indexes, by their number."""
    indexes: dict[int, str] = {}
    for part in tree:
        if _INDEX.fullmatch(part) is None:
            raise service.faults.unknown(f"{path}.{part}")
        number = int(part)
        if number in indexes:
            raise malformed(f"The list {path} has the element {number} twice.")
        indexes[number] = part
    return indexes


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
