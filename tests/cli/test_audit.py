"""`pileus audit`: which lines are shown, and how."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from pileus.cli.audit import Choice, lines, moment, table
from pileus.cli.problem import Problem

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def line(time: str, **more: Any) -> dict[str, Any]:
    return {"time": time, "client": "192.0.2.7", "user": "ann", "action": "RunInstances", "code": "-", **more}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory whose log has been set aside twice, and has lines that were cut short."""
    (tmp_path / "cloud").mkdir()
    first = [line("2026-01-30T10:00:00.000Z"), line("2026-01-30T11:00:00.000Z", user="bob")]
    second = [line("2026-01-31T10:00:00.000Z", code="Unavailable", action="StopInstances")]
    third = [line("2026-01-31T11:30:00.000Z", user="-", action="-", code="suppressed", suppressed=42)]
    for name, found in (("audit.log.2", first), ("audit.log.1", second), ("audit.log", third)):
        text = "".join(json.dumps(one) + "\n" for one in found)
        (tmp_path / "cloud" / name).write_text(text + '{"time": "cut\n7\n')
    (tmp_path / "cloud" / "audit.log.lock").touch()
    return tmp_path


def test_lines_come_oldest_first_and_can_be_chosen(state: Path) -> None:
    def times(choice: Choice) -> list[str]:
        return [one["time"][8:13] for one in lines(state, choice)]

    assert times(Choice()) == ["30T10", "30T11", "31T10", "31T11"]
    assert times(Choice(since=moment("2h", NOW))) == ["31T10", "31T11"]
    assert times(Choice(user="bob")) == ["30T11"]
    # A line that counts calls of all actions is always among them.
    assert times(Choice(action="stop")) == ["31T10", "31T11"]
    assert times(Choice(refused=True)) == ["31T10", "31T11"]


def test_a_person_reads_a_table(state: Path) -> None:
    shown = table(lines(state, Choice())).splitlines()
    assert shown[0].split() == ["TIME", "CLIENT", "USER", "PROJECT", "KEY", "ACTION", "STATUS", "CODE", "REQUEST"]
    assert "42 more, refused" in shown[-1]
    assert len(shown) == 5
    assert "7 more, accepted" in table([line("2026-01-31T11:30:00.000Z", suppressed=7)])


def test_times_are_absolute_or_ago() -> None:
    assert moment("90s", NOW) == "2026-01-31T11:58:30.000Z"
    assert moment("1w", NOW) == "2026-01-24T12:00:00.000Z"
    assert moment("2026-01-30T12:00+01:00", NOW) == "2026-01-30T11:00:00.000Z"
    for wrong in ("soon", "9999999d", "", "2026-13-01"):
        with pytest.raises(Problem):
            moment(wrong, NOW)


def test_where_there_is_no_cloud_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no cloud"):
        list(lines(tmp_path, Choice()))
    (tmp_path / "cloud").mkdir()
    assert list(lines(tmp_path, Choice())) == []
