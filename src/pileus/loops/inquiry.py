"""An inquiry: one question to all hosts, and what each has said since it was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pileus.bus.pages import Pages
from pileus.model.ids import new_uuid

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.bus.messages import Report


@dataclass
class _Asked:
    """A host that has reported and not answered: `since` when, by its latest `report`; `pages` of its answer."""

    since: float
    report: Report
    pages: Pages | None = None


class Inquiry:
    """The questions to all hosts at one opening of the store; only answers to its `call` count.

    `answers` has the whole answer of each host that gave it. Times are seconds of `now`, a clock that only goes on.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.call = new_uuid()
        self.began = now()
        self.answers: dict[str, Report] = {}
        self._now = now
        self._unanswered: dict[str, _Asked] = {}
        self._questioned: dict[str, float] = {}

    def asks(self, host: str) -> None:
        """Note that `host` is asked now."""
        self._questioned.setdefault(host, self._now())

    def asked_for(self, host: str) -> float:
        """Seconds since `host` was asked first; 0 when it was not."""
        now = self._now()
        return now - self._questioned.get(host, now)

    def answers_to(self, report: Report) -> bool:
        """Whether `report` is a page of an answer to this question."""
        return bool(report.answer) and report.answer == self.call and report.full

    def take(self, page: Report) -> Report | None:
        """Take a page of an answer in; the whole answer, which is not kept yet, if no page is missing now."""
        now = self._now()
        question = self._unanswered.setdefault(page.host, _Asked(now, page))
        if question.pages is None:
            # It is answering: from its first page on it is waited for anew.
            question.pages, question.since = Pages(), now
        question.report = page
        answer = question.pages.add(page)
        if answer is not None:
            del self._unanswered[page.host]
        return answer

    def reported(self, report: Report) -> None:
        """Note a report that is no answer. An answer from before an order that the host has taken since is void."""
        answer = self.answers.get(report.host)
        if answer is not None and report.highest > answer.highest:
            del self.answers[report.host]
            self._unanswered.pop(report.host, None)
        self._unanswered.setdefault(report.host, _Asked(self._now(), report)).report = report

    def leave_out(self, host: str) -> None:
        """Forget what `host` has said."""
        self.answers.pop(host, None)
        self._unanswered.pop(host, None)

    def is_answering(self, host: str, within: float) -> bool:
        """Whether the latest that `host` said is a page of its answer, which began less than `within` seconds ago."""
        question = self._unanswered.get(host)
        return question is not None and question.report.answer == self.call and self._now() - question.since < within

    def unanswered(self, host: str) -> Report | None:
        """The latest report of a host that has not answered; None for every other host."""
        question = self._unanswered.get(host)
        return question.report if question is not None else None

    def mute(self, patience: Callable[[str], float]) -> set[str]:
        """The hosts that have reported for as many seconds as `patience` gives them, and have not answered."""
        now = self._now()
        return {host for host, question in list(self._unanswered.items()) if now - question.since >= patience(host)}

    def reports(self) -> list[Report]:
        """All answers, and the latest report of each host that has not answered."""
        return [*self.answers.values(), *(question.report for question in self._unanswered.values())]
