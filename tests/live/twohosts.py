"""Two machines with a switch each, on one network engine: network namespaces, without a cloud and without machines."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pileus.providers.local.engine import chassis
from pileus.providers.local.engine.daemons import enter
from pileus.providers.local.engine.fabric import Fabric, OvnTlsFiles, Tunnels
from pileus.providers.local.layout import Layout
from tests.cluster.wires import OUTSIDE, RANGES, TUNNELS, Machine, Wires
from tests.live.daemons import SOUTHBOUND_PORT, purge_engine
from tests.services.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class TwoHosts:
    """A machine with the databases, and two with switches."""

    wires: Wires
    central: Layout
    hosts: dict[str, Layout]
    fabrics: dict[str, Fabric]
    office: Authority

    def up(self, name: str) -> None:
        """Start what does not run on a machine."""
        layout = self.central if name == "cloud" else self.hosts[name]
        self.wires.machines[name].run(lambda: chassis.up(layout, fabric=self.fabrics[name]))

    def down(self) -> None:
        """Stop everything."""
        for name, layout in (*self.hosts.items(), ("cloud", self.central)):
            fabric = self.fabrics[name]
            self.wires.machines[name].run(lambda la=layout, fa=fabric: purge_engine(la, fa))  # type: ignore[misc]  # mypy infers no type of a lambda with a default

    def sbctl(self, *command: str) -> str:
        """Output of `ovn-sbctl` on the machine with the databases."""
        whole = enter(self.central, "ovn-sbctl", "--db=unix:/srv/run/ovnsb_db.sock", "--timeout=10", *command)
        return subprocess.run(whole, check=True, capture_output=True, text=True).stdout


def tls_files(office: Authority, name: str) -> OvnTlsFiles:
    """Key and certificate that an authority issues to a machine, as the engine takes them."""
    issued = office.issue(name)
    assert issued.key is not None
    assert issued.certificate is not None
    return OvnTlsFiles(key=issued.key, certificate=issued.certificate, ca=issued.ca)


@contextlib.contextmanager
def connected() -> Iterator[TwoHosts]:
    """Two hosts that are joined to one engine while the block runs."""
    with tempfile.TemporaryDirectory(prefix="fabric", dir="/tmp") as folder:
        root, wires = Path(folder), Wires()
        office = Authority(root / "authority")
        wires.begin()
        central = wires.machine("cloud")
        listen = f"pssl:{SOUTHBOUND_PORT}:{central.address()}"
        fabrics = {"cloud": Fabric(chassis="cloud", switches=False, listen=listen, tls=tls_files(office, "cloud"))}
        for name in ("host1", "host2"):
            fabrics[name] = _fabric(wires.machine(name), central, tls_files(office, name))
        hosts = {name: Layout(root / name) for name in ("host1", "host2")}
        two_hosts = TwoHosts(wires, Layout(root / "cloud"), hosts, fabrics, office)
        try:
            for name in ("cloud", "host1", "host2"):
                two_hosts.up(name)
            yield two_hosts
        finally:
            two_hosts.down()
            wires.end()


def _fabric(machine: Machine, central: Machine, tls: OvnTlsFiles) -> Fabric:
    return Fabric(
        chassis=machine.name,
        central=False,
        southbound=f"ssl:{central.address()}:{SOUTHBOUND_PORT}",
        tls=tls,
        tunnels=Tunnels(TUNNELS, f"{machine.address(TUNNELS)}/24"),
        outside=f"{RANGES[OUTSIDE]}.0/24",
        outside_interface=OUTSIDE,
    )
