"""Rights after a recovery: users, keys, grants and projects are as in the copy until an administrator confirms them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.user import User

if TYPE_CHECKING:
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

UNCONFIRMED = "rights unconfirmed"
"""The number in the store's `meta`: the second of the copy's newest journal line; 0 once the rights are confirmed."""


def recovered(tx: Writer) -> None:
    """Note that the rights are those of a copy: no host holds what was revoked since. A store without users has none.

    Of several recoveries without a confirmation between them, the oldest copy counts.
    """
    if tx.meta(UNCONFIRMED) or not tx.list(User):
        return
    lines = tx.journal(limit=1)
    tx.keep_meta(UNCONFIRMED, max(1, *(int(line.at) for line in lines)) if lines else 1)


def unconfirmed(tx: Reader) -> int:
    """The second since which changes of rights may be lost, from the epoch; 0 where the rights are confirmed."""
    return tx.meta(UNCONFIRMED)


def confirm(tx: Writer) -> None:
    """Take the rights as they are for the wanted ones."""
    tx.keep_meta(UNCONFIRMED, 0)
