"""Hosts as verbs, loops and faces see them."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

import msgspec

from pileus.model.host import Condition, Host, condition, heard_lately, room
from pileus.model.placement import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


JOINED = "joined"
"""The pool of the tokens by which hosts joined: of two hosts that show a token at the same moment one gets it."""

REMOVED = "removed"
"""The pool of the names of hosts that were removed: nothing that they say is listened to."""


class HostView(msgspec.Struct, frozen=True, kw_only=True):
    """A host, how it is, how many instances it holds, and what is used of what may be given away (None: no bound)."""

    host: Host
    condition: Condition
    instances: int
    used: dict[str, int]
    room: dict[str, int | None]


def readmit(tx: Writer, name: str) -> bool:
    """Readmit the removed host `name` within this transaction; False when it was not removed."""
    removed = tx.claimed(REMOVED, name)
    if removed is not None:
        tx.unclaim(REMOVED, name, removed[1])
        # Until it reports, perhaps long after its tombstone has gone, nothing else tells that it was here.
        tx.keep_meta(_readmitted(name), 1)
    return removed is not None


def known(tx: Reader, name: str) -> bool:
    """Whether the store knows a host, or has known one that it may hear of again."""
    return bool(tx.claimed("host", name) or tx.claimed(REMOVED, name) or tx.meta(_readmitted(name)))


def _readmitted(name: str) -> str:
    return f"in {hashlib.sha256(name.encode()).hexdigest()[:24]}"


def views_of(tx: Reader, core: Core, hosts: Sequence[Host]) -> list[HostView]:
    """Join hosts with what is shown of them; two queries for all."""
    used = tx.usage_by_scope("host:", RESOURCES)
    instance_counts = tx.claim_counts([f"host:{host.name}" for host in hosts])
    now = core.store.now()
    return [
        HostView(
            host=host,
            condition=condition(host, now),
            instances=instance_counts.get(f"host:{host.name}", 0),
            used=dict(zip(RESOURCES, used.get(f"host:{host.name}", (0, 0, 0)), strict=True)),
            room=room(host.wanted, host.seen.capacity, core.policy.overcommit),
        )
        for host in hosts
    ]


class Heard:
    """When each host was heard of last, in one snapshot: what an instance's own state does not say."""

    def __init__(self, tx: Reader, now: float) -> None:
        self._now = now
        self._at: dict[str, float] = {}
        for _, name, _, seen in tx.texts(Host):
            with contextlib.suppress(msgspec.MsgspecError):  # a damaged row is no host that was heard
                self._at[name] = _SAID.decode(seen).heard

    def lost(self, name: str | None) -> bool:
        """Whether nothing is known of how the bodies on this host are; no host at all is no loss."""
        return name is not None and not (name in self._at and heard_lately(self._at[name], self._now))

    def since(self, name: str | None) -> float | None:
        """When it was heard last, None for one that was removed."""
        return self._at.get(name or "")


class _Said(msgspec.Struct):
    heard: float = 0.0


_SAID = msgspec.json.Decoder(_Said)
