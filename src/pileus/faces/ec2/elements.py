"""Elements of lists as XML, kept by the process for as long as what they show is the same.

An element is kept with its *basis*: all that it is made of. It is used again where the basis of the next list's element
equals that, so that it is what would be made anew. A list without filters and pages keeps its elements.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from pileus.faces.ec2 import filters, paging
from pileus.faces.wire import xml
from pileus.faces.wire.model import ServiceModel
from pileus.model.noun import Noun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pileus.faces.ec2.call import Call

V = TypeVar("V", bound=msgspec.Struct)
_CHOOSING = frozenset({"Filters", "MaxResults", "NextToken"})
"""The parameters that need the members of elements, or show some of them."""


class RenderedElement(NamedTuple):
    """An element of a list: the noun that it shows, what it is made of, and its XML."""

    uuid: str
    basis: tuple[object, ...]
    text: xml.Rendered


def listed(
    call: Call,
    member: str,
    shape: str,
    views: Sequence[V],
    item: Callable[[Call, V], dict[str, Any]],
    supported_filters: Mapping[str, filters.Values[dict[str, Any]]],
    tags: Callable[[dict[str, Any]], Mapping[str, str]] = filters.tags_of,
) -> dict[str, Any]:
    """The answer of a list, as `paging.listed` has it, of views that `item` renders as the model's `shape`.

    `item` may read of the call the caller's account and project and the core's place alone. A view is a noun, or its
    first field is one, or is such a view.
    """
    if _CHOOSING & call.args.keys():
        items = [item(call, view) for view in views]
        return paging.listed(call.args, member, items, supported_filters, tags)
    return {member: rendered(call, member, shape, views, item)}


def rendered(
    call: Call, member: str, shape: str, views: Sequence[V], item: Callable[[Call, V], dict[str, Any]]
) -> list[xml.Rendered]:
    """The elements of a list, of views as `listed` has them, which were chosen before."""
    with call.core.store.read() as tx:
        lists = tx.lists(call.caller.project)
    if lists is None:
        return [xml.rendered(_service(), shape, item(call, view)) for view in views]
    name = f"{member}:{shape}"
    earlier: list[RenderedElement] = lists.lists.get(name) or lists.earlier.get(name, [])
    by_uuid = {element.uuid: element for element in earlier}
    place, account = call.core.place, call.caller.account_id
    elements = []
    for view in views:
        uuid, basis = _uuid(view), (view, place, account)
        element = by_uuid.get(uuid)
        if element is None or element.basis != basis:
            element = RenderedElement(uuid, basis, xml.rendered(_service(), shape, item(call, view)))
        elements.append(element)
    if len(elements) >= len(earlier) or not call.args:
        lists.put(name, elements)
    return [element.text for element in elements]


def _uuid(view: Any) -> str:
    while not isinstance(view, Noun):
        view = getattr(view, view.__struct_fields__[0])
    return str(view.uuid)


@functools.cache
def _service() -> ServiceModel:
    return ServiceModel.load("ec2")
