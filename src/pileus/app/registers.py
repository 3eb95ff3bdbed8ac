"""Where hosts of other machines are known beside the store, as far as a process of the cloud can reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from pileus.app.settings import Settings

if TYPE_CHECKING:
    from pileus.bus.rabbitmq import Accounts
    from pileus.loops.admission import Register


def registers(settings: Settings, provider: str, *, loops: bool) -> list[Register]:
    """All of them; the network engine's is looked after by who runs `loops`."""
    host_registers: list[Register] = []
    accounts = accounts_of(settings)
    if accounts is not None:
        host_registers.append(accounts)
    if loops and provider != "stub" and settings.northbound:
        from pileus.providers.local.network.chassis import Chassis  # noqa: PLC0415  (a stub has no network engine)

        host_registers.append(Chassis(settings.northbound))
    return host_registers


def accounts_of(settings: Settings) -> Accounts | None:
    """Where hosts are let in at the broker, by their certificates alone; None: the operator does that."""
    if not settings.broker_admin:
        return None
    from pileus.bus.rabbitmq import Accounts  # noqa: PLC0415  (dear, and most clouds have no broker)

    parts = urlsplit(settings.broker_admin)
    place = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    vhost = unquote(urlsplit(settings.bus).path[1:]) or "/"
    return Accounts(place, unquote(parts.username or ""), unquote(parts.password or ""), vhost=vhost)
