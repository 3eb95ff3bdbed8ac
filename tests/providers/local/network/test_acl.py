"""Security rules become the access control lists that say the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.model.securitygroup import RANKS, Action, Rule
from pileus.providers.local.network import acl

OWN = "0f8fad5b-d9cb-469f-a165-70867728950e"
HIGHEST, LOWEST = 32764, 1002
MAC = "02:51:00:00:00:01"
OTHER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
WEB, DB = acl.tag_name("", "web"), acl.tag_name("", "db")
TARGETS = ", ".join(sorted(f"${each}_ip4" for each in (DB, WEB)))
IN, OUT = f"outport == @{acl.group_name(OWN)}", f"inport == @{acl.group_name(OWN)}"

MEMBERS = f"${acl.group_name(OTHER)}"


@pytest.mark.parametrize(
    ("rule", "direction", "match"),
    [
        (Rule(id="r"), "to-lport", f"{IN} && ip4"),
        (Rule(id="r", cidr="0.0.0.0/0"), "to-lport", f"{IN} && ip4"),
        (Rule(id="r", direction="egress", cidr="10.0.0.0/8"), "from-lport", f"{OUT} && ip4 && ip4.dst == 10.0.0.0/8"),
        (
            Rule(id="r", protocol="tcp", port_min=22, port_max=22, cidr="10.0.0.0/8"),
            "to-lport",
            f"{IN} && ip4 && tcp && tcp.dst == 22 && ip4.src == 10.0.0.0/8",
        ),
        (
            Rule(id="r", protocol="udp", port_min=1000, port_max=2000),
            "to-lport",
            f"{IN} && ip4 && udp && udp.dst >= 1000 && udp.dst <= 2000",
        ),
        (Rule(id="r", protocol="tcp", port_min=0, port_max=65535), "to-lport", f"{IN} && ip4 && tcp"),
        (Rule(id="r", protocol="icmp", port_min=-1, port_max=-1), "to-lport", f"{IN} && icmp4"),
        (
            Rule(id="r", protocol="icmp", port_min=8, port_max=0),
            "to-lport",
            f"{IN} && icmp4 && icmp4.type == 8 && icmp4.code == 0",
        ),
        (Rule(id="r", number=47), "to-lport", f"{IN} && ip4 && ip.proto == 47"),
        (
            Rule(id="r", cidr="10.0.0.0/8", targets=("web", "db")),
            "to-lport",
            f"{IN} && ip4 && ip4.src == 10.0.0.0/8 && ip4.dst == {{{TARGETS}}}",
        ),
        (
            Rule(id="r", direction="egress", tag="web"),
            "from-lport",
            f"{OUT} && (ip4.dst == ${WEB}_ip4 || ip6.dst == ${WEB}_ip6)",
        ),
        (
            Rule(id="r", protocol="tcp", port_min=22, port_max=22, group=OTHER),
            "to-lport",
            f"{IN} && tcp && tcp.dst == 22 && (ip4.src == {MEMBERS}_ip4 || ip6.src == {MEMBERS}_ip6)",
        ),
        (
            Rule(id="r", direction="egress", group=OWN),
            "from-lport",
            f"{OUT} && (ip4.dst == ${acl.group_name(OWN)}_ip4 || ip6.dst == ${acl.group_name(OWN)}_ip6)",
        ),
        (
            Rule(id="r", protocol="icmpv6", port_min=128, port_max=-1, group=OTHER),
            "to-lport",
            f"{IN} && icmp6 && icmp6.type == 128 && ip6.src == ${acl.group_name(OTHER)}_ip6",
        ),
        (Rule(id="r", protocol="icmp", cidr="2001:db8::/32"), "to-lport", f"{IN} && icmp6 && ip6.src == 2001:db8::/32"),
    ],
)
def test_a_rule_becomes_its_match(rule: Rule, direction: str, match: str) -> None:
    made = acl.rule(OWN, rule)
    assert (made["direction"], made["match"]) == (direction, match)


@given(
    st.builds(
        Rule,
        id=st.just("r"),
        direction=st.sampled_from(["ingress", "egress"]),
        action=st.sampled_from(["allow", "deny"]),
        priority=st.none() | st.integers(0, 65535),
        protocol=st.sampled_from(["tcp", "udp", "icmp", "all"]),
        port_min=st.none() | st.integers(0, 255),
        port_max=st.none() | st.integers(0, 255),
        group=st.sampled_from(["", OTHER]),
    )
)
def test_no_rule_reaches_beyond_its_group(rule: Rule) -> None:
    made = acl.rule(OWN, rule)
    inward = rule.direction == "ingress"
    assert made["match"].split(" && ")[0] == (IN if inward else OUT)
    assert made["direction"] == ("to-lport" if inward else "from-lport")
    assert LOWEST <= made["priority"] <= HIGHEST
    assert made["action"] == ("allow-related" if rule.action == "allow" else "drop")
    assert "||" not in re.sub(r"\([^()]*\)", "", made["match"])
    assert (f"${acl.group_name(OTHER)}_ip4" in made["match"]) == bool(rule.group)


@given(
    st.lists(st.tuples(st.integers(0, 65535), st.sampled_from(["allow", "deny"])), min_size=2, max_size=2, unique=True)
)
def test_the_lower_priority_decides_and_of_equal_ones_the_rule_that_denies(rules: list[tuple[int, Action]]) -> None:
    ordered = sorted(rules, key=lambda each: (each[0], each[1] == "allow"))
    first, second = (Rule(id="r", priority=priority, action=action) for priority, action in ordered)
    above, below = (acl.rule(OWN, each)["priority"] for each in (first, second))
    assert acl.rule(OWN, Rule(id="r"))["priority"] < min(above, below)
    assert max(above, below) <= HIGHEST
    (low, _), (high, _) = ordered
    assert above > below or (first.rank == second.rank and high - low < 8 and low >= 8192 and high < 65528)


def test_the_places_of_rules_with_a_priority_are_all_used() -> None:
    ranks = {priority: Rule(id="r", priority=priority).rank for priority in range(65536)}
    assert set(ranks.values()) == set(range(RANKS))
    assert [ranks[priority] for priority in (8191, 8192, 8199, 8200)] == [8191, 8192, 8192, 8193]
    assert acl.rule(OWN, Rule(id="r", priority=65535))["priority"] > LOWEST


def test_a_groups_name_is_an_identifier() -> None:
    assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", acl.group_name(OWN))


def test_all_else_is_dropped_below_every_rule() -> None:
    drops = acl.drop()
    assert {each["direction"] for each in drops} == {"to-lport", "from-lport"}
    assert {each["action"] for each in drops} == {"drop"}
    assert all(each["priority"] < LOWEST for each in drops)


def test_what_no_guest_may_stands_above_all_that_one_may() -> None:
    allowed = [
        *acl.always(OWN, ["10.0.0.1"], ["10.0.0.2"], [MAC]),
        acl.rule(OWN, Rule(id="r", action="deny", priority=0)),
    ]
    for each in acl.never():
        assert each["action"] == "drop"
        assert each["priority"] > max(other["priority"] for other in allowed)


def test_the_localport_is_closed_above_every_rule_but_for_what_it_serves() -> None:
    (closed,) = (each for each in acl.always(OWN, ["10.0.0.1"], ["10.0.0.2"], [MAC]) if each["action"] == "drop")
    assert closed["match"] == "inport == @pg_drop && ip4 && ip4.dst == {10.0.0.2, 169.254.169.254}"
    assert closed["priority"] > HIGHEST


def test_what_guests_always_may_stands_above_every_rule() -> None:
    always = acl.always(OWN, ["10.0.0.1", "10.1.0.1"], ["10.0.0.2", "10.1.0.2"], [MAC])
    assert all(each["priority"] > HIGHEST for each in always)
    (entering,) = (each for each in always if each["direction"] == "to-lport")
    local = "ip4.src == {10.0.0.2, 10.1.0.2}"
    assert entering["match"] == f"outport == @pg_drop && {local} && eth.src == {{{MAC}}} && tcp"


def test_metadata_by_ipv6_is_all_that_guests_reach_of_the_localport() -> None:
    asks, closed = acl.metadata6(OWN, ["fd00::2"])
    assert asks["match"] == "inport == @pg_drop && ip6.dst == fd00:ec2::254 && tcp.dst == 80"
    assert (closed["match"], closed["action"]) == ("inport == @pg_drop && ip6.dst == {fd00::2, fd00:ec2::254}", "drop")
    assert asks["priority"] > closed["priority"] > HIGHEST
    assert acl.metadata6(OWN, []) == []


def test_a_network_without_subnets_needs_nothing() -> None:
    assert acl.always(OWN, [], [], []) == []
