"""Answers in pages: what a host holds and has removed may be more than one message of the bus can carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.bus import messages
from pileus.bus.messages import Report
from pileus.model import bounds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.bus.messages import Order, Removed

LARGEST = bounds.ANSWER_PAGE.most
"""Bytes of orders and removals in one page at most; a single order may be larger."""


def split(report: Report, orders: Mapping[str, Order], removed: Mapping[str, Removed]) -> list[Report]:
    """The pages of the answer `report` that has these orders and removals: at least one."""
    batches: list[list[tuple[str, Order | Removed]]] = [[]]
    items: list[tuple[str, Order | Removed]] = [*orders.items(), *removed.items()]
    size = 0
    for uuid, item in items:
        length = len(messages.encode(item)) + len(uuid)
        if size and size + length > LARGEST:
            batches.append([])
            size = 0
        batches[-1].append((uuid, item))
        size += length
    # Bodies and the host itself are described once.
    later = msgspec.structs.replace(report, bodies={}, unknown=())
    return [
        msgspec.structs.replace(
            later if index else report,
            orders={uuid: item for uuid, item in batch if isinstance(item, messages.Order)},
            removed={uuid: item for uuid, item in batch if isinstance(item, messages.Removed)},
            page=index,
            pages=len(batches),
        )
        for index, batch in enumerate(batches)
    ]


class Pages:
    """The pages of one host's answer that have come so far, in any order, some of them twice."""

    def __init__(self) -> None:
        self._sequence = (0, 0)
        self._pages: dict[int, Report] = {}

    def add(self, page: Report) -> Report | None:
        """Take a page in; the whole answer if it was the last that was missing. A later answer voids an earlier.

        One of more pages than hosts send is none.
        """
        sequence = (page.epoch, page.sequence)
        if sequence < self._sequence or not 0 <= page.page < page.pages <= bounds.ANSWER_PAGES.most:
            return None
        if sequence > self._sequence:
            self._sequence, self._pages = sequence, {}
        self._pages[page.page] = page
        if len(self._pages) < page.pages:
            return None
        orders: dict[str, Order] | None = None
        removed: dict[str, Removed] = {}
        for each in self._pages.values():
            removed |= each.removed
            orders = orders if each.orders is None else {**(orders or {}), **each.orders}
        return msgspec.structs.replace(self._pages[0], orders=orders, removed=removed, page=0, pages=1)
