"""The audit log of a cloud on this machine, read from its state directory: it can be read while the cloud is down."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from pileus.cli.problem import Problem
from pileus.cli.tables import lined

FILE = "cloud/audit.log"
"""The newest file, below the state directory; older ones have numbers, the oldest the highest."""

COLUMNS = ("time", "client", "user", "project", "key", "action", "status", "code", "request")

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines are meant; an empty field means all. `since` is a time as lines have it."""

    since: str = ""
    user: str = ""
    action: str = ""
    refused: bool = False

    def has(self, line: Mapping[str, Any]) -> bool:
        """Whether this line is one of them, or counts calls that may be."""
        action = str(line.get("action", ""))
        of_all_actions = action == "-" and line.get("suppressed", 0) > 0
        return (
            str(line.get("time", "")) >= self.since
            and self.user in ("", line.get("user"))
            and (self.action.lower() in action.lower() or of_all_actions)
            and (not self.refused or line.get("code", "-") != "-")
        )


def moment(text: str, now: datetime) -> str:
    """A time as lines have it: of `90s`, `30m`, `2h`, `7d`, `1w` ago, or of an ISO 8601 time. Raises Problem."""
    ago = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    try:
        if ago:
            then = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            time = datetime.fromisoformat(text)
            then = time if time.tzinfo else time.astimezone()
        return then.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError) as error:
        raise Problem(f"'{text}' is no time: give 30m, 2h, 7d, or 2026-01-31T12:00.") from error


def lines(state: Path, choice: Choice) -> Iterator[dict[str, Any]]:
    """The lines that are meant, the oldest first. Raises Problem."""
    newest = state / FILE
    try:
        older = sorted(newest.parent.glob(f"{newest.name}.[0-9]*"), key=lambda file: -int(file.suffix[1:]))
        files = [file for file in (*older, newest) if file.exists()]
        if not files and not newest.parent.is_dir():
            raise Problem(f"There is no cloud in {state}, or it is not yours to read: use sudo, or another --state.")
        for file in files:
            with file.open("rb") as source:
                yield from filter(choice.has, _decoded(source))
    except PermissionError as error:
        raise Problem(f"{newest.parent} is not yours to read: use sudo, or another --state.") from error


def _decoded(source: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The lines that are whole: a full disk, or the end of its process, may have cut one short."""
    for line in source:
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        if isinstance(fields, dict):
            yield fields


def table(lines: Iterable[Mapping[str, Any]]) -> str:
    """A line a call, under a heading."""
    rows = [[column.upper() for column in COLUMNS]]
    rows += [[_cell(line, column) for column in COLUMNS] for line in lines]
    return lined(rows)


def _cell(line: Mapping[str, Any], column: str) -> str:
    if column == "code" and line.get("suppressed"):
        return f"{line['suppressed']} more, {'accepted' if line.get('code') == '-' else 'refused'}"
    return str(line.get(column, "-"))
