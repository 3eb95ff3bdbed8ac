"""The settings of the mcc face: PILEUS_MCC_LISTEN and so on."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec
from msgspec import Meta

from pileus.model import addresses


class MccSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that an operator may choose."""

    listen: Annotated[
        str,
        Meta(
            description="ADDRESS:PORT at which the mcc tools are answered (port 0: a free one); off: nowhere; empty: "
            "on the stub at a free loopback port, elsewhere nowhere"
        ),
    ] = ""
    range: Annotated[str, Meta(description="FIRST-LAST of the addresses that instances of the mcc tools have")] = (
        "10.98.0.4-10.98.255.254"
    )
    project: Annotated[str, Meta(description="the project in which the mcc tools act, whoever uses them")] = "admin"
    allow: Annotated[
        str,
        Meta(
            description="ranges of addresses, with commas between them, from which the mcc tools are answered; "
            "empty: all"
        ),
    ] = ""
    token: Annotated[
        str,
        Meta(
            description="what users of the mcc tools have to show, as a bearer's token or the password of HTTP's "
            "Basic; empty: nothing"
        ),
    ] = ""

    def __post_init__(self) -> None:
        """Refuse values of no use. Raises ValueError."""
        if self.listen not in ("", "off") and not addresses.is_socket_address(self.listen):
            raise ValueError("listen is 'off', or an address of this machine and a port: 127.0.0.1:8080")
        addresses.around(*addresses.pool(self.range))
        for part in filter(None, map(str.strip, self.allow.split(","))):
            ipaddress.ip_network(part, strict=False)
