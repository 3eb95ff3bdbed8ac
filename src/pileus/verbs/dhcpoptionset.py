"""DHCP option sets: made, given to routers, and deleted when no router uses them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from pileus.model import addresses, bounds
from pileus.model.dhcpoptionset import RESOLVER, DhcpOptionSet, Wanted
from pileus.model.errors import Conflict, InvalidValue
from pileus.model.ids import new_uuid
from pileus.model.network import Network
from pileus.model.router import Router
from pileus.rules import find
from pileus.rules.rights import requires
from pileus.rules.routetable import wake_router

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.rules.core import Core

_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAINS = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?( {_LABEL}(\.{_LABEL})*\.?)*")
"""One domain name, or several with spaces between, as some guests understand."""


@requires("member")
def create(caller: Caller, core: Core, options: Wanted, tags: Mapping[str, str] | None = None) -> DhcpOptionSet:
    """Make a set of these options. Raises InvalidValue for none, and for one that no guest can be told."""
    _check(options)
    with core.store.write() as tx:
        option_set = DhcpOptionSet(uuid=new_uuid(), project=caller.project, tags=dict(tags or {}), wanted=options)
        option_set = tx.add(option_set)
        tx.add_journal_line(caller, option_set, "dhcpoptionset.create", outcome="done")
        return option_set


def _check(options: Wanted) -> None:
    if options == Wanted():
        raise InvalidValue("A DHCP option set needs an option.", noun=DhcpOptionSet.KIND, reason="missing")
    if options.domain and (not _DOMAINS.fullmatch(options.domain) or len(options.domain) > bounds.NAME.most):
        text = f"'{options.domain[:40]}' is no domain name."
        raise InvalidValue(text, noun=DhcpOptionSet.KIND, ident=options.domain[:40], reason="option")
    for servers in (options.servers, options.ntp, options.netbios):
        if len(servers) > bounds.DHCP_SERVERS.most:
            text = f"A DHCP option has at most {bounds.DHCP_SERVERS.most} servers."
            raise InvalidValue(text, noun=DhcpOptionSet.KIND, reason="option")
        for server in servers:
            if not addresses.valid(server) and not (server == RESOLVER and servers is options.servers):
                text = f"'{server[:40]}' is no IPv4 address."
                raise InvalidValue(text, noun=DhcpOptionSet.KIND, ident=server[:40], reason="option")


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a set. Raises Conflict while a router uses it."""
    with core.store.write() as tx:
        option_set = find.living(caller, tx, DhcpOptionSet, uuid)
        tx.lock(option_set)
        if tx.referrers(uuid):
            text = f"The {option_set.label} has dependencies and cannot be deleted."
            raise Conflict(text, noun=DhcpOptionSet.KIND, ident=uuid, reason="in-use")
        option_set = tx.want_gone(option_set)
        tx.make_tombstone(option_set)
        tx.add_journal_line(caller, option_set, "dhcpoptionset.delete", outcome="done")


@requires("member")
def associate(caller: Caller, core: Core, uuid: str | None, router: str) -> None:
    """Have the guests of a router (by uuid) configured by a set, or by the cloud's own for None."""
    with core.store.write() as tx:
        on = find.living(caller, tx, Router, router)
        if uuid is not None:
            tx.lock(find.living(caller, tx, DhcpOptionSet, uuid))
        on = tx.want(on, msgspec.structs.replace(on.wanted, dhcpoptionset=uuid))
        tx.add_journal_line(caller, on, "router.modify", outcome="done")
        wake_router(tx, on.uuid)
        tx.wake_all(Network.KIND, [network.uuid for network in tx.referring(Network, [on.uuid])])


@requires("reader")
def listing(caller: Caller, core: Core) -> list[DhcpOptionSet]:
    """The project's sets."""
    with core.store.read() as tx:
        return tx.list(DhcpOptionSet, project=caller.project)
