"""What a guest can get from the host's own listeners, metadata and names, and from the host behind them."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import time
from typing import TYPE_CHECKING

import dns.message
import pytest

from pileus.model import addresses
from pileus.model.bounds import METADATA_CONNECTIONS_OF_INSTANCE
from pileus.providers.local.guestnet import dns as names
from tests.live import veth
from tests.live.security.site import arrived, connects, drained
from tests.live.veth import eventually, frame
from tests.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.security.site import Site
    from tests.live.veth import Guest

pytestmark = [
    pytest.mark.cost(8),
    pytest.mark.allow_hosts(["127.0.0.0/8", "10.41.0.0/16", addresses.METADATA, addresses.OUTSIDE]),
]

_IPV4, _TCP = 0x0800, 6
_SYN = 2
WORDS = b"reached"
TTL = "X-aws-ec2-metadata-token-ttl-seconds: 60"
ID = "/latest/meta-data/instance-id"
ASKED = 3
"""How often a resolver is asked, as libraries do: a datagram may be lost on the way."""


def ask(guest: Guest, *lines: str, source: str = "", body: bytes = b"", seconds: float = 5.0) -> tuple[int, bytes]:
    """Status and body of one request to the metadata service; (0, b"") when nobody answers."""
    head = "\r\n".join([f"{lines[0]} HTTP/1.1", "Host: x", "Connection: close", *lines[1:], "", ""]).encode("latin-1")

    def talk() -> bytes:
        with contextlib.suppress(OSError):
            bound = (source, 0) if source else None
            with socket.create_connection((addresses.METADATA, 80), seconds, bound) as link:
                link.sendall(head + body)
                said = b""
                while part := link.recv(65536):
                    said += part
                return said
        return b""

    said = veth.within(guest.namespace, talk)
    status, _, rest = said.partition(b"\r\n\r\n")
    return (int(status.split()[1]), rest) if status else (0, b"")


def test_metadata_is_told_to_the_instance_itself(site: Site) -> None:
    for name, (guest, _) in site.guests.items():
        assert eventually(lambda one=guest: ask(one, f"GET {ID}"), "it answers") == (200, f"i-{name}".encode())  # type: ignore[misc]
    # From another's address: what a guest sends so goes nowhere.
    own, victim = site.mallory, site.victim
    veth.ip("-n", own.namespace, "address", "add", f"{victim.address}/32", "dev", "eth0")
    try:
        assert ask(own, f"GET {ID}", source=victim.address, seconds=1.5) == (0, b"")
        assert ask(own, f"GET {ID}", source=own.address) == (200, b"i-mallory")
        veth.ip("-n", own.namespace, "address", "add", "10.41.30.77/32", "dev", "eth0")
        assert ask(own, f"GET {ID}", source="10.41.30.77", seconds=1.5) == (0, b"")
        with site.unguarded():
            # Nobody's address is nobody's instance, should it ever come through.
            eventually(lambda: ask(own, f"GET {ID}", source="10.41.30.77", seconds=1.5)[0] == 404, "it is told so")
    finally:
        for address in (f"{victim.address}/32", "10.41.30.77/32"):
            subprocess.run(["ip", "-n", own.namespace, "address", "del", address, "dev", "eth0"], check=False)


def test_no_header_and_no_path_leads_to_anothers_metadata(site: Site) -> None:
    own, victim = site.mallory, site.victim
    claims = [
        f"{name}: {value}"
        for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP", "X-Instance-ID", "X-Tenant-ID", "Host")
        for value in (victim.address, "i-victim", "127.0.0.1")
    ]
    assert ask(own, f"GET {ID}", *claims) == (200, b"i-mallory")
    assert ask(own, f"GET http://{victim.address}{ID}") == (200, b"i-mallory")
    for path in (
        "/latest/meta-data/../../../../../../etc/passwd",
        "/latest/meta-data/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/%2fetc%2fpasswd",
        "//etc/passwd",
        "/latest/meta-data/instance-id/../../../i-victim",
        "/i-victim/latest/meta-data/instance-id",
        f"/latest/meta-data/network/interfaces/macs/{victim.mac}/",
        "/latest/meta-data/\x00/",
        "/latest/meta-data?instance=i-victim",
    ):
        status, said = ask(own, f"GET {path}")
        assert b"root:" not in said
        assert b"victim" not in said
        assert status in (200, 400, 404)
    own_macs = ask(own, f"GET /latest/meta-data/network/interfaces/macs/{own.mac}/local-ipv4s")
    assert own_macs == (200, own.address.encode())


def test_a_token_is_good_for_one_instance_and_goes_one_hop(site: Site) -> None:
    own = site.mallory
    status, token = ask(site.victim, "PUT /latest/api/token", TTL)
    assert status == 200
    header = f"X-aws-ec2-metadata-token: {token.decode()}"
    assert ask(site.victim, f"GET {ID}", header) == (200, b"i-victim")
    for thief in (own, site.stranger, site.neighbour):
        assert ask(thief, f"GET {ID}", header)[0] == 401
    assert ask(own, "PUT /latest/api/token", TTL, "X-Forwarded-For: 10.0.0.1")[0] == 403
    with own.wire() as ear:
        assert ask(own, "PUT /latest/api/token", TTL)[0] == 200
        assert ask(own, f"GET {ID}")[0] == 200
        answers = [one for one in drained(ear) if one[26:30] == socket.inet_aton(addresses.METADATA)]
    hops = {b"token-ttl" in one.lower(): one[22] for one in answers if b"HTTP/1.1 200" in one}
    assert hops == {True: 1, False: 64}


def test_one_guest_cannot_keep_the_service_from_others(site: Site) -> None:
    own = site.mallory
    assert ask(own, "POST /latest/api/token", "Content-Length: 999999999", body=b"x" * 100_000)[0] in (0, 413)
    assert ask(own, "GET /" + "x" * 70_000)[0] in (0, 431)

    def crowd() -> list[socket.socket]:
        links = []
        for port in (80, 53):
            where = addresses.METADATA if port == 80 else site.subnet.localport
            for _ in range(4 * METADATA_CONNECTIONS_OF_INSTANCE.most):
                link = socket.create_connection((where, port), 5)
                with contextlib.suppress(OSError):
                    link.sendall(b"GET /latest HTTP/1.1\r\nX: " if port == 80 else b"\x00")
                links.append(link)
        return links

    links = veth.within(own.namespace, crowd)
    try:
        assert any(_is_held(link) for link in links)
        for guest in (site.victim, site.neighbour, site.stranger):
            assert ask(guest, f"GET {ID}")[0] == 200
            assert lookup(guest, "localhost.invalid") is not None
        # Who came last may not have been told yet that there is no room.
        eventually(
            lambda: len([link for link in links if _is_held(link)]) <= 2 * METADATA_CONNECTIONS_OF_INSTANCE.most,
            "it has no more",
        )
    finally:
        for link in links:
            link.close()
    eventually(lambda: ask(own, f"GET {ID}")[0] == 200, "it is served again itself")


def _is_held(link: socket.socket) -> bool:
    """Whether the server has not closed it, as far as can be seen now."""
    link.settimeout(0.01)
    try:
        return link.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


def lookup(guest: Guest, name: str, kind: str = "A", source: str = "") -> dns.message.Message | None:
    """The answer of the network's resolver; None when there is none, however often it is asked."""
    query = dns.message.make_query(name, kind, use_edns=0, payload=65535)

    def talk() -> dns.message.Message | None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.settimeout(3.0)
            if source:
                link.bind((source, 0))
            for _ in range(ASKED):
                link.sendto(query.to_wire(), (guest_dns(guest), 53))
                with contextlib.suppress(TimeoutError):
                    return dns.message.from_wire(link.recv(65535))
            return None

    return veth.within(guest.namespace, talk)


def guest_dns(guest: Guest) -> str:
    """The resolver's address on the guest's network."""
    return guest.address.rpartition(".")[0] + ".2"


def test_names_of_other_networks_are_not_told(site: Site) -> None:
    def found(guest: Guest, name: str) -> list[str]:
        answer = lookup(guest, name)
        assert answer is not None
        return [record.to_text() for rrset in answer.answer for record in rrset]

    assert found(site.mallory, "victim.internal") == [site.victim.address]
    assert found(site.twin, "stranger.internal") == [site.stranger.address]
    for guest, others in ((site.twin, ("victim", "mallory", "neighbour")), (site.mallory, ("stranger", "twin"))):
        for name in others:
            assert found(guest, f"{name}.internal") == []
            assert found(guest, name) == []
    backwards = ".".join(reversed(site.victim.address.split("."))) + ".in-addr.arpa"
    told = {guest: lookup(guest, backwards, "PTR") for guest in (site.mallory, site.twin)}
    assert "victim.internal" in str(told[site.mallory])
    assert "victim" not in str(told[site.twin])
    assert "stranger.internal" in str(told[site.twin])


def test_the_resolver_amplifies_nothing_towards_anybody(site: Site) -> None:
    own, victim = site.mallory, site.victim
    query = dns.message.make_query("victim.internal", "ANY", use_edns=0, payload=65535).to_wire()
    packet = veth.datagram(victim.address, site.subnet.localport, (5353, 53), query)
    asked = frame(own.mac, veth.packed(site.subnet.localport_mac), _IPV4, packet)

    def answers() -> list[bytes]:
        with victim.wire() as ear:
            arrived(victim, own, {"asked": asked})
            return [one for one in drained(ear) if one[34:36] == struct.pack("!H", 53)]

    assert answers() == []
    with site.unguarded():
        # The resolver takes its time to answer.
        eventually(answers, "who is asked in another's name answers him")
    for name in ("victim.internal", ".", "x" * 60 + ".invalid"):
        answer = lookup(own, name, "ANY")
        assert answer is not None
        assert len(answer.to_wire()) <= names.LARGEST_DATAGRAM
        assert len(answer.to_wire()) < 4 * len(query)


@contextlib.contextmanager
def everywhere(site: Site, port: int) -> Iterator[list[str]]:
    """Servers on every address of this machine, of the cloud's namespace and of the listener's; those addresses."""
    home = site.layout.network_netns(site.home.uuid)
    places = [None, site.layout.netns, home]
    found: list[str] = []
    with contextlib.ExitStack() as stack:
        for place in places:
            made = veth.within(place, lambda: _server(port)) if place else _server(port)
            stack.callback(_end, made)
            veth.serve(made, WORDS)
            enter = ["ip", *(("-n", place) if place else ()), "-j", "-4", "address"]
            links = json.loads(subprocess.run(enter, check=True, capture_output=True, text=True).stdout)
            found += [one["local"] for link in links for one in link["addr_info"]]
        yield found


def _server(port: int) -> socket.socket:
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("0.0.0.0", port))  # noqa: S104  (every address is the point)
    server.listen()
    return server


def _end(server: socket.socket) -> None:
    # A thread waits in accept, and would keep a socket that is only closed.
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def syn(guest: Guest, gateway_mac: str, target: str, port: int) -> bool:
    """Whether anything answers a bare SYN to an address that the guest's own kernel would never let out."""
    source = 40000 + time.monotonic_ns() % 20000
    tcp = struct.pack("!HHIIBBHHH", source, port, 1, 0, 5 << 4, _SYN, 1000, 0, 0)
    pseudo = socket.inet_aton(guest.address) + socket.inet_aton(target) + struct.pack("!BBH", 0, _TCP, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", veth.checksum(pseudo + tcp)) + tcp[18:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, _TCP, 0) + pseudo[:8]
    header = header[:10] + struct.pack("!H", veth.checksum(header)) + header[12:]
    with guest.wire() as raw:
        raw.send(frame(guest.mac, veth.packed(gateway_mac), _IPV4, header + tcp))
        expected = struct.pack("!HH", port, source)
        return any(one[34:38] == expected and one[47] & _SYN for one in drained(raw))


def test_no_address_of_the_host_can_be_reached(site: Site) -> None:
    own, victim, port = site.mallory, site.victim, free_port()
    local = site.subnet.localport_mac
    with contextlib.closing(victim.listen(victim.address, port)):
        eventually(lambda: syn(own, victim.mac, victim.address, port), "the probe sees what answers")
    eventually(lambda: syn(own, local, addresses.METADATA, 80), "metadata, too")
    eventually(lambda: syn(own, local, site.subnet.localport, 53), "and names")
    outside = addresses.gateway(addresses.OUTSIDE)
    with everywhere(site, port) as hosts:
        assert {"127.0.0.1", site.subnet.localport, addresses.METADATA, outside} <= set(hosts)
        # The outside network begins in the cloud's namespace: its own address is what guests may reach there.
        assert eventually(lambda: own.fetches(outside, port), "what is outside can be reached") == WORDS
        for host in sorted({*hosts, "127.0.0.1", "127.2.0.1", "0.0.0.0"} - {outside}):  # noqa: S104
            for mac in (site.subnet.gateway_mac, local):
                assert not syn(own, mac, host, port), (host, mac)


def test_the_listeners_namespace_serves_metadata_and_names_and_nothing_else(site: Site) -> None:
    for network in (site.home, site.near, site.away):
        namespace = site.layout.network_netns(network.uuid)
        local = site.own.cloud.subnets.get(network.uuid) or site.other.cloud.subnets[network.uuid]
        said = subprocess.run(
            ["nsenter", f"--net=/run/netns/{namespace}", "ss", "-Hlntup"], check=True, capture_output=True, text=True
        ).stdout
        places = {(line.split()[0], line.split()[4]) for line in said.splitlines()}
        assert places == {
            ("tcp", f"{addresses.METADATA}:80"),
            ("tcp", f"{local.localport}:53"),
            ("udp", f"{local.localport}:53"),
        }
    eventually(lambda: connects(site.mallory, addresses.METADATA, 80), "it is served")
    assert not connects(site.mallory, site.subnet.localport, 80)
    assert not connects(site.mallory, addresses.METADATA, 53)
