"""The journal as it grows: each line once when it is new, and once more when it has an outcome."""

from __future__ import annotations

from typing import Any

from pileus.cli import events
from pileus.cli.client import Client
from pileus.cli.problem import Problem


class JournalClient(Client):
    """A cloud that has a journal alone."""

    def __init__(self, count: int = 0) -> None:
        super().__init__("http://127.0.0.1:1/v1", "t")
        self.lines = [{"id": number, "outcome": "done"} for number in range(1, count + 1)]
        self.questions = 0

    def add(self, outcome: str) -> None:
        """One more line."""
        self.lines.append({"id": len(self.lines) + 1, "outcome": outcome})

    def get(self, *words: str, **query: str) -> dict[str, Any]:
        """A page, newest first, or the line of a number."""
        self.questions += 1
        if len(words) == 2:
            line = next((line for line in self.lines if str(line["id"]) == words[1]), None)
            if line is None:
                raise Problem("The journal has no such line.")
            return dict(line)
        before, limit = int(query.get("after") or 1 << 30), int(query["limit"])
        page = [dict(line) for line in self.lines[::-1] if int(str(line["id"])) < before]
        more = str(page[limit - 1]["id"]) if len(page) > limit else None
        return {"journal": page[:limit], "next": more}


def numbers(lines: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return [(line["id"], line["outcome"]) for line in lines]


def test_a_line_comes_once_and_again_with_its_outcome() -> None:
    cloud = JournalClient(3)
    feed = events.JournalFeed(cloud, {})
    assert numbers(feed.begin(2)) == [(2, "done"), (3, "done")]
    assert feed.look() == []
    cloud.add("open")
    cloud.add("done")
    assert numbers(feed.look()) == [(4, "open"), (5, "done")]
    assert feed.look() == []
    cloud.lines[3]["outcome"] = "failed"
    assert numbers(feed.look()) == [(4, "failed")]
    assert feed.look() == []


def test_more_lines_than_a_page_all_come() -> None:
    cloud = JournalClient(1)
    feed = events.JournalFeed(cloud, {})
    assert feed.begin(0) == []
    cloud.add("open")
    assert numbers(feed.look()) == [(2, "open")]
    for _ in range(2 * events.PAGE + 5):
        cloud.add("done")
    cloud.lines[1]["outcome"] = "done"
    assert [line["id"] for line in feed.look()] == list(range(2, len(cloud.lines) + 1))


def test_an_open_line_that_no_page_shows_any_more_is_asked_for() -> None:
    cloud = JournalClient()
    feed = events.JournalFeed(cloud, {})
    cloud.add("open")
    feed.begin(1)
    for _ in range(events.PAGE):
        cloud.add("done")
    feed.look()
    cloud.add("done")
    cloud.lines[0]["outcome"] = "done"
    assert numbers(feed.look()) == [(1, "done"), (events.PAGE + 2, "done")]


def test_what_is_watched_and_asked_is_bounded_and_erased_lines_are_left() -> None:
    cloud = JournalClient()
    for _ in range(events.MOST_OPEN + 50):
        cloud.add("open")
    feed = events.JournalFeed(cloud, {})
    feed.begin(1000)
    for _ in range(events.PAGE):
        cloud.add("done")
    feed.look()
    cloud.questions = 0
    del cloud.lines[: events.MOST_OPEN + 50]
    assert feed.look() == []
    assert cloud.questions == 1 + events.MOST_ASKED
