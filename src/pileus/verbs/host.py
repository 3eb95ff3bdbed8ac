"""Hosts, as their operators have them: drained, in maintenance, removed, let in again; and how each is now."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Conflict, Forbidden, InvalidValue, NotFound
from pileus.model.host import Condition, Host, alive, condition, heard_lately, room
from pileus.model.ids import new_uuid
from pileus.model.image import on_host
from pileus.model.placement import RESOURCES
from pileus.model.traits import given
from pileus.verbs import find

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pileus.model.caller import Caller
    from pileus.model.host import Duty, Overcommit
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer
    from pileus.verbs.core import Core

JOINED = "joined"
"""The pool of the tokens that let a host in: of two that come at the same moment one host gets it."""

REMOVED = "removed"
"""The pool of the names of hosts that were removed: nothing that they say is listened to."""

_TURNS: dict[Duty, str] = {"active": "host.activate", "drained": "host.drain", "maintenance": "host.maintenance"}


class HostView(msgspec.Struct, frozen=True, kw_only=True):
    """A host, how it is, how many instances it holds, and what is used of what may be given away (None: no bound)."""

    host: Host
    condition: Condition
    instances: int
    used: dict[str, int]
    room: dict[str, int | None]


def turn(caller: Caller, core: Core, ident: str, state: Duty) -> Host:
    """Have a host take new instances, or none; those that it has run on. The same state again changes nothing.

    Instances are not moved away: their disks are their host's own. Raises Forbidden, NotFound.
    """
    with core.store.write() as tx:
        host = _one(caller, tx, ident)
        if host.wanted.state == state:
            return host
        host = tx.want(host, msgspec.structs.replace(host.wanted, state=state))
        tx.record(caller, host, _TURNS[state], goal=host.generation, outcome="done")
        return host


def give(caller: Caller, core: Core, ident: str, ratios: Overcommit) -> Host:
    """Give a host its own ratios of overcommit; those that are None are the cloud's. Nothing that runs is affected.

    Raises Forbidden, NotFound, InvalidValue for a ratio that is not above 0.
    """
    for name in RESOURCES:
        ratio = getattr(ratios, name)
        if ratio is not None and not 0 < ratio <= 1000:
            raise InvalidValue(f"'{ratio}' is no ratio of {name}: above 0, at most 1000.", noun="host", reason="ratio")
    with core.store.write() as tx:
        host = _one(caller, tx, ident)
        host = tx.want(host, msgspec.structs.replace(host.wanted, overcommit=ratios))
        tx.record(caller, host, "host.overcommit", goal=host.generation, outcome="done")
        return host


def mark(caller: Caller, core: Core, ident: str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Host:
    """Give a host traits, or take them from it: where flavors that demand them go from now on. Instances run on.

    Raises Forbidden, NotFound, InvalidValue for words that are no traits, or that hosts alone can say of themselves.
    """
    with core.store.write() as tx:
        host = _one(caller, tx, ident)
        traits = given(host.wanted.traits, add, remove)
        if traits == host.wanted.traits:
            return host
        host = tx.want(host, msgspec.structs.replace(host.wanted, traits=traits))
        tx.record(caller, host, "host.traits", goal=host.generation, outcome="done", detail=" ".join(traits))
        return host


def remove(caller: Caller, core: Core, ident: str, *, forget: bool = False) -> Host:
    """Take a host that holds nothing out of the cloud; what it says from then on is not listened to.

    With `forget` one that is lost, whatever it holds: its instances keep their rows, addresses and place, for their
    bodies may still run there. They are faulted until the host is let in again, and are made nowhere else.
    Raises Forbidden, NotFound, Conflict.
    """
    with core.store.write() as tx:
        host = _one(caller, tx, ident)
        scope = f"host:{host.name}"
        if forget:
            if alive(host, tx.now):
                text = f"The host '{host.name}' is heard of: end its instances, or stop it, before it is forgotten."
                raise Conflict(text, noun="host", ident=host.name, reason="alive")
        else:
            tx.close_usage(scope)
        instance_count = len(tx.taken(scope))
        capture_count = len(tx.taken(on_host(host.name)))
        if capture_count and not instance_count and not forget:
            text = f"The host '{host.name}' has captures that the cloud has not got yet: {capture_count}."
            raise Conflict(text, noun="host", ident=host.name, reason="in-use")
        if instance_count and not forget:
            raise Conflict(
                f"The host '{host.name}' holds {instance_count} instance{'' if instance_count == 1 else 's'}: "
                "terminate them first, or, if the host is lost for good, forget it.",
                noun="host",
                ident=host.name,
                reason="in-use",
            )
        host = tx.want(host, msgspec.structs.replace(host.wanted, gone=True))
        tx.bury(host)
        tx.claim(REMOVED, host.name, host)
        tx.record(
            caller,
            host,
            "host.remove",
            outcome="done",
            detail=f"forgotten with {instance_count}" if instance_count else "",
        )
        return host


def admit(caller: Caller, core: Core, name: str) -> None:
    """Let a removed host in again, as it was when it was removed: its instances are as it says in its next report.

    Its certificates are good again. One that has none, on the cloud's own machine, is known from its next report on.
    Raises Forbidden, NotFound when no host of that name was removed.
    """
    _administrator(caller)
    with core.store.write() as tx:
        holder = tx.claimed(REMOVED, name)
        if holder is None or not let_in(tx, name):
            raise NotFound(f"No host '{name}' was removed.", noun="host", ident=name)
        removed = tx.get(Host, holder[1])
        if removed is not None and removed.wanted.certificates:
            wanted = msgspec.structs.replace(removed.wanted, gone=False)
            host = tx.add(Host(uuid=new_uuid(), name=name, wanted=wanted))
            tx.record(caller, host, "host.admit", goal=host.generation, outcome="done")


def let_in(tx: Writer, name: str) -> bool:
    """The same in a transaction of the caller's, as for a host that joins; False when it was not removed."""
    removed = tx.claimed(REMOVED, name)
    if removed is not None:
        tx.unclaim(REMOVED, name, removed[1])
        # Until it reports, perhaps long after its tombstone has gone, nothing else tells that it was here.
        tx.keep_meta(_let_in(name), 1)
    return removed is not None


def known(tx: Reader, name: str) -> bool:
    """Whether the store knows a host, or has known one that it may hear of again."""
    return bool(tx.claimed("host", name) or tx.claimed(REMOVED, name) or tx.meta(_let_in(name)))


def _let_in(name: str) -> str:
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


def _one(caller: Caller, tx: Reader, ident: str) -> Host:
    _administrator(caller)
    return find.by_any(caller, tx, Host, ident)


def _administrator(caller: Caller) -> None:
    if not caller.admin:
        raise Forbidden("Only an administrator looks after hosts.", noun="host")
