"""Rules by the words that people have for ports."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.cli import rules
from pileus.cli.problem import Problem

NO_PORTS = {"port_min": None, "port_max": None, "number": None}


@pytest.mark.parametrize(
    ("text", "body", "shown"),
    [
        ("80", {"protocol": "tcp", "port_min": 80, "port_max": 80}, "80/tcp"),
        ("8000-8100", {"protocol": "tcp", "port_min": 8000, "port_max": 8100}, "8000-8100/tcp"),
        ("53/UDP", {"protocol": "udp", "port_min": 53, "port_max": 53}, "53/udp"),
        ("tcp", {"protocol": "tcp", "port_min": 0, "port_max": 65535}, "tcp"),
        ("icmp", {"protocol": "icmp", "port_min": -1, "port_max": -1}, "icmp"),
        ("all", {"protocol": "all"}, "all"),
    ],
)
def test_ports_in_words(text: str, body: dict[str, Any], shown: str) -> None:
    assert rules.traffic(text) == body
    assert rules.shown_ports({**NO_PORTS, **body}) == shown
    assert rules.traffic(shown) == body


@pytest.mark.parametrize("text", ["", "-", "80-", "90-80", "65536", "80/icmp", "80/", "http", "80/tcp/udp", "²", "-1"])
def test_words_that_say_no_ports(text: str) -> None:
    with pytest.raises(Problem, match="says no ports"):
        rules.traffic(text)


@given(st.text(max_size=20))
def test_any_word_says_ports_or_is_refused(text: str) -> None:
    try:
        body = rules.traffic(text)
    except Problem:
        return
    assert rules.traffic(rules.shown_ports({**NO_PORTS, **body})) == body


def test_rules_of_other_faces_are_shown() -> None:
    assert rules.shown_ports({"protocol": "all", "port_min": None, "port_max": None, "number": 47}) == "protocol 47"
    assert rules.shown_ports({"protocol": "icmp", "port_min": 8, "port_max": 0, "number": None}) == "icmp type 8 code 0"
    side = {"cidr": "", "tag": "", "group": "u-1", "prefixlist": ""}
    assert rules.shown_side(side, {"u-1": "web"}) == "web"
    assert rules.shown_side({**side, "tag": "db"}, {}) == "tag:db"


def test_a_rule_is_meant_by_its_id_or_its_ports() -> None:
    rule = {"id": "sgr-1", "direction": "ingress", **NO_PORTS, "protocol": "tcp", "port_min": 80, "port_max": 80}
    assert rules._rule_id("sgr-1", "web", [rule]) == rules._rule_id("80", "web", [rule]) == "sgr-1"
    with pytest.raises(Problem, match="2 rules of web are for 80: sgr-1, sgr-2"):
        rules._rule_id("80", "web", [rule, {**rule, "id": "sgr-2"}])
    for word in ("81", "sgr-9"):
        with pytest.raises(Problem, match=f"No rule of web is for {word}"):
            rules._rule_id(word, "web", [rule, {**rule, "id": "sgr-3", "direction": "egress"}])
