"""Ranges that are given: which addresses guests have, and which two the network keeps for itself."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.model import addresses, subnet
from pileus.model.subnet import Wanted


@pytest.mark.parametrize(
    ("pool", "around"),
    [
        ("10.0.0.100-10.0.0.200", ("10.0.0.0/24", "10.0.0.1", "10.0.0.2")),
        ("192.168.1.1-192.168.1.254", ("192.168.0.0/23", "192.168.0.1", "192.168.0.2")),
        ("10.98.0.4-10.98.255.254", ("10.98.0.0/16", "10.98.0.1", "10.98.0.2")),
        ("10.0.0.1-10.0.0.2", ("10.0.0.0/28", "10.0.0.3", "10.0.0.4")),
        ("10.0.0.1-10.0.0.254", ("10.0.0.0/23", "10.0.1.1", "10.0.1.2")),
        ("10.0.0.110-10.0.0.110", ("10.0.0.96/28", "10.0.0.97", "10.0.0.98")),
    ],
)
def test_the_smallest_range_with_room_for_two_more(pool: str, around: tuple[str, str, str]) -> None:
    assert addresses.around(*addresses.pool(pool)) == around


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0.1",
        "10.0.0.1-",
        "10.0.0.9-10.0.0.1",
        "10.0.0.1-10.0.0.2-10.0.0.3",
        "10.0.0.1-10.0.0.256",
        "a-b",
        "127.0.0.1-127.0.0.9",
        "224.0.0.1-224.0.0.9",
        "169.254.1.1-169.254.1.9",
        "0.0.0.1-0.0.0.2",
        "1.0.0.1-223.0.0.1",
        "::1-::2",
        "10.0.0.1; id-10.0.0.2",
    ],
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ValueError, match="range"):
        addresses.around(*addresses.pool(text))


@given(low=st.integers(0x0A000001, 0x0A0FFFFF), count=st.integers(1, 4000))
def test_guests_never_get_what_the_network_needs(low: int, count: int) -> None:
    first, last = str(ipaddress.IPv4Address(low)), str(ipaddress.IPv4Address(low + count - 1))
    cidr, gateway, localport = addresses.around(first, last)
    wanted = Wanted(network="n", cidr=cidr, pool=f"{first}-{last}", gateway=gateway, localport=localport)
    offsets = subnet.usable(wanted)
    net = ipaddress.IPv4Network(cidr)
    assert (str(net[offsets[0]]), str(net[offsets[-1]]), len(offsets)) == (first, last, count)
    own = {addresses.offset(cidr, subnet.gateway(wanted)), addresses.offset(cidr, subnet.localport(wanted))}
    assert len(own) == 2
    assert not (own | {0, net.num_addresses - 1}) & set(offsets)


def test_what_says_nothing_is_as_on_ec2() -> None:
    wanted = Wanted(network="n", cidr="172.31.0.0/20")
    assert (subnet.gateway(wanted), subnet.localport(wanted)) == ("172.31.0.1", "172.31.0.2")
    assert subnet.usable(wanted) == range(4, 4095)


@pytest.mark.parametrize(
    ("text", "good"),
    [("127.0.0.1:0", True), ("[::1]:65535", True), ("127.0.0.1:65536", False), ("::1:80", False), ("here:80", False)]
    + [(text, False) for text in ("", "127.0.0.1", "[127.0.0.1]:80", "127.0.0.1:", "127.0.0.1:٣", "256.0.0.1:80")],
)
def test_a_listening_address_is_numeric_with_a_port(text: str, good: bool) -> None:  # noqa: FBT001  (of a table)
    assert addresses.is_socket_address(text) is good
