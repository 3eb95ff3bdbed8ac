"""Lists are aligned, and say `-` where there is nothing."""

from __future__ import annotations

import re
import socket

import pytest

from pileus.cli import colours, ssh, tables
from pileus.model.nouns import NOUNS


def test_columns_are_aligned_and_gaps_are_dashes() -> None:
    found = tables.table("flavor", [{"name": "m1.small", "wanted": {"vcpus": 1, "memory": 512}}, {"name": "x"}])
    assert found.splitlines() == [
        "NAME      VCPUS  MEMORY  DISK  TRAITS  RETIRED",
        "m1.small  1      512     -     -       -",
        "x         -      -       -     -       -",
    ]


def test_an_address_is_shown_where_it_leads_to_its_instance() -> None:
    here, there = ({"id": "i-1", "loopback": "127.77.0.1", "host": host} for host in (socket.gethostname(), "far-away"))
    heading, first, second = tables.table("instance", [here, there]).splitlines()
    at = heading.index("LOOPBACK")
    assert first[at:].split()[0] == "127.77.0.1"
    assert second[at:].startswith("on far-away")
    assert (ssh.here(socket.gethostname()), ssh.here("far-away")) == (True, False)


def test_what_users_wrote_stays_in_its_cell() -> None:
    lines = tables.table("user", [{"id": "u", "name": "a\nb\tc\x1b[2J\x9b\u202ed \u00e9\u2603"}]).splitlines()
    assert len(lines) == 2
    assert lines[1] == "u   a\ufffdb\ufffdc\ufffd[2J\ufffd\ufffdd \u00e9\u2603  -        -"


def test_columns_are_of_nouns_that_exist() -> None:
    assert tables.COLUMNS.keys() <= NOUNS.keys()


def test_an_explanation_begins_with_what_is_waited_for() -> None:
    found = {
        "kind": "port",
        "id": "eni-1",
        "name": "",
        "waits_for": ["rain"],
        "due": None,
        "wanted": {"a": 1},
        "assigned": None,
        "seen": {},
        "journal": [{"at": 0.0, "verb": "port.create", "user": "u", "face": "f", "outcome": "failed", "detail": "X"}],
    }
    lines = tables.explanation(found).splitlines()
    assert lines[:4] == ["port eni-1", "", "waits for", "  rain"]
    assert "  a  1" in lines
    assert lines[-1].endswith("port.create  by u (f)  failed X")


def test_a_document_is_outlined() -> None:
    rules = [{"id": "r1", "targets": ["x", "y"]}, {"id": "r2", "targets": []}]
    lines = tables.outlined({"a": 1, "public": True, "note": "", "rules": rules, "power": {"state": "running"}})
    assert lines == [
        "a       1",
        "public  yes",
        "rules",
        "  - id       r1",
        "    targets  x, y",
        "  - id  r2",
        "    empty: targets",
        "power",
        "  state  running",
        "empty: note",
    ]


def test_a_long_value_is_cut_and_what_users_wrote_commands_no_terminal() -> None:
    lines = tables.outlined({"user_data": "x" * 300, "n\x1b": "\x1b[2J"})
    assert lines[0].endswith("… (300 characters; --json shows all)")
    assert "\x1b" not in "".join(lines)


def test_a_terminal_has_colours_and_the_columns_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("NAME", "STATE"), ("running", "running"), ("web", "error")]
    plain_lines = tables.lined(rows).splitlines()
    monkeypatch.setattr(colours, "enabled", lambda: True)
    lines = tables.lined(rows).splitlines()
    assert [re.sub(r"\x1b\[\d*m", "", line).rstrip() for line in lines] == plain_lines
    assert lines[1].startswith("running  \x1b[32mrunning")
    assert "\x1b[31merror" in lines[2]
