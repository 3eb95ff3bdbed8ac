"""Filters and pages, the same for every face: values with wildcards, and tokens that continue a list."""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from pileus.model import bounds
from pileus.model.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")

_DIGITS = 19
"""An id with fewer decimal digits than these fits into 63 bits."""


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    """EC2's wildcards: * any run, ? one character, a backslash takes the next one literally."""
    runs, i = [""], 0
    while i < len(text):
        char = text[i]
        if char == "\\" and i + 1 < len(text):
            i += 1
            runs[-1] += re.escape(text[i])
        elif char == "*":
            runs.append("")
        else:
            runs[-1] += "." if char == "?" else re.escape(char)
        i += 1
    first, *others = runs
    # What stands between two stars is matched where it comes first and never again elsewhere (an atomic group):
    # with plain .* five stars and a long value take minutes.
    middle = "".join(f"(?>.*?{run})" for run in others[:-1] if run)
    return re.compile(first + middle + (f".*{others[-1]}" if others else ""), re.DOTALL)


def is_pattern(text: str) -> bool:
    """Whether a filter's value has wildcards, or takes one literally."""
    return any(sign in text for sign in "*?\\")


def check(filters: Sequence[Sequence[str]]) -> None:
    """Whether a request may have these filters, each a list of values: their number, their lengths, what they cost.

    Raises InvalidValue.
    """
    values = [value for each in filters for value in each]
    if len(filters) > bounds.FILTERS.most:
        text = f"The maximum number of filters specified on a single call is {bounds.FILTERS.most}"
        raise InvalidValue(text, reason="filter-limit")
    if len(values) > bounds.FILTER_VALUES.most:
        text = f"The maximum number of filter values specified on a single call is {bounds.FILTER_VALUES.most}"
        raise InvalidValue(text, reason="filter-limit")
    if any(len(value) > bounds.FILTER_VALUE.most for value in values):
        raise InvalidValue(f"A filter's value has at most {bounds.FILTER_VALUE.most} characters", reason="filter")
    # One pattern takes up to the product of its length and the value's: some microseconds a character.
    if sum(len(value) for value in values if is_pattern(value)) > bounds.FILTER_PATTERNS.most:
        text = f"Filter values with wildcards have at most {bounds.FILTER_PATTERNS.most} characters on a single call"
        raise InvalidValue(text, reason="filter-limit")


def matches(values: Iterable[str], patterns: Iterable[str]) -> bool:
    """Whether any of `values` fits any of `patterns` (as EC2 filters do: case counts, the whole value must fit)."""
    candidates = list(values)
    return any(_pattern(pattern).fullmatch(value) for pattern in patterns for value in candidates)


def token(after: int) -> str:
    """Return the token that continues a list behind the row with id `after`."""
    return base64.urlsafe_b64encode(f"pileus/{after}".encode()).decode()


def after(text: str | None) -> int:
    """The inverse of `token`, 0 for none; InvalidValue for anything that `token` did not make."""
    if not text:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(text.encode()).decode().partition("/")
        if word == "pileus" and number.isdecimal() and len(number) < _DIGITS:
            return int(number)
    except (binascii.Error, ValueError):
        pass
    raise _no_token(text)


def change_token(changed: float, ident: int) -> str:
    """Return the token that continues a list of changes behind the row with this time and id."""
    return base64.urlsafe_b64encode(f"pileus/{changed!r}/{ident}".encode()).decode()


def after_change(text: str | None, since: float) -> tuple[float, int]:
    """The inverse of `change_token`; without a token, the beginning of a list of changes from `since` on.

    Raises InvalidValue.
    """
    if not text:
        return since, 0
    try:
        word, moment, number = base64.urlsafe_b64decode(text.encode()).decode().split("/")
        seconds = float(moment)
        if word == "pileus" and number.isdecimal() and len(number) < _DIGITS and seconds >= since:
            return seconds, int(number)
    except (binascii.Error, ValueError):
        pass
    raise _no_token(text)


def _no_token(text: str) -> InvalidValue:
    return InvalidValue(
        "The pagination token is not valid; use the one that the last answer gave.",
        ident=text,
        reason="pagination-token",
    )


def page(items: Sequence[T], key: Callable[[T], int], start: int, limit: int | None) -> tuple[list[T], str | None]:
    """The items behind `start`, at most `limit`, and the token for the rest; `items` ascend in `key`."""
    rest = [item for item in items if key(item) > start]
    if limit is None or len(rest) <= limit:
        return rest, None
    return rest[:limit], token(key(rest[limit - 1]))
