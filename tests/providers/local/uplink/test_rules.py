"""The rules of the uplink as text; tests/live/test_uplink.py has packets."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from pileus.providers.local.uplink import rules


@given(st.sets(st.ip_addresses(), max_size=20))
def test_each_own_address_is_an_element_of_the_set_of_its_version(own: set[rules.Address]) -> None:
    lines = rules.own_addresses(own).splitlines()
    elements: set[rules.Address] = set()
    for version in (4, 6):
        assert f"flush set inet uplink own{version}" in lines
        for line in lines:
            if line.startswith(f"add element inet uplink own{version} "):
                members = [ipaddress.ip_address(word.strip()) for word in line.partition("{")[2].strip(" }").split(",")]
                assert all(member.version == version for member in members)
                elements |= set(members)
    assert elements == own


def test_the_table_is_replaced_in_one_transaction_with_ranges_and_rate() -> None:
    text = rules.table("198.51.100.0/24", "fd70:696c:6500::/40", 12345, [ipaddress.ip_address("192.0.2.2")])
    assert text.startswith("add table inet uplink\ndelete table inet uplink\ntable inet uplink {\n")
    assert text.count("limit rate over 12345 bytes/second") == 2, "each way"
    assert "ip saddr 198.51.100.0/24 accept" in text
    assert "ip6 saddr fd70:696c:6500::/40 accept" in text
    assert text.endswith("add element inet uplink own4 { 192.0.2.2 }\nflush set inet uplink own6\n")


def test_loopback_and_metadata_are_closed() -> None:
    closed = [ipaddress.ip_network(cidr) for cidr in (*rules.CLOSED_IPV4, *rules.CLOSED_IPV6)]
    opened = [ipaddress.ip_network(cidr) for cidr in rules.OPEN_IPV6]

    def reached(text: str) -> bool:
        address = ipaddress.ip_address(text)
        return not any(address in cidr for cidr in closed) and (
            address.version == 4 or any(address in cidr for cidr in opened)
        )

    for text in ("127.0.0.1", "127.255.255.254", "0.0.0.0", "169.254.169.254", "::1", "::", "::ffff:127.0.0.1"):  # noqa: S104  (an address that is refused)
        assert not reached(text)
    for text in ("192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00:1::1"):
        assert reached(text)
