"""Several machines' switches as one: networks, groups and addresses that do not care on which machine a guest is."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from pileus.model.provider import BodyRef
from pileus.model.securitygroup import Rule
from pileus.model.spec import FloatingIpSpec, PortSpec, SourceSpec
from pileus.providers.local.engine import chassis
from pileus.providers.local.engine.daemons import OUTSIDE as OUTSIDE_BRIDGE
from pileus.providers.local.engine.daemons import enter
from pileus.providers.local.engine.fabric import Fabric, OvnTlsFiles, Tunnels
from pileus.providers.local.layout import Layout
from pileus.providers.local.network import NetworkProvider
from tests.cluster.wires import OUTSIDE, RANGES, TUNNELS, Machine, Wires
from tests.live import veth
from tests.live.daemons import SOUTHBOUND_PORT, purge_engine
from tests.live.test_network import ANY, Cloud, new
from tests.live.veth import Guest, eventually
from tests.services.authority import Authority

pytestmark = [pytest.mark.cost(20), pytest.mark.allow_hosts(["10.41.0.0/16", "198.51.100.0/24"])]

OUT = Rule(id="out", direction="egress", cidr=ANY)
PING = Rule(id="ping", protocol="icmp", cidr=ANY)


@dataclass
class Site:
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
            self.wires.machines[name].run(lambda la=layout, fa=fabric: purge_engine(la, fa))  # type: ignore[misc]

    def sbctl(self, *command: str) -> str:
        """What `ovn-sbctl` prints on the machine with the databases."""
        whole = enter(self.central, "ovn-sbctl", "--db=unix:/srv/run/ovnsb_db.sock", "--timeout=10", *command)
        return subprocess.run(whole, check=True, capture_output=True, text=True).stdout


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


def tls_files(office: Authority, name: str) -> OvnTlsFiles:
    """What an authority issues to a machine, as the engine takes it."""
    issued = office.issue(name)
    assert issued.key is not None
    assert issued.certificate is not None
    return OvnTlsFiles(key=issued.key, certificate=issued.certificate, ca=issued.ca)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
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
        found = Site(wires, Layout(root / "cloud"), hosts, fabrics, office)
        try:
            for name in ("cloud", "host1", "host2"):
                found.up(name)
            yield found
        finally:
            found.down()
            wires.end()


@pytest.fixture
def cloud(site: Site) -> Iterator[Cloud]:
    provider = NetworkProvider(site.central.northbound)
    cloud = Cloud(site.central, provider)
    yield cloud
    cloud.close()
    provider.close()


@pytest.fixture
def pair(site: Site, cloud: Cloud) -> tuple[tuple[Guest, PortSpec], tuple[Guest, PortSpec]]:
    """A guest on each host, in one subnet and one group."""
    _route(cloud)
    network = cloud.network(1)
    group = cloud.group(OUT, PING)
    found = []
    for layout in site.hosts.values():
        spec = cloud.port(network, group.uuid)
        guest = veth.guest(layout, spec, cloud.subnets[network.uuid])
        cloud.guests.append(guest)
        found.append((guest, spec))
    cloud.settled()
    return found[0], found[1]


def _route(cloud: Cloud) -> None:
    """Give the router a way out, which either host may carry."""
    cloud.router = msgspec.structs.replace(
        cloud.router,
        address="198.51.100.20",
        outside="198.51.100.0/24",
        gateways=("host1", "host2"),
        sources=(SourceSpec(cidr="10.41.0.0/16", address="198.51.100.20"),),
        revision=cloud.revision(),
    )
    cloud.write(cloud.router)


def test_guests_on_two_machines_share_a_subnet(
    cloud: Cloud, pair: tuple[tuple[Guest, PortSpec], tuple[Guest, PortSpec]]
) -> None:
    (one, _), (two, _) = pair
    eventually(lambda: one.pings(two.address), "the first reaches the second")
    eventually(lambda: two.pings(one.address), "and the second the first")
    veth.serve(two.listen(two.address, 80), b"two")
    assert one.fetches(two.address, 80) == b""
    # A rule that comes later holds on both machines at once.
    group = next(spec for spec in cloud.made if spec.KIND == "securitygroup")
    web = Rule(id="web", protocol="tcp", port_min=80, port_max=80, cidr=ANY)
    cloud.write(msgspec.structs.replace(group, rules=(OUT, PING, web), revision=cloud.revision()))
    eventually(lambda: one.fetches(two.address, 80) == b"two", "the rule lets it through")


def test_a_floating_address_is_on_the_machine_of_its_guest(
    site: Site, cloud: Cloud, pair: tuple[tuple[Guest, PortSpec], tuple[Guest, PortSpec]]
) -> None:
    world = site.wires.machines["world"]
    given = []
    for number, (guest, port) in enumerate(pair, start=30):
        own, address = new(), f"198.51.100.{number}"
        cloud.provider.ensure(
            FloatingIpSpec(
                uuid=own,
                address=address,
                port=port.uuid,
                private=port.address,
                router=cloud.router.uuid,
                revision=cloud.revision(),
            )
        )
        given.append(own)
        eventually(
            lambda at=address: world.run(lambda: veth.ping(at)),  # type: ignore[misc]
            f"{address} of {guest.namespace} answers outside",
        )
    # Cut off from the first host's wire, the second's address goes on: its traffic never went there.
    with site.wires.parted("host1", OUTSIDE):
        eventually(lambda: not world.run(lambda: veth.ping("198.51.100.30")), "the first host's does not")
        eventually(lambda: world.run(lambda: veth.ping("198.51.100.31")), "the other host's address still answers")
    for own in given:
        cloud.provider.remove(BodyRef(kind=FloatingIpSpec.KIND, uuid=own, revision=cloud.revision()))


def test_guests_without_an_address_of_their_own_reach_the_outside(
    pair: tuple[tuple[Guest, PortSpec], tuple[Guest, PortSpec]],
) -> None:
    for guest, _ in pair:
        eventually(lambda who=guest: who.pings("198.51.100.1"), "the outside's gateway answers")  # type: ignore[misc]


def test_a_machine_that_is_cut_off_keeps_its_guests_connected(
    site: Site, cloud: Cloud, pair: tuple[tuple[Guest, PortSpec], tuple[Guest, PortSpec]]
) -> None:
    (one, _), (two, _) = pair
    eventually(lambda: one.pings(two.address), "they reach each other")
    with site.wires.parted("host2", "mgmt"):
        eventually(lambda: one.pings(two.address), "they still do")
        eventually(lambda: two.pings(one.address), "either way")
    cloud.settled()


def test_a_controller_may_write_what_is_its_own_alone(site: Site) -> None:
    listed = site.sbctl("--format=csv", "--columns=name", "list", "Chassis")
    assert {"host1", "host2"} <= set(listed.split())
    stranger = tls_files(Authority(site.central.state / "other"), "host1")
    assert _asks(site, stranger) != 0, "a certificate of another authority is refused"
    own = tls_files(site.office, "host1")
    assert _asks(site, own) == 0
    denied = ("--", "set", "Chassis", "host2", "external_ids:taken=yes")
    assert _asks(site, own, *denied) != 0
    assert "taken" not in site.sbctl("list", "Chassis", "host2")


def _asks(site: Site, tls: OvnTlsFiles, *more: str) -> int:
    """How ovn-sbctl ends on the first host, with these TLS files."""
    folder = site.hosts["host1"].engine / "tls-asking"
    folder.mkdir(exist_ok=True)
    for name, path in (("key", tls.key), ("certificate", tls.certificate), ("ca", tls.ca)):
        (folder / name).write_bytes(path.read_bytes())
    at = f"ssl:{site.wires.machines['cloud'].address()}:{SOUTHBOUND_PORT}"
    options = [f"--db={at}", "--timeout=5", "-p", "/srv/tls-asking/key", "-c", "/srv/tls-asking/certificate"]
    command = enter(site.hosts["host1"], "ovn-sbctl", *options, "-C", "/srv/tls-asking/ca", "show", *more, here=True)
    machine = site.wires.machines["host1"]
    done = subprocess.run(machine.command(*command), capture_output=True, check=False, timeout=30)
    return done.returncode


def test_interfaces_come_back_when_the_engine_ends(site: Site) -> None:
    machine = site.wires.machines["host2"]
    machine.run(lambda: chassis.down(site.hosts["host2"], fabric=site.fabrics["host2"]))
    links = subprocess.run(machine.command("ip", "-o", "link"), capture_output=True, text=True, check=True).stdout
    assert f" {TUNNELS}@" in links
    assert f" {OUTSIDE}@" in links
    assert OUTSIDE_BRIDGE not in links
    site.up("host2")
