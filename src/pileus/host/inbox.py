"""Orders that a host has received and not yet taken: at most one of each noun, and projects take turns."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pileus.model import bounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.bus.messages import Order


class Inbox:
    """Waiting orders by project and noun; `project_of` names the project in whose turn an order is taken.

    A newer order of a noun replaces the waiting one and keeps its place: each order says all that is wanted of its
    noun. An order that is replaced or dropped is sent again by the cloud until a report answers it. Any thread may
    call any method.
    """

    def __init__(self, project_of: Callable[[Order], str], most: int = bounds.HOST_ORDERS.most) -> None:
        self._project_of = project_of
        self._most = most
        self._changed = threading.Condition()
        self._projects: dict[str, str] = {}
        self._waiting: dict[str, dict[str, Order]] = {}
        self._closed = False

    def __len__(self) -> int:
        """How many orders wait."""
        return len(self._projects)

    def put(self, order: Order) -> bool:
        """Have an order wait for its turn; False if a newer one waits, or too many do. Never waits, never raises."""
        with self._changed:
            project = self._projects.get(order.uuid)
            if project is not None:
                if order.revision < self._waiting[project][order.uuid].revision:
                    return False
            elif len(self._projects) >= self._most:
                return False
            else:
                project = self._projects[order.uuid] = self._project_of(order)
            self._waiting.setdefault(project, {})[order.uuid] = order
            self._changed.notify()
            return True

    def pop(self) -> Order | None:
        """The order that has waited longest in the project whose turn it is; None where no order waits."""
        with self._changed:
            project = next(iter(self._waiting), None)
            if project is None:
                return None
            orders = self._waiting.pop(project)
            uuid = next(iter(orders))
            order = orders.pop(uuid)
            del self._projects[uuid]
            if orders:
                self._waiting[project] = orders  # behind all other projects
            return order

    def wait(self, seconds: float) -> bool:
        """Wait for an order, `seconds` at most, and not at all after `close`; whether one waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, seconds)
            return bool(self._waiting)

    def close(self) -> None:
        """End every wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
