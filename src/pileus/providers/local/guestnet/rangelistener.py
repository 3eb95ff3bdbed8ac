"""One socket that accepts what is admitted at all loopback addresses of a cloud."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import structlog

from pileus.model.spec import InstanceSpec
from pileus.providers.local.guestnet import ingress
from pileus.providers.local.guestnet.ingress import Ranges
from pileus.providers.local.guestnet.listener import Accepted, Listener, bind
from pileus.providers.local.guestnet.sklookup import PortTable

_BACKLOG = 4096
_log = structlog.get_logger(__name__)


class RangeListener:
    """The listener of one cloud, bound to `address`. All methods belong to the event loop's thread.

    Raises OSError where the kernel has no sk_lookup programs, or this process may not load one. A connection may have
    been dialled at a port that no rule admits.
    """

    def __init__(self, address: str, accepted: Accepted) -> None:
        sock = bind(socket.socket(socket.AF_INET, socket.SOCK_STREAM), address, 0)
        self._listener = Listener(sock, accepted, _BACKLOG)
        self._ranges: dict[str, tuple[InstanceSpec, Ranges]] = {}
        self._error = ""
        try:
            self._table = PortTable(sock)
        except BaseException:
            self._listener.close()
            raise

    def admit(self, specs: Mapping[str, InstanceSpec]) -> None:
        """Accept for exactly these instances, by their addresses; never raises OSError."""
        self._ranges = {address: (spec, self._of(address, spec)) for address, spec in specs.items()}
        try:
            self._table.admit({address: ranges for address, (_, ranges) in self._ranges.items()})
        except OSError as error:
            if str(error) != self._error:
                _log.warning("loopback ports not admitted", error=str(error))
            self._error = str(error)
        else:
            self._error = ""

    def close(self) -> None:
        """Detach the program, then stop listening. Idempotent."""
        self._table.close()
        self._listener.close()

    def _of(self, address: str, spec: InstanceSpec) -> Ranges:
        before = self._ranges.get(address)
        if before is not None and before[0] is spec:
            return before[1]
        return ingress.admitted(spec)
