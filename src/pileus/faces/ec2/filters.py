"""Filters of Describe actions: a name, and values of which one must fit, with * and ? for wildcards."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from pileus.model import listing
from pileus.model.errors import InvalidValue
from pileus.model.listing import matches

T = TypeVar("T")
Values = Callable[[T], Iterable[str]]
"""A function from an item to the texts under a filter's name: none, one or several."""

Keep = Callable[[T], bool]

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def none(_: object) -> Iterable[str]:
    """The values of a filter for something that no item here ever has."""
    return ()


def flag(*, value: bool) -> str:
    """A truth as filters write it."""
    return "true" if value else "false"


def compiled(
    filters: Iterable[Mapping[str, Any]] | None,
    supported_filters: Mapping[str, Values[T]],
    tags: Callable[[T], Mapping[str, str]],
) -> Keep[T] | None:
    """Return whether an item fits all of `filters` (of the model's shape FilterList); None when there are none.

    `supported_filters` are those of the action, by name; `tag:KEY` and `tag-key` look at `tags`. Raises InvalidValue.
    """
    tests: list[tuple[Values[T], frozenset[str], tuple[str, ...]]] = []
    listing.check([each.get("Values", ()) for each in filters or ()])
    for each in filters or ():
        name, values = each.get("Name", ""), each.get("Values", ())
        values_of = _values(name, supported_filters, tags)
        if not values:
            raise InvalidValue(f"The filter '{name}' needs at least one value", ident=name, reason="filter")
        plain = frozenset(value for value in values if not listing.is_pattern(value))
        tests.append((values_of, plain, tuple(value for value in values if value not in plain)))
    if not tests:
        return None

    def keep(item: T) -> bool:
        for values_of, plain, patterns in tests:
            values = values_of(item)
            if plain.isdisjoint(values) and not (patterns and matches(values, patterns)):
                return False
        return True

    return keep


def _values(name: str, supported_filters: Mapping[str, Values[T]], tags: Callable[[T], Mapping[str, str]]) -> Values[T]:
    if name in supported_filters:
        return supported_filters[name]
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")

        def of_tag(item: T) -> Iterable[str]:
            value = tags(item).get(key)
            return () if value is None else (value,)

        return of_tag
    if name == "tag-key":
        return tags
    if name == "tag-value":
        return lambda item: tags(item).values()
    raise InvalidValue(f"The filter '{name or 'null'}' is invalid", ident=name, reason="filter")


def of_members(
    *members: str, others: Mapping[str, str] = MappingProxyType({}), absent: Iterable[str] = ()
) -> dict[str, Values[dict[str, Any]]]:
    """Filters of rendered items: each looks at a member, a path with dots; a list on the way means any of its elements.

    `EbsInfo.NvmeSupport` has the filter `ebs-info.nvme-support`; `others` are members by other filters' names. The
    filters `absent` are for what no item here ever has.
    """
    paths = {_WORD_START.sub("-", path).lower(): path for path in members} | dict(others)
    return {**{name: _member(path) for name, path in paths.items()}, **dict.fromkeys(absent, none)}


def _member(path: str) -> Values[dict[str, Any]]:
    parts = path.split(".")

    def values(item: dict[str, Any]) -> Iterable[str]:
        return [_text(value) for value in reached(item, parts)]

    return values


def reached(value: Any, parts: list[str]) -> list[Any]:
    """Return the values at the path `parts` of nested members; a list on the way means each of its elements."""
    for position, part in enumerate(parts):
        if isinstance(value, list):
            return [leaf for element in value for leaf in reached(element, parts[position:])]
        value = value.get(part)
        if value is None:
            return []
    return value if isinstance(value, list) else [value]


def _text(value: object) -> str:
    return flag(value=value) if isinstance(value, bool) else str(value)


def tags_of(item: Mapping[str, Any], member: str = "Tags") -> dict[str, str]:
    """The tags of a rendered item, by key."""
    return {tag["Key"]: tag["Value"] for tag in item.get(member, ())}
