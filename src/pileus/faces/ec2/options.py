"""The settings of the EC2 face: PILEUS_EC2_LISTEN."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from pileus.model import addresses


class Ec2Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that an operator may choose."""

    listen: Annotated[
        str,
        Meta(
            description="ADDRESS:PORT at which all faces of the shared port are answered, too: 127.0.0.1:8773 for "
            "clients with PiNet's port; empty: at the shared port alone"
        ),
    ] = ""

    def __post_init__(self) -> None:
        """Refuse values of no use. Raises ValueError."""
        if self.listen and not addresses.is_socket_address(self.listen):
            raise ValueError("listen is an address of this machine and a port: 127.0.0.1:8773")
