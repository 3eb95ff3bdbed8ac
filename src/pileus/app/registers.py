"""Where hosts of other machines are known beside the store, as far as a process of the cloud can reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from pileus.app.settings import Settings
from pileus.model.kit import HostRegister, Kit, Site

if TYPE_CHECKING:
    from pileus.bus.rabbitmq import Accounts


def registers(settings: Settings, kit: Kit, site: Site, *, loops: bool) -> list[HostRegister]:
    """All of them; the network engine's is looked after by who runs `loops`."""
    accounts = accounts_of(settings)
    return [*([accounts] if accounts is not None else []), *(kit.registers(site) if loops else ())]


def accounts_of(settings: Settings) -> Accounts | None:
    """Return the broker's accounts, by which hosts log in with their certificates; None: the operator keeps them."""
    if not settings.broker_admin:
        return None
    from pileus.bus.rabbitmq import Accounts  # noqa: PLC0415  (dear, and most clouds have no broker)

    parts = urlsplit(settings.broker_admin)
    place = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    vhost = unquote(urlsplit(settings.bus).path[1:]) or "/"
    return Accounts(place, unquote(parts.username or ""), unquote(parts.password or ""), vhost=vhost)
