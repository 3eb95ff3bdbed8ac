"""Links between routers: a number for each active peering, from which its addresses follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.errors import NoCapacity
from pileus.model.peering import LINKS_MOST, Peering

if TYPE_CHECKING:
    from pileus.store.reader import Reader


def free_link(tx: Reader) -> int:
    """The lowest number that no link has. Raises NoCapacity."""
    claimed_links = tx.taken("peering-link")
    link = next((number for number in range(1, LINKS_MOST) if str(number) not in claimed_links), 0)
    if not link:
        raise NoCapacity("Every link of this cloud is in use.", noun=Peering.KIND, reason="link")
    return link
