"""Which ports a loopback address has, and who may call."""

import ipaddress
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.model.instance import Power
from pileus.model.spec import Ingress, InstanceSpec, NicSpec
from pileus.providers.local.guestnet.ingress import Ranges, admits
from pileus.providers.local.guestnet.ingress import admitted as admitted_of

ports = st.integers(0, 65535)
rules = st.builds(
    Ingress,
    cidr=st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "192.0.2.7/32", "::/0", "nonsense", ""]),
    port_min=ports,
    port_max=ports,
)


def rule(low: int, high: int, cidr: str = "0.0.0.0/0") -> Ingress:
    return Ingress(cidr=cidr, port_min=low, port_max=high)


def admitted(*nics: list[Ingress]) -> Ranges:
    """The ports of an instance whose network ports have these rules."""
    made = [
        NicSpec(
            uuid=f"port-{number}",
            ec2_id=f"eni-{number}",
            mac="",
            address="",
            cidr="",
            gateway="",
            localport="",
            localport_mac="",
            network="",
            ingress=tuple(each),
        )
        for number, each in enumerate(nics)
    ]
    return admitted_of(InstanceSpec(uuid="i", power=Power(), vcpus=1, memory=1, ec2_id="i-1", nics=tuple(made)))


def test_ranges_that_overlap_or_touch_are_one() -> None:
    assert admitted([rule(80, 95), rule(22, 22)], [rule(90, 99), rule(100, 110)]) == ((22, 22), (80, 110))
    assert admitted([rule(0, 65535), rule(22, 22, "::/0")]) == ((1, 65535),)
    assert admitted([rule(23, 22)], [rule(0, 0)]) == ()


@given(st.lists(rules, max_size=6))
def test_the_ranges_are_the_ports_that_a_rule_admits(some_rules: list[Ingress]) -> None:
    ranges = admitted(some_rules[:3], some_rules[3:])
    assert all(first <= last for first, last in ranges)
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(ranges))
    edges = {each + by for one in some_rules for each in (one.port_min, one.port_max) for by in (-1, 0, 1)}
    for port in edges & set(range(1, 65536)):
        inside = any(first <= port <= last for first, last in ranges)
        assert inside is admits(some_rules, port, "127.0.0.1")


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
