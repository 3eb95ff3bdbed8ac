"""The TCP ingress of ordered rules."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.model.securitygroup import Rule
from pileus.rules.ingress import admitted

CIDRS = ("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "192.0.2.0/24")
ADDRESSES = ("10.1.2.3", "10.1.9.9", "10.9.9.9", "192.0.2.7", "203.0.113.1")


def rules() -> st.SearchStrategy[Rule]:
    ordered = st.builds(
        Rule,
        id=st.just("r"),
        action=st.sampled_from(["allow", "deny"]),
        priority=st.integers(0, 3),
        protocol=st.just("tcp"),
        port_min=st.integers(20, 23),
        port_max=st.integers(23, 26),
        cidr=st.sampled_from(CIDRS),
        targets=st.sampled_from([(), ("web",), ("db",)]),
    )
    plain = st.builds(Rule, id=st.just("r"), cidr=st.sampled_from(CIDRS))
    return ordered | plain


def first_verdict(listed: list[Rule], address: str, port: int) -> bool:
    """The verdict by the definition: of the rules that fit, the first one in the order decides."""
    fitting = [
        rule
        for rule in listed
        if ipaddress.IPv4Address(address) in ipaddress.IPv4Network(rule.cidr)
        and (rule.protocol == "all" or rule.port_min <= port <= rule.port_max)  # type: ignore[operator]  # both are set
        and (not rule.targets or "web" in rule.targets)
    ]
    order = sorted(fitting, key=lambda rule: (rule.priority is None, rule.priority or 0, rule.action == "allow"))
    return bool(order) and order[0].action == "allow"


@given(st.lists(rules(), max_size=6))
def test_what_is_admitted_is_what_the_first_fitting_rule_allows(listed: list[Rule]) -> None:
    ingress = admitted(listed, ("web",))
    for address in ADDRESSES:
        for port in (19, 20, 22, 23, 25, 27):
            inside = any(
                ipaddress.IPv4Address(address) in ipaddress.IPv4Network(each.cidr)
                and each.port_min <= port <= each.port_max
                for each in ingress
            )
            assert inside == first_verdict(listed, address, port)


@pytest.mark.parametrize(
    "rule",
    [
        Rule(id="r", cidr="2001:db8::/32"),
        Rule(id="r", group="g"),
        Rule(id="r", tag="web", priority=1),
        Rule(id="r", cidr="0.0.0.0/0", direction="egress"),
        Rule(id="r", cidr="0.0.0.0/0", protocol="udp", port_min=1, port_max=2),
        Rule(id="r", cidr="0.0.0.0/0", number=47),
    ],
)
def test_rules_for_guests_and_other_traffic_admit_no_tcp(rule: Rule) -> None:
    assert admitted([rule]) == []
