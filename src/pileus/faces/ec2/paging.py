"""Pages of Describe actions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pileus.faces.ec2 import filters
from pileus.model import listing
from pileus.model.errors import InvalidValue

T = TypeVar("T")
Item = dict[str, Any]


def limit(args: dict[str, Any], least: int = 5, most: int = 1000) -> int | None:
    """How many items a page may have; None when the request does not say. More than `most` means `most`."""
    page_size: int | None = args.get("MaxResults")
    if page_size is None:
        return None
    if page_size < least:
        raise InvalidValue(
            f"Value ( {page_size} ) for parameter maxResults is invalid. Expecting a value greater than {least}.",
            reason="page-size",
        )
    return min(page_size, most)


def alone(args: dict[str, Any], ids: str, wire: str) -> None:
    """Refuse pages together with the list `ids`, which the client calls `wire`, as EC2 does."""
    if args.get(ids) and (args.get("MaxResults") is not None or args.get("NextToken")):
        raise InvalidValue(f"The parameter {wire} cannot be used with the parameter maxResults", reason="combination")


def paged(args: dict[str, Any], items: Sequence[T]) -> tuple[list[T], dict[str, str]]:
    """The items of the page that is asked for, and the members that continue the list; by their position."""
    numbered = list(enumerate(items, 1))
    page, token = listing.page(numbered, lambda pair: pair[0], listing.after(args.get("NextToken")), limit(args))
    return [item for _, item in page], {"NextToken": token} if token else {}


def listed(
    args: dict[str, Any],
    member: str,
    items: Iterable[Item],
    supported_filters: Mapping[str, filters.Values[Item]],
    tags: Callable[[Item], Mapping[str, str]] = filters.tags_of,
) -> dict[str, Any]:
    """The answer of a list: as `member` those of the rendered `items` that fit the request's filters, by pages."""
    keep = filters.compiled(args.get("Filters"), supported_filters, tags)
    page, more = paged(args, [item for item in items if keep is None or keep(item)])
    return {member: page, **more}
