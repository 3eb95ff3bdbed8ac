"""Changing what is wanted of an instance besides its power: groups, protection, user data, flavor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from pileus.model import sizes
from pileus.model.errors import Conflict, InvalidValue
from pileus.model.instance import Instance, State, state
from pileus.model.port import Port
from pileus.model.securitygroup import SecurityGroup
from pileus.model.sizes import Base64, Hops, Ident, Idents
from pileus.rules import find, securitygroup
from pileus.rules import port as port_rules
from pileus.rules.instance.resize import resized
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The changes to an instance; None leaves a part as it is. `flavor` is a name.

    `groups` are uuids, which replace the only port's; `forwards` is that port's.
    """

    groups: Idents | None = None
    forwards: bool | None = None
    protected: bool | None = None
    on_shutdown: Literal["stop", "terminate"] | None = None
    user_data: Base64 | None = None
    flavor: Ident | None = None
    metadata_v2_only: bool | None = None
    metadata_enabled: bool | None = None
    metadata_tags: bool | None = None
    metadata_hops: Hops | None = None
    metadata_ipv6: bool | None = None


_PLAIN = (
    *("protected", "on_shutdown", "user_data"),
    *("metadata_v2_only", "metadata_enabled", "metadata_tags", "metadata_hops", "metadata_ipv6"),
)
"""The changes that are written as they are."""


@requires("member")
def modify(caller: Caller, core: Core, uuid: str, change: Change) -> Instance:
    """Change an instance in one transaction. User data only while it is stopped.

    So is a machine's flavor. Raises InvalidValue, NotFound, Conflict, QuotaExceeded, Nowhere.
    """
    if change.user_data is not None:
        sizes.check_user_data(change.user_data)
    sizes.check(change)
    with core.store.write() as tx:
        row = find.known(caller, tx, Instance, [uuid], dead=True)[0]
        now = state(row)
        if now in (State.TERMINATED, State.SHUTTING_DOWN):
            raise _wrong_state(row, now)
        if change.user_data is not None and now is not State.STOPPED:
            raise _wrong_state(row, now)
        if change.groups is not None or change.forwards is not None:
            _change_port(caller, tx, row, change)
        flavor = row.wanted.flavor
        if change.flavor is not None:
            row = resized(core, tx, row, change.flavor)
        if row.wanted.flavor != flavor:
            # What a port may send is by the flavor.
            for port in tx.referring(Port, [row.uuid]):
                tx.wake(port)
        fields = {name: getattr(change, name) for name in _PLAIN}
        wanted = msgspec.structs.replace(row.wanted, **{k: v for k, v in fields.items() if v is not None})
        row = tx.want(row, wanted)
        tx.add_journal_line(caller, row, "instance.modify", outcome="done")
        tx.wake(row)
        return row


def _wrong_state(row: Instance, now: State) -> Conflict:
    text = f"The {row.label} is not in a state in which this may be changed (it is {now})."
    return Conflict(text, noun="instance", ident=row.uuid, reason="state")


def _change_port(caller: Caller, tx: Writer, row: Instance, change: Change) -> None:
    """Put the instance's only port into exactly these groups of its router, or say whether it forwards."""
    port = port_rules.only(tx, row)
    wanted = port.wanted
    if change.forwards is not None:
        wanted = msgspec.structs.replace(wanted, forwards=change.forwards)
    if change.groups is not None:
        if not change.groups:
            raise InvalidValue("An interface is in at least one security group.", noun="port", reason="groups")
        groups = find.known(caller, tx, SecurityGroup, change.groups)
        securitygroup.within(groups, port_rules.router_of(tx, port), "instance")
        wanted = msgspec.structs.replace(wanted, groups=tuple(group.uuid for group in groups))
    changed = tx.want(port, wanted)
    tx.add_journal_line(caller, changed, "port.modify", goal=changed.generation)
    tx.wake(changed)
