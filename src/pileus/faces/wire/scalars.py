"""The text of one value on the wire, and the value: numbers, booleans, times, bytes.

`to_*` read a request's text and raise ValueError, which the caller turns into its protocol's words. `from_*`
write the text of an answer and raise TypeError or KeyError for a value of another type.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

ILLEGAL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""The characters that no XML 1.0 document can carry, escaped or not."""

_UNSAFE = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_BOOLEANS: dict[str, bool] = {"true": True, "false": False}
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def to_boolean(text: str) -> bool:
    """Read `true` or `false`, in any case (boto 2 and euca2ools write Python's)."""
    boolean = _BOOLEANS.get(text.lower())
    if boolean is None:
        raise ValueError("no boolean")
    return boolean


def to_integer(text: str) -> int:
    """Read a decimal integer of at most 19 digits."""
    if _INTEGER.fullmatch(text) is None:
        raise ValueError("no integer")
    return int(text)


def to_float(text: str) -> float:
    """Read a finite decimal number."""
    number = float(text) if text.isascii() else math.nan
    if not math.isfinite(number) or "_" in text:
        raise ValueError("no finite number")
    return number


def to_timestamp(text: str) -> datetime:
    """Read an ISO 8601 time; without a zone it is UTC. Returns UTC."""
    if _DATE.match(text) is None:
        raise ValueError("no time")
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time outside the years 1 to 9999") from None


def to_blob(text: str) -> bytes:
    """Read base64; line breaks and spaces are overlooked, because older clients wrap it."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        raise ValueError("no base64") from None


READERS: Final[dict[str, tuple[Callable[[str], Any], str]]] = {
    "boolean": (to_boolean, "true or false"),
    "integer": (to_integer, "an integer"),
    "long": (to_integer, "an integer"),
    "float": (to_float, "a number"),
    "double": (to_float, "a number"),
    "timestamp": (to_timestamp, "an ISO 8601 time"),
    "blob": (to_blob, "base64"),
}
"""The functions that read the types of a model, each with the words for what it reads."""


def from_string(text: str) -> str:
    """Escape text for XML content. Characters XML cannot carry become U+FFFD."""
    if _UNSAFE.search(text) is None:
        return text
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    return ILLEGAL.sub("\ufffd", safe)


from_boolean: Final[Callable[[bool], str]] = {True: "true", False: "false"}.__getitem__

from_integer: Final[Callable[[int], str]] = int.__repr__
"""Refuses anything but an integer, so that no text passes as a number unescaped."""


def from_float(number: float) -> str:
    """Write a number with as many digits as it needs."""
    return repr(number + 0.0)


def from_timestamp(time: datetime | float) -> str:
    """Write a time (aware, naive meaning UTC, or seconds since the epoch) as `2006-01-02T15:04:05.000Z`."""
    if not isinstance(time, datetime):
        time = datetime.fromtimestamp(time, UTC)
    elif time.tzinfo is not UTC:
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return time.isoformat(timespec="milliseconds")[:-6] + "Z"


def from_blob(data: bytes) -> str:
    """Write bytes as base64."""
    return base64.b64encode(data).decode("ascii")


unsafe: Final = _UNSAFE.search
"""Says whether `from_string` would change a text (None: it would not)."""
