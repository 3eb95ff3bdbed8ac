"""Closings: the hosts because of which the open store was closed, so that one host cannot keep it closed for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

BARRED = 600.0
"""Seconds for which a host that has not answered since it closed the store is left out, and does not close it again."""


class Closings:
    """The hosts that have closed the store and have not answered since, each with the incarnation that followed."""

    def __init__(self) -> None:
        self._closings: dict[str, tuple[float, int]] = {}

    def closed(self, hosts: Iterable[str], incarnation: int, now: float) -> None:
        """The store was closed because of these hosts, and is in this incarnation since."""
        self._closings |= dict.fromkeys(hosts, (now, incarnation))

    def answered(self, hosts: Iterable[str]) -> None:
        """These hosts were compared: each may close the store once more."""
        for host in hosts:
            self._closings.pop(host, None)

    def barred(self, host: str, incarnation: int, now: float) -> bool:
        """Whether a host may not close the store, which is in `incarnation`, at the moment.

        A store in an earlier incarnation than followed the closing is another: it was put in the place of that one.
        """
        at, since = self._closings.get(host, (0.0, 0))
        return host in self._closings and now - at < BARRED and incarnation >= since
