"""`mccserver`: a whole cloud of the shape that MiniCloud had. Containers on one flat network, and nothing to set up.

It is `pileus up` with the mcc face's port open. Its database may be lost: what runs tells of itself at the start.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

from pileus.cli.mcc import usage
from pileus.cli.mcc.tools import Given, refusal, tool
from pileus.cli.serverprogram import ServerLaunch
from pileus.model import addresses

if TYPE_CHECKING:
    from collections.abc import Callable

LISTEN, PORT, RANGE = "0.0.0.0", "8080", "192.168.1.1-192.168.1.254"  # noqa: S104  (as the original's)

ROOT = Path("/var/lib/pileus/mcc")
"""The state directory where root names none."""


def serve(run: Callable[[ServerLaunch], int]) -> int:
    """Read the command line, and have the server run; its status."""
    return tool(usage.SERVER, (), lambda options: run(_launch(options)))


def _launch(options: Given) -> ServerLaunch:
    stops = "stop" in options
    where, ip_range = ("", "") if stops else (_address(options), _range(options))
    return ServerLaunch(
        face="mcc",
        log="mcc-server.log",
        state=options.get("state", ""),
        root=ROOT,
        provider=options.get("provider", ""),
        listen=where,
        settings={"listen": where, "range": ip_range},
        described="at {listen}, with the range {range}",
        needs_root=(
            "Containers, and the network between them, need root to begin with: use sudo. Its database and all that "
            "answers calls run as the user pileus even so. (--provider stub needs no root, and pretends.)"
        ),
        images="*.tar.*",
        no_images="there is no image of containers yet: pileus image build debian-12-container",
        stops=stops,
        follows="foreground" in options,
    )


def _address(options: Given) -> str:
    port, listen = options.get("port", PORT), options.get("listen", LISTEN)
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise refusal(usage.SERVER, f"invalid argument: --port {port}")
    try:
        address = ipaddress.ip_address("127.0.0.1" if listen == "localhost" else listen)
    except ValueError as error:
        raise refusal(usage.SERVER, f"invalid argument: --listen {listen}") from error
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _range(options: Given) -> str:
    ip_range = options.get("iprange", RANGE)
    try:
        addresses.around(*addresses.pool(ip_range))
    except ValueError as error:
        raise refusal(usage.SERVER, f"invalid argument: --iprange {ip_range}") from error
    return ip_range
