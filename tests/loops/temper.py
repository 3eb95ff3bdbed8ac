"""What a world's storm is like: which verbs are asked, which mishaps happen, and how often.

Each seed draws its own temper, for what is rare among many kinds is common among few; a test may ask for one.
"""

from __future__ import annotations

import random
from typing import Literal

import msgspec

VERBS = ("launch", "start", "stop", "reboot", "terminate", "rules", "tag", "group", "terminate-again", "address")
MISHAPS = ("agent", "machine", "cut", "guest", "crash", "full")
ODDS = {
    "fault": 0.03,
    "fault after": 0.02,
    "slow stop": 0.5,
    "death at the book": 0.003,
    "agent dies": 0.015,
    "lost hint": 0.3,
    "late step": 0.1,
    "worker dies": 0.012,
    "worker pauses": 0.04,
    "commit fails": 0.01,
}
CALM = {"slow stop": 0.5}
"""What may still happen when the storm is over."""


class Temper(msgspec.Struct, frozen=True):
    """Verbs and mishaps by weight (repeated names), and the odds of the small mishaps; what is empty is drawn.

    `restored`: amid the storm the database is replaced by an old copy, or is gone, or is replaced by a copy twice, the
    second time under the running process. `operators`: hosts are drained,
    removed, forgotten while they are lost, and readmitted. `silent`: one of two hosts falls silent when the database
    is replaced, for longer than is waited for it. `captures`: users have images made of their instances.
    `ports`: they attach ports of their own to instances, and detach them.
    `layouts`: they make networks of their own. `old`: hosts
    die, and start again with a copy of their book from before. `mute`: as `silent`, but that host goes on reporting,
    and answers nothing, or has a disk on which nothing can be written. `clock`: the cloud's wall clock is set, by
    seconds or hours ahead or back, by days ahead. `forgetful`: every tombstone is beyond its project's bound.
    `damaged`: rows of the database cannot be decoded for a while. `replaced`: the database is a file, which is deleted
    or replaced under the running cloud, or its log is.
    `history`: hosts remember as many removals as they may, so that an answer takes a dozen pages.
    `people`: administrators make, change and delete users, projects and grants; a copy is recovered on request.
    `descriptors`: processes of hosts, whose books are files, and the cloud's run out of file descriptors for a while.
    """

    verbs: tuple[str, ...] = ()
    mishaps: tuple[str, ...] = ()
    odds: dict[str, float] = {}
    restored: Literal["", "copy", "gone", "again"] = ""
    operators: bool = False
    people: bool = False
    silent: bool = False
    captures: bool = False
    ports: bool = False
    layouts: bool = False
    old: bool = False
    mute: Literal["", "mute", "full"] = ""
    clock: bool = False
    forgetful: bool = False
    damaged: bool = False
    descriptors: bool = False
    history: bool = False
    replaced: Literal["", "deleted", "copy", "log"] = ""


def draw(seed: int, requested: Temper) -> Temper:
    """The temper of a seed in all that `requested` leaves open.

    Each part is drawn by itself: where a new one is added, worlds that ask for something else stay as they were.
    """

    def choice(part: str, *among: int) -> int:
        return random.Random(f"{seed} {part}").choice(among)

    verbs = tuple(verb for verb in VERBS for _ in range(choice(verb, 0, 1, 2, 5)))
    mishaps = tuple(what for what in MISHAPS for _ in range(choice(what, 0, 1, 3)))
    odds = {what: odd * choice(what, 0, 1, 2) for what, odd in ODDS.items()}
    if requested.old:
        mishaps = (*mishaps, "old", "old")
    verbs = requested.verbs or verbs or ("start",)
    if requested.captures:
        verbs = (*verbs, *["launch", "capture", "capture"] * max(1, len(verbs) // 4))
        odds["slow fetch"] = 0.3
    if requested.ports:
        verbs = (*verbs, *["launch", "port", "port", "port"] * max(1, len(verbs) // 4))
    if requested.layouts:
        verbs = (*verbs, *["layout"] * 3 * len(verbs))
    return Temper(
        verbs=verbs,
        mishaps=requested.mishaps or mishaps or ("guest",),
        odds={**odds, **requested.odds},
        restored=requested.restored,
        operators=requested.operators,
        people=requested.people,
        silent=requested.silent,
        captures=requested.captures,
        ports=requested.ports,
        layouts=requested.layouts,
        old=requested.old,
        mute=requested.mute,
        clock=requested.clock,
        forgetful=requested.forgetful,
        damaged=requested.damaged,
        descriptors=requested.descriptors,
        history=requested.history,
        replaced=requested.replaced,
    )
