"""The journal as it grows: lines, and their outcomes when those come later."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from pileus.cli.client import Client
from pileus.cli.problem import Problem

PAUSE = 1.0
"""Seconds between two looks at the journal."""

PAGE = 200
MOST_PAGES = 10
"""How many pages of new lines one look reads; older ones are left out, and their number cannot be told."""

MOST_OPEN = 200
"""How many lines without an outcome are watched: the newest."""

MOST_ASKED = 10
"""How many of these that are older than a page one look asks for, by number."""


class JournalFeed:
    """The lines of a journal, each when it is new, and again when it has an outcome. Blocks on the cloud."""

    def __init__(self, client: Client, query: Mapping[str, str]) -> None:
        self._client = client
        self._query = dict(query)
        self._newest = -1
        self._open: set[int] = set()

    def begin(self, most: int) -> list[dict[str, Any]]:
        """The newest `most` lines, oldest first."""
        lines: list[dict[str, Any]] = self._client.get("journal", **self._query, limit=str(max(1, most)))["journal"][
            ::-1
        ]
        self._newest = max((line["id"] for line in lines), default=0)
        self._watch(lines)
        return lines if most else []

    def look(self) -> list[dict[str, Any]]:
        """The lines that are new or ended since the last look, in the order of their numbers."""
        page_lines = self._newest_lines()
        new_lines = [line for number, line in page_lines.items() if number > self._newest]
        older = sorted(number for number in self._open if number not in page_lines)
        watched = [page_lines[number] for number in self._open if number in page_lines]
        watched += filter(None, map(self._line, older[-MOST_ASKED:]))
        ended = [line for line in watched if line["outcome"] != "open"]
        self._newest = max([self._newest, *page_lines])
        self._watch([*ended, *new_lines])
        return sorted([*ended, *new_lines], key=lambda line: int(line["id"]))

    def _newest_lines(self) -> dict[int, dict[str, Any]]:
        """The pages of newest lines that reach back to the last look, by number."""
        lines: dict[int, dict[str, Any]] = {}
        more: str | None = ""
        for _ in range(MOST_PAGES):
            page = self._client.get("journal", **self._query, limit=str(PAGE), **({"after": more} if more else {}))
            lines |= {line["id"]: line for line in page["journal"]}
            more = page["next"]
            if more is None or min(lines, default=0) <= self._newest:
                break
        return lines

    def _line(self, number: int) -> dict[str, Any] | None:
        """The line with this number; None, and no longer watched, where the journal has it no more."""
        try:
            return self._client.get("journal", str(number))
        except Problem:
            self._open.discard(number)
            return None

    def _watch(self, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            self._open.discard(line["id"])
            if line["outcome"] == "open":
                self._open.add(line["id"])
        self._open = set(sorted(self._open)[-MOST_OPEN:])


def follow(client: Client, query: Mapping[str, str], most: int) -> Iterator[dict[str, Any]]:
    """The newest `most` lines, and then each line as it comes or ends, without end. Raises Problem."""
    feed = JournalFeed(client, query)
    yield from feed.begin(most)
    while True:
        time.sleep(PAUSE)  # the REST API has no push: the journal is read once a pause
        yield from feed.look()
