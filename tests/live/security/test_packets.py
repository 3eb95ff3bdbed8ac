"""Packets that a guest may not send: under another's name, as another's server, or into another's network."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

from pileus.model import addresses
from tests.live import veth
from tests.live.security.site import arrived, connects, drained, leaked
from tests.live.veth import eventually, frame

if TYPE_CHECKING:
    from tests.live.security.site import Site
    from tests.live.veth import Guest

pytestmark = [pytest.mark.cost(8), pytest.mark.allow_hosts(["10.41.0.0/16", addresses.METADATA])]

_ARP, _IPV4, _IPV6, _TEST, _VLAN = 0x0806, 0x0800, 0x86DD, 0x88B5, 0x8100
_EVERYBODY = b"\xff" * 6
_REQUEST, _REPLY = 1, 2
NOBODY = "10.41.30.99"
FALSE_MAC = "02:50:00:00:00:99"


def udp(source: str, target: str, name: str, ports: tuple[int, int] = (9, 9)) -> bytes:
    """An IPv4 packet whose words are `name`."""
    return veth.datagram(source, target, ports, name.encode())


def arp(kind: int, mac: str, address: str, asked: str, name: str) -> bytes:
    """An ARP message that claims `address` for `mac`; what follows it, as padding, is `name`."""
    claim = veth.packed(mac) + socket.inet_aton(address)
    return struct.pack("!HHBBH", 1, _IPV4, 6, 4, kind) + claim + bytes(6) + socket.inet_aton(asked) + name.encode()


def icmp6(kind: int, body: bytes, name: str) -> bytes:
    """A message of neighbour discovery from a link-local address to all nodes, `name` at its end."""
    name_bytes = name.encode() + bytes(-len(name) % 8)
    source, target = socket.inet_pton(socket.AF_INET6, "fe80::99"), socket.inet_pton(socket.AF_INET6, "ff02::1")
    message = struct.pack("!BBH", kind, 0, 0) + body + b"\xfd" + bytes([len(name_bytes) // 8 + 1]) + bytes(6)
    message += name_bytes
    pseudo = source + target + struct.pack("!IHBB", len(message), 0, 0, 58)
    message = message[:2] + struct.pack("!H", veth.checksum(pseudo + message)) + message[4:]
    return struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + source + target + message


def udp6(name: str) -> bytes:
    """An IPv6 packet with a UDP datagram to all nodes."""
    source, target = socket.inet_pton(socket.AF_INET6, "fe80::99"), socket.inet_pton(socket.AF_INET6, "ff02::1")
    name_bytes = name.encode() + bytes(len(name) % 2)
    words = struct.pack("!HHHH", 9, 9, 8 + len(name_bytes), 0) + name_bytes
    pseudo = source + target + struct.pack("!IHBB", len(words), 0, 0, 17)
    words = words[:6] + struct.pack("!H", veth.checksum(pseudo + words)) + words[8:]
    return struct.pack("!IHBB", 6 << 28, len(words), 17, 64) + source + target + words


def forged(site: Site) -> dict[str, bytes]:
    """Frames under another's name, by what is false in each."""
    own, victim, subnet = site.mallory, site.victim, site.subnet
    target = veth.packed(victim.mac)
    sources = {
        "nobodys": NOBODY,
        "gateways": subnet.gateway,
        "localports": subnet.localport,
        "metadatas": addresses.METADATA,
        "neighbours": site.neighbour.address,
        "outside": "203.0.113.5",
    }
    found = {
        f"ip-{name}": frame(own.mac, target, _IPV4, udp(address, victim.address, f"ip-{name}"))
        for name, address in sources.items()
    }
    v6 = b"\x33\x33" + bytes(3) + b"\x01"
    return found | {
        "mac": frame(FALSE_MAC, target, _IPV4, udp(own.address, victim.address, "mac")),
        "mac-of-gateway": frame(subnet.gateway_mac, target, _IPV4, udp(own.address, victim.address, "mac-of-gateway")),
        "other-protocol": frame(own.mac, _EVERYBODY, _TEST, b"other-protocol"),
        "arp-reply": frame(own.mac, target, _ARP, arp(_REPLY, own.mac, NOBODY, victim.address, "arp-reply")),
        "arp-gateway": frame(
            own.mac, target, _ARP, arp(_REPLY, own.mac, subnet.gateway, victim.address, "arp-gateway")
        ),
        "arp-announced": frame(own.mac, _EVERYBODY, _ARP, arp(_REPLY, own.mac, NOBODY, NOBODY, "arp-announced")),
        "arp-gratuitous": frame(own.mac, _EVERYBODY, _ARP, arp(_REQUEST, own.mac, NOBODY, NOBODY, "arp-gratuitous")),
        "arp-sender": frame(own.mac, target, _ARP, arp(_REPLY, FALSE_MAC, own.address, victim.address, "arp-sender")),
        "arp-ether": frame(FALSE_MAC, target, _ARP, arp(_REPLY, own.mac, own.address, victim.address, "arp-ether")),
        "dhcp-as-gateway": frame(
            own.mac, _EVERYBODY, _IPV4, udp(subnet.gateway, "255.255.255.255", "dhcp-as-gateway", (66, 68))
        ),
        "ipv6-router": frame(own.mac, v6, _IPV6, icmp6(134, bytes(12), "ipv6-router")),
        "ipv6-neighbour": frame(own.mac, v6, _IPV6, icmp6(136, bytes(20), "ipv6-neighbour")),
        "ipv6-words": frame(own.mac, v6, _IPV6, udp6("ipv6-words")),
    }


def honest(site: Site) -> dict[str, bytes]:
    """The same under the attacker's own name."""
    own, victim = site.mallory, site.victim
    target = veth.packed(victim.mac)
    return {
        "own-ip": frame(own.mac, target, _IPV4, udp(own.address, victim.address, "own-ip")),
        "own-arp": frame(own.mac, target, _ARP, arp(_REPLY, own.mac, own.address, victim.address, "own-arp")),
        "own-announced": frame(
            own.mac, _EVERYBODY, _ARP, arp(_REPLY, own.mac, own.address, own.address, "own-announced")
        ),
    }


def test_forged_frames_arrive_nowhere_and_would_without_the_guard(site: Site) -> None:
    false, true = forged(site), honest(site)
    assert arrived(site.victim, site.mallory, false) == set()
    assert arrived(site.victim, site.mallory, true) == set(true)
    with site.unguarded():
        assert arrived(site.victim, site.mallory, false) == set(false)
    assert arrived(site.victim, site.mallory, false) == set()


def test_no_guest_is_a_dhcp_server(site: Site) -> None:
    own = site.mallory
    frames = {
        name: frame(own.mac, _EVERYBODY, _IPV4, udp(own.address, target, name, ports))
        for name, target, ports in (
            ("offer-to-all", "255.255.255.255", (67, 68)),
            ("offer-to-one", site.victim.address, (67, 68)),
            ("port-apart", "255.255.255.255", (66, 68)),
        )
    }
    assert arrived(site.victim, own, frames) == {"port-apart"}
    with site.unguarded():
        assert arrived(site.victim, own, frames) == {"port-apart"}
    # And what guests themselves ask is answered by the network alone, and heard by nobody else.
    with site.mallory.wire() as ear:
        offered = eventually(lambda: veth.dhcp(site.victim, 1), "an address is offered")
        assert offered is not None
        assert offered[0] == site.victim.address
        assert not [one for one in drained(ear) if b"\x63\x82\x53\x63" in one]


def test_what_is_sent_to_all_stays_in_the_network(site: Site) -> None:
    own, group = site.mallory, b"\x01\x00\x5e\x00\x00\xfb"
    tag = struct.pack("!HH", 30, _TEST)
    to_all = {
        "who-has": frame(own.mac, _EVERYBODY, _ARP, arp(_REQUEST, own.mac, own.address, NOBODY, "who-has")),
        "multicast": frame(own.mac, group, _IPV4, udp(own.address, "224.0.0.251", "multicast")),
        "limited": frame(own.mac, _EVERYBODY, _IPV4, udp(own.address, "255.255.255.255", "limited")),
        "directed": frame(own.mac, _EVERYBODY, _IPV4, udp(own.address, "10.41.30.255", "directed")),
    }
    to_others = {
        "near": frame(own.mac, veth.packed(site.neighbour.mac), _IPV4, udp(own.address, NOBODY, "near")),
        "tagged": frame(own.mac, veth.packed(site.twin.mac), _VLAN, tag + b"tagged"),
        "twice": frame(own.mac, veth.packed(site.stranger.mac), _VLAN, struct.pack("!HH", 1, _VLAN) + tag + b"twice"),
        "far": frame(own.mac, veth.packed(site.stranger.mac), _IPV4, udp(own.address, site.stranger.address, "far")),
    }
    others = {site.neighbour: site.mallory, site.twin: site.stranger, site.stranger: site.twin}
    heard = leaked(own, site.victim, others, to_all | to_others)
    assert heard == {site.victim: set(to_all), **{other: set() for other in others}}
    # Nor is it the guard at the port that keeps it there: without one, only what is no IP is heard as well.
    raw = {"everybody": frame(own.mac, _EVERYBODY, _TEST, b"everybody")}
    with site.unguarded():
        heard = leaked(own, site.victim, others, to_all | to_others | raw)
    assert heard == {site.victim: {*to_all, *raw}, **{other: set() for other in others}}


def test_the_same_addresses_in_two_projects_are_two_places(site: Site) -> None:
    assert (site.mallory.address, site.victim.address) == (site.twin.address, site.stranger.address)
    servers = []
    for name, (guest, _) in site.guests.items():
        servers.append(guest.listen(guest.address, 80))
        veth.serve(servers[-1], name.encode())
    try:

        def says(guest: Guest, address: str) -> bytes:
            # Longer than it takes until a first packet that was lost is sent again.
            return guest.fetches(address, 80, 5.0)

        assert eventually(lambda: says(site.mallory, site.victim.address), "its neighbour answers") == b"victim"
        assert eventually(lambda: says(site.twin, site.stranger.address), "and so does the other's") == b"stranger"
        assert eventually(lambda: says(site.mallory, site.neighbour.address), "across the router") == b"neighbour"
        # No way leads from one project to what only the other has.
        assert says(site.twin, site.neighbour.address) == b""
        assert not connects(site.twin, site.neighbour.address, 22)
    finally:
        for server in servers:
            server.close()
