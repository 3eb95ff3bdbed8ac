"""The forms of a document on the wire, and which of them a request asks for."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from pileus.faces.wire import scalars
from pileus.faces.wire.xml import DECLARATION

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_QUALITY = re.compile(r"\s*q\s*=\s*0(?:\.0{0,3})?\s*", re.ASCII)


class Media(NamedTuple):
    """A form of documents: its suffix in paths, its media type, and how a document is written."""

    suffix: str
    type: str
    encode: Callable[[Any], bytes]


JSON = Media("json", "application/json", msgspec.json.encode)


def xml(root: str = "response", item: str = "item", namespace: str = "") -> Media:
    """Return XML for documents: an element for each field, `item` for each element of a list, nothing for null.

    A name that XML cannot have is the attribute `key` of an element `entry`.
    """
    return Media("xml", "application/xml", functools.partial(_encode, root, item, namespace))


def _encode(root: str, item: str, namespace: str, document: object) -> bytes:
    inner = _element(msgspec.to_builtins(document), item)
    attribute = f' xmlns="{scalars.from_string(namespace)}"' if namespace else ""
    return f"{DECLARATION}<{root}{attribute}>{inner}</{root}>".encode()


def _element(value: object, item: str) -> str:
    if isinstance(value, dict):
        return "".join(_field(str(name), child, item) for name, child in value.items() if child is not None)
    if isinstance(value, list):
        return "".join(f"<{item}>{_element(child, item)}</{item}>" for child in value)
    if isinstance(value, bool):
        return scalars.from_boolean(value)
    return "" if value is None else scalars.from_string(str(value))


def _field(name: str, value: object, item: str) -> str:
    inner = _element(value, item)
    if _NAME.fullmatch(name):
        return f"<{name}>{inner}</{name}>"
    key = scalars.from_string(name).replace('"', "&quot;")
    return f'<entry key="{key}">{inner}</entry>'


def suffixed(path: str, medias: Sequence[Media]) -> tuple[str, Media | None]:
    """Return a path without the suffix of one of the forms, and that form; None where the path has none."""
    for media in medias:
        if path.endswith(f".{media.suffix}"):
            return path.removesuffix(f".{media.suffix}"), media
    return path, None


def accepted(accept: str, medias: Sequence[Media]) -> Media:
    """Return the first form that an Accept header names; the first of all where it names none of them."""
    for part in accept.split(","):
        kind, *parameters = part.split(";")
        if any(map(_QUALITY.fullmatch, parameters)):
            continue
        for media in medias:
            if kind.strip().lower() in (media.type, f"text/{media.suffix}"):
                return media
    return medias[0]
