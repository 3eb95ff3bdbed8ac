"""The hosts' switches in OVN's southbound database: each host's controller writes its own row, and removes none."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, ClassVar

from pileus.providers.local.network.northbound import Northbound

SOCKET = "ovnsb_db.sock"
"""The southbound database's, beside the northbound one's."""


class Southbound(Northbound):
    """The other database of OVN's, of which the hosts' rows are all that is looked at."""

    NAME = "southbound"
    SCHEMA = "OVN_Southbound"
    TABLES: ClassVar[tuple[str, ...]] = ("Chassis", "Chassis_Private", "Encap")


class Chassis:
    """The register of hosts that joined, by name. Every method raises Fault when the database does not answer."""

    admits = False
    """Hosts come by themselves."""

    def __init__(self, northbound: str) -> None:
        """`northbound` is that database's connection string, unix:PATH."""
        path = PurePath(northbound.removeprefix("unix:"))
        self._southbound = Southbound(f"unix:{path.with_name(SOCKET)}")

    def hosts(self) -> set[str]:
        """Whose switch is known."""
        with self._southbound.read() as tables:
            return {str(row.name) for row in tables["Chassis"].rows.values()}

    def add(self, host: str) -> None:
        """Nothing: a host's controller does it."""

    def remove(self, host: str) -> None:
        """Have every other switch forget this one; none is no harm. A controller that still may come makes it anew."""

        def work(database: Any, _transaction: Any) -> None:
            for table in ("Chassis", "Chassis_Private"):
                for row in [row for row in database.tables[table].rows.values() if row.name == host]:
                    row.delete()

        self._southbound.transact(work)

    def close(self) -> None:
        """Disconnect."""
        self._southbound.close()
