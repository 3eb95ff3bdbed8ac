"""Values of the protocols rest-xml and rest-json: texts in paths and headers, and documents in XML and JSON.

Values that come are held to the model's lists of values, and to its limits of numbers, lengths and sizes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import msgspec
from defusedxml import DefusedXmlException, ElementTree

from pileus.faces.wire import scalars
from pileus.faces.wire.errors import WireError
from pileus.faces.wire.model import Reference, ServiceModel, Shape, given
from pileus.faces.wire.shapes import OPEN_ENUMS

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
}


# -- texts ---------------------------------------------------------------------------------------------------------


def from_text(service: ServiceModel, reference: Reference, text: str | None, path: str, *, header: bool = False) -> Any:
    """Return the value that a text stands for, None for None; raises WireError."""
    if text is None:
        return None
    shape = service.shapes[reference.shape]
    if shape.type == "string":
        return limited(service, reference, text, path)
    if shape.type == "timestamp":
        return _time(service, reference, shape, text, path, default="rfc822" if header else "iso8601")
    convert, wanted = scalars.READERS[shape.type]
    try:
        value = convert(text)
    except ValueError:
        raise service.faults.ill_typed(path, text, wanted) from None
    return limited(service, reference, value, path)


def limited(service: ServiceModel, reference: Reference, value: Any, path: str) -> Any:
    """Return a value that the model's lists and limits admit; raises WireError for any other."""
    shape = service.shapes[reference.shape]
    if shape.enum and reference.shape not in OPEN_ENUMS and value not in shape.enum:
        raise service.faults.not_among(path, _shown(shape, value), shape.enum)
    if (shape.min is None and shape.max is None) or isinstance(value, bool):
        return value
    is_number = isinstance(value, int | float)
    what, size = ("value", value) if is_number else ("length", len(value))
    if shape.min is not None and size < shape.min:
        constraint = f"{what} greater than or equal to {shape.min:.15g}"
        raise service.faults.outside(path, _shown(shape, value), constraint)
    if shape.max is not None and size > shape.max:
        raise service.faults.outside(path, _shown(shape, value), f"{what} less than or equal to {shape.max:.15g}")
    return value


def _shown(shape: Shape, value: Any) -> str:
    """Return the text that an error may repeat of a value."""
    return "..." if shape.sensitive or not isinstance(value, str | int | float) else str(value)


def to_text(service: ServiceModel, reference: Reference, value: Any, *, header: bool = False) -> str:
    """Return the text of a value outside of a body."""
    shape = service.shapes[reference.shape]
    match shape.type:
        case "boolean":
            return scalars.from_boolean(value)
        case "timestamp":
            return str(_stamp(reference, shape, value, default="rfc822" if header else "iso8601"))
        case "blob":
            return scalars.from_blob(value)
        case "list" if shape.member is not None:
            member = shape.member
            return ",".join(to_text(service, member, item, header=header) for item in value)
        case _:
            return str(value)


def _time(service: ServiceModel, reference: Reference, shape: Shape, text: str, path: str, *, default: str) -> datetime:
    form = reference.timestamp_format or shape.timestamp_format or default
    try:
        if form == "rfc822":
            time = parsedate_to_datetime(text)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        if form == "unixTimestamp":
            return datetime.fromtimestamp(float(text), UTC)
        return scalars.to_timestamp(text)
    except (ValueError, OverflowError, OSError):
        raise service.faults.ill_typed(path, text, "a time") from None


def _stamp(reference: Reference, shape: Shape, value: datetime | float, *, default: str) -> str | float:
    form = reference.timestamp_format or shape.timestamp_format or default
    time = value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
    if form == "rfc822":
        return format_datetime(time.astimezone(UTC).replace(microsecond=0), usegmt=True)
    if form == "unixTimestamp":
        return time.timestamp()
    return scalars.from_timestamp(time)


# -- documents that come -------------------------------------------------------------------------------------------


def from_document(service: ServiceModel, reference: Reference, body: bytes, path: str) -> Any:
    """Return the value of a document in a body; raises WireError."""
    if service.protocol == "rest-json":
        try:
            document = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise WireError("SerializationException", "The body is no JSON.") from error
        return _from_json(service, reference, document, path)
    try:
        root: Element = ElementTree.fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise WireError(
            "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"
        ) from error
    return _from_xml(service, reference, root, path)


def _from_json(service: ServiceModel, reference: Reference, value: Any, path: str) -> Any:
    shape = service.shapes[reference.shape]
    if shape.type in ("structure", "map"):
        if not isinstance(value, dict):
            raise service.faults.ill_typed(path, str(value), "an object")
        if shape.type == "map":
            inner = given(shape.value)
            items = {key: _from_json(service, inner, item, f"{path}.{key}") for key, item in value.items()}
            return limited(service, reference, items, path)
        names = {member.location_name or name: (name, member) for name, member in shape.members.items()}
        members = [(names[key], item) for key, item in value.items() if key in names and item is not None]
        values = {name: _from_json(service, member, item, f"{path}.{name}") for (name, member), item in members}
        return _checked(service, shape, values, path)
    if shape.type == "list":
        if not isinstance(value, list):
            raise service.faults.ill_typed(path, str(value), "a list")
        inner = given(shape.member)
        elements = [_from_json(service, inner, item, f"{path}.{number}") for number, item in enumerate(value, 1)]
        return limited(service, reference, elements, path)
    if shape.type == "timestamp" and isinstance(value, int | float) and not isinstance(value, bool):
        return _time(service, reference, shape, str(value), path, default="unixTimestamp")
    if shape.type in ("timestamp", "blob") and isinstance(value, str):
        return from_text(service, reference, value, path)
    kinds = _KINDS.get(shape.type, ())
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise service.faults.ill_typed(path, str(value), f"of the type {shape.type}")
    return limited(service, reference, value, path)


def _from_xml(service: ServiceModel, reference: Reference, element: Element, path: str) -> Any:
    shape = service.shapes[reference.shape]
    match shape.type:
        case "structure":
            return _checked(service, shape, _members(service, shape, element, path), path)
        case "list":
            member = given(shape.member)
            tag = member.location_name or "member"
            inner = (child for child in element if _local(child.tag) == tag)
            elements = [_from_xml(service, member, child, f"{path}.{number}") for number, child in enumerate(inner, 1)]
            return limited(service, reference, elements, path)
        case "map":
            entries = (child for child in element if _local(child.tag) == "entry")
            return limited(service, reference, _map(service, shape, entries, path), path)
        case _:
            return from_text(service, reference, element.text or "", path)


def _members(service: ServiceModel, shape: Shape, element: Element, path: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    children: dict[str, list[Element]] = {}
    for child in element:
        children.setdefault(_local(child.tag), []).append(child)
    attributes = {_local(name): value for name, value in element.attrib.items()}
    for name, reference in shape.members.items():
        inner = service.shapes[reference.shape]
        tag = service.output_name(name, reference)
        if reference.xml_attribute:
            value = attributes.get(tag.rpartition(":")[2])
            if value is not None:
                result[name] = from_text(service, reference, value, f"{path}.{name}")
            continue
        elements = children.get(tag)
        if elements is None:
            continue
        place = f"{path}.{name}" if path else name
        if service.flattened(reference):
            if inner.type == "map":
                several: Any = _map(service, inner, elements, place)
            else:
                member = given(inner.member)
                several = [_from_xml(service, member, child, place) for child in elements]
            result[name] = limited(service, reference, several, place)
        else:
            result[name] = _from_xml(service, reference, elements[0], place)
    return result


def _map(service: ServiceModel, shape: Shape, entries: Iterable[Element], path: str) -> dict[Any, Any]:
    key, value = given(shape.key), given(shape.value)
    result = {}
    for entry in entries:
        children = {_local(child.tag): child for child in entry}
        key_element = children.get(key.location_name or "key")
        value_element = children.get(value.location_name or "value")
        if key_element is None or value_element is None:
            raise service.faults.missing(f"{path}.{value.location_name or 'value'}")
        result[_from_xml(service, key, key_element, path)] = _from_xml(service, value, value_element, path)
    return result


def _checked(service: ServiceModel, shape: Shape, values: dict[str, Any], path: str) -> dict[str, Any]:
    for member in shape.required:
        if member not in values and shape.members[member].location is None and path:
            raise service.faults.missing(f"{path}.{member}")
    return values


# -- documents that go ---------------------------------------------------------------------------------------------


def to_json(service: ServiceModel, reference: Reference, value: Any) -> Any:
    """Return a value as JSON's types."""
    shape = service.shapes[reference.shape]
    match shape.type:
        case "structure":
            members = shape.members
            return {
                members[name].location_name or name: to_json(service, members[name], item)
                for name, item in value.items()
                if item is not None
            }
        case "list":
            member = given(shape.member)
            return [to_json(service, member, item) for item in value]
        case "map":
            inner = given(shape.value)
            return {key: to_json(service, inner, item) for key, item in value.items()}
        case "timestamp":
            return _stamp(reference, shape, value, default="unixTimestamp")
        case "blob":
            return scalars.from_blob(value)
        case _:
            return value


def to_xml(service: ServiceModel, reference: Reference, value: Any, tag: str, namespace: str = "") -> str:
    """Return the element `tag` of a value."""
    shape = service.shapes[reference.shape]
    attributes = f' xmlns="{namespace}"' if namespace else ""
    if shape.type == "structure":
        attributes += "".join(_attributes(service, shape, value))
    return f"<{tag}{attributes}>{_content(service, reference, shape, value)}</{tag}>"


def _attributes(service: ServiceModel, shape: Shape, value: Mapping[str, Any]) -> Iterable[str]:
    for name, reference in shape.members.items():
        if not reference.xml_attribute or value.get(name) is None:
            continue
        attribute = service.output_name(name, reference)
        space = next((each.xml_namespace for each in (reference, shape) if each.xml_namespace), None)
        if space is not None and space.prefix:
            yield f' xmlns:{space.prefix}="{space.uri}"'
        yield f' {attribute}="{scalars.from_string(str(value[name])).replace(chr(34), "&quot;")}"'


def _content(service: ServiceModel, reference: Reference, shape: Shape, value: Any) -> str:
    match shape.type:
        case "structure":
            return "".join(_elements(service, shape, value))
        case "list":
            member = given(shape.member)
            return "".join(to_xml(service, member, item, member.location_name or "member") for item in value)
        case "map":
            return "".join(f"<entry>{_entry(service, shape, *item)}</entry>" for item in value.items())
        case "timestamp":
            return scalars.from_string(str(_stamp(reference, shape, value, default="iso8601")))
        case _:
            return scalars.from_string(to_text(service, reference, value))


def _elements(service: ServiceModel, shape: Shape, value: Mapping[str, Any]) -> Iterable[str]:
    for name, item in value.items():
        reference = shape.members.get(name)
        if reference is None:
            raise ValueError(f"there is no member {name}")
        if item is None or reference.xml_attribute or reference.location is not None:
            continue
        inner, tag = service.shapes[reference.shape], service.output_name(name, reference)
        if not service.flattened(reference):
            yield to_xml(service, reference, item, tag)
        elif inner.type == "map":
            yield from (f"<{tag}>{_entry(service, inner, *entry)}</{tag}>" for entry in item.items())
        else:
            member = given(inner.member)
            yield from (to_xml(service, member, each, tag) for each in item)


def _entry(service: ServiceModel, shape: Shape, key: Any, value: Any) -> str:
    keys, values = given(shape.key), given(shape.value)
    key_element = to_xml(service, keys, key, keys.location_name or "key")
    return key_element + to_xml(service, values, value, values.location_name or "value")


@functools.cache
def _local(tag: str) -> str:
    return tag.rpartition("}")[2].rpartition(":")[2]
