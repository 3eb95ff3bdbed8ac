"""Several machines' switches as one: networks, groups and addresses that do not care on which machine a guest is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import msgspec
import pytest

from pileus.model.provider import BodyRef
from pileus.model.securitygroup import Rule
from pileus.model.spec import FloatingIpSpec, PortSpec, SourceSpec
from pileus.providers.local.engine import chassis
from pileus.providers.local.engine.daemons import OUTSIDE as OUTSIDE_BRIDGE
from pileus.providers.local.engine.daemons import enter
from pileus.providers.local.engine.fabric import OvnTlsFiles
from pileus.providers.local.network import NetworkProvider
from tests.cluster.wires import OUTSIDE, TUNNELS
from tests.live import veth
from tests.live.daemons import SOUTHBOUND_PORT
from tests.live.test_network import ANY, Cloud, new
from tests.live.twohosts import TwoHosts, tls_files
from tests.live.veth import Guest, eventually
from tests.services.authority import Authority

pytestmark = [pytest.mark.cost(20), pytest.mark.allow_hosts(["10.41.0.0/16", "198.51.100.0/24"])]

OUT = Rule(id="out", direction="egress", cidr=ANY)
PING = Rule(id="ping", protocol="icmp", cidr=ANY)


@pytest.fixture
def cloud(two_hosts: TwoHosts) -> Iterator[Cloud]:
    provider = NetworkProvider(two_hosts.central.northbound)
    cloud = Cloud(two_hosts.central, provider)
    yield cloud
    cloud.close()
    provider.close()


@pytest.fixture
def pair(two_hosts: TwoHosts, cloud: Cloud) -> tuple[tuple[Guest, PortSpec], tuple[Guest, PortSpec]]:
    """A guest on each host, in one subnet and one group."""
    _route(cloud)
    network = cloud.network(1)
    group = cloud.group(OUT, PING)
    found = []
    for layout in two_hosts.hosts.values():
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
    two_hosts: TwoHosts, cloud: Cloud, pair: tuple[tuple[Guest, PortSpec], tuple[Guest, PortSpec]]
) -> None:
    world = two_hosts.wires.machines["world"]
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
    with two_hosts.wires.parted("host1", OUTSIDE):
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
    two_hosts: TwoHosts, cloud: Cloud, pair: tuple[tuple[Guest, PortSpec], tuple[Guest, PortSpec]]
) -> None:
    (one, _), (two, _) = pair
    eventually(lambda: one.pings(two.address), "they reach each other")
    with two_hosts.wires.parted("host2", "mgmt"):
        eventually(lambda: one.pings(two.address), "they still do")
        eventually(lambda: two.pings(one.address), "either way")
    cloud.settled()


def test_a_controller_may_write_what_is_its_own_alone(two_hosts: TwoHosts) -> None:
    listed = two_hosts.sbctl("--format=csv", "--columns=name", "list", "Chassis")
    assert {"host1", "host2"} <= set(listed.split())
    stranger = tls_files(Authority(two_hosts.central.state / "other"), "host1")
    assert _asks(two_hosts, stranger) != 0, "a certificate of another authority is refused"
    own = tls_files(two_hosts.office, "host1")
    assert _asks(two_hosts, own) == 0
    denied = ("--", "set", "Chassis", "host2", "external_ids:taken=yes")
    assert _asks(two_hosts, own, *denied) != 0
    assert "taken" not in two_hosts.sbctl("list", "Chassis", "host2")


def _asks(two_hosts: TwoHosts, tls: OvnTlsFiles, *more: str) -> int:
    """How ovn-sbctl ends on the first host, with these TLS files."""
    folder = two_hosts.hosts["host1"].engine / "tls-asking"
    folder.mkdir(exist_ok=True)
    for name, path in (("key", tls.key), ("certificate", tls.certificate), ("ca", tls.ca)):
        (folder / name).write_bytes(path.read_bytes())
    at = f"ssl:{two_hosts.wires.machines['cloud'].address()}:{SOUTHBOUND_PORT}"
    options = [f"--db={at}", "--timeout=5", "-p", "/srv/tls-asking/key", "-c", "/srv/tls-asking/certificate"]
    command = enter(
        two_hosts.hosts["host1"], "ovn-sbctl", *options, "-C", "/srv/tls-asking/ca", "show", *more, here=True
    )
    machine = two_hosts.wires.machines["host1"]
    done = subprocess.run(machine.command(*command), capture_output=True, check=False, timeout=30)
    return done.returncode


def test_interfaces_come_back_when_the_engine_ends(two_hosts: TwoHosts) -> None:
    machine = two_hosts.wires.machines["host2"]
    machine.run(lambda: chassis.down(two_hosts.hosts["host2"], fabric=two_hosts.fabrics["host2"]))
    links = subprocess.run(machine.command("ip", "-o", "link"), capture_output=True, text=True, check=True).stdout
    assert f" {TUNNELS}@" in links
    assert f" {OUTSIDE}@" in links
    assert OUTSIDE_BRIDGE not in links
    two_hosts.up("host2")
