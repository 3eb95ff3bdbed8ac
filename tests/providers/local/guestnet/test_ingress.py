"""Which ports a loopback address listens on, and who may call."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.model.spec import Ingress
from pileus.providers.local.guestnet.ingress import MOST, WELL_KNOWN, admits, listened

ports = st.integers(0, 65535)
rules = st.builds(
    Ingress,
    cidr=st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "192.0.2.7/32", "::/0", "nonsense", ""]),
    port_min=ports,
    port_max=ports,
)


def rule(low: int, high: int, cidr: str = "0.0.0.0/0") -> Ingress:
    return Ingress(cidr=cidr, port_min=low, port_max=high)


def test_a_narrow_rule_gets_every_port() -> None:
    assert listened([rule(22, 22)]) == {22}
    assert listened([rule(9000, 9000 + MOST - 1)]) == set(range(9000, 9000 + MOST))


def test_a_wide_rule_gets_the_well_known_ports() -> None:
    assert listened([rule(0, 65535)]) == set(WELL_KNOWN[:MOST])
    assert {22, 80, 443, 3389, 5432, 8080} <= listened([rule(1, 65535)])
    wide = listened([rule(8079, 8200)])
    assert {8080, 8081} <= wide
    assert len(wide) == MOST


def test_well_known_ports_are_listed_once() -> None:
    assert len(set(WELL_KNOWN)) == len(WELL_KNOWN)
    assert len(WELL_KNOWN) >= MOST


@given(st.lists(rules, max_size=4))
def test_every_port_listened_on_is_admitted(given_rules: list[Ingress]) -> None:
    found = listened(given_rules)
    assert len(found) <= MOST * len(given_rules)
    for port in found:
        assert 1 <= port <= 65535
        assert admits(given_rules, port, "127.0.0.1")


@given(rules)
def test_a_rule_is_used_as_far_as_it_goes(one: Ingress) -> None:
    low, high = max(one.port_min, 1), min(one.port_max, 65535)
    usable = one.cidr[:1].isdigit() and low <= high
    assert len(listened([one])) == (min(high - low + 1, MOST) if usable else 0)


@given(rules, st.integers(1, 65535), st.ip_addresses(v=4).map(str))
def test_sources_bind(one: Ingress, port: int, source: str) -> None:
    expected = False
    if one.cidr[:1].isdigit() and one.port_min <= port <= one.port_max:
        inside = ipaddress.ip_address(source) in ipaddress.ip_network(one.cidr)
        expected = inside or source.startswith("127.")
    assert admits([one], port, source) is expected


@pytest.mark.parametrize(("source", "allowed"), [("127.9.9.9", True), ("192.0.2.7", True), ("192.0.2.8", False)])
def test_the_user_at_this_machine_meets_any_ipv4_source(source: str, allowed: bool) -> None:  # noqa: FBT001
    assert admits([rule(22, 22, "192.0.2.7/32")], 22, source) is allowed
    assert not admits([rule(22, 22, "192.0.2.7/32")], 23, source)
    assert not admits([rule(22, 22, "::/0")], 22, source)
