"""The tree of routers, networks, subnets and instances."""

from __future__ import annotations

from typing import Any

import pytest

from pileus.cli import colours
from pileus.cli import map as maps


def noun(kind: str, name: str = "", assigned: dict[str, Any] | None = None, **wanted: Any) -> dict[str, Any]:
    ident = f"{kind}-{name}"
    return {"kind": kind, "id": ident, "uuid": ident, "name": name, "assigned": assigned, "wanted": wanted}


LISTS: maps.Lists = {
    "routers": [noun("router", "lab", cidr="10.0.0.0/16")],
    "internetgateways": [noun("internetgateway", router="router-lab"), noun("internetgateway", "spare", router="")],
    "networks": [noun("network", "front", router="router-lab"), noun("network", "alone", router=None)],
    "subnets": [noun("subnet", "a", network="network-front", cidr="10.0.1.0/24")],
    "natgateways": [noun("natgateway", "out", {"address": "10.0.1.9"}, subnet="subnet-a")],
    "ports": [
        noun("port", "1", {"address": "10.0.1.4"}, subnet="subnet-a", instance="instance-web"),
        noun("port", "2", {"address": "10.0.1.5"}, subnet="subnet-a", instance=None),
    ],
    "instances": [
        {**noun("instance", "web"), "state": "running"},
        {**noun("instance", "bare"), "name": "ba\x1bre", "state": "stopped"},
    ],
    "floatingips": [{"port": "port-1", "address": "198.51.100.7"}, {"port": "", "address": "198.51.100.8"}],
}


def test_every_noun_stands_below_the_one_that_it_is_on() -> None:
    assert maps.drawn(maps.tree(LISTS)) == [
        "├─ router  lab  router-lab  10.0.0.0/16",
        "│  ├─ internetgateway  internetgateway-  to the outside",
        "│  └─ network  front  network-front",
        "│     └─ subnet  a  subnet-a  10.0.1.0/24",
        "│        ├─ instance  web  instance-web  10.0.1.4 (198.51.100.7)  running",
        "│        ├─ port  2  port-2  10.0.1.5",
        "│        └─ natgateway  out  natgateway-out  10.0.1.9",
        "├─ network  alone  network-alone",
        "└─ instance  ba\ufffdre  instance-bare  stopped",
    ]


def test_a_terminal_shows_states_in_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colours, "enabled", lambda: True)
    lines = maps.drawn(maps.tree(LISTS))
    assert any("\x1b[1mweb\x1b[0m" in line and line.endswith("\x1b[32mrunning\x1b[0m") for line in lines)


def test_a_document_has_what_is_below() -> None:
    first, *_ = map(maps.document, maps.tree(LISTS))
    assert (first["kind"], first["name"], first["words"]) == ("router", "lab", "10.0.0.0/16")
    assert [each["kind"] for each in first["below"]] == ["internetgateway", "network"]
    assert "state" not in first
