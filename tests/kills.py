"""The kill matrices: which process is killed at which moment of which operation, what came of it, and tables of that.

`python -m tests.kills` writes the tables of all kept results into docs/reliability.md.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "build" / "kills.jsonl"
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- kills: begin -->", "<!-- kills: end -->"
ROLE_RESULTS = ROOT / "build" / "role-kills.jsonl"
ROLE_BEGIN, ROLE_END = "<!-- role kills: begin -->", "<!-- role kills: end -->"
CLUSTER_RESULTS = ROOT / "build" / "cluster-kills.jsonl"
STORM_RESULTS = ROOT / "build" / "storm.jsonl"
STORM_BEGIN, STORM_END = "<!-- storm: begin -->", "<!-- storm: end -->"
CLUSTER_BEGIN, CLUSTER_END = "<!-- cluster kills: begin -->", "<!-- cluster kills: end -->"

PROCESSES = (
    "supervisor", "cloud", "host", "libvirtd", "qemu", "switch-db", "switch", "controller", "northbound",
    "southbound", "northd",
)  # fmt: skip
OPERATIONS = {
    "launch": 1,
    "stop": 1,
    "start": 1,
    "reboot": 1,
    "terminate": 1,
    "authorize": 2,
    "revoke": 2,
    "associate": 2,
    "disassociate": 2,
    "layout": 1,
    "clear": 1,
}
"""Each operation, with the number of equal parts of its length of which each gets a kill: the cheap ones get two."""


ROLES = ("api", "loops", "host", "broker", "database")
"""The processes of a cloud of several."""

ROLE_OPERATIONS = {"launch": 2, "stop": 2, "start": 2, "terminate": 2}

CLUSTER_ROLES = ("api", "loops", "central", "broker", "database")
"""What the cloud's side of several machines is made of; `central` is OVN's databases, northd and their supervisor."""

CLUSTER_OPERATIONS = {"launch": 2, "stop": 1, "start": 1, "terminate": 1, "authorize": 2, "revoke": 2}

SESSIONS = ("outer", "inner")
"""Those that go on meanwhile: from outside to a guest, and from a guest of one host to one of another."""


class Cell(msgspec.Struct, frozen=True):
    """One kill: at a moment drawn from the seed within one of the operation's equal `parts`, or of the request's."""

    operation: str
    process: str
    part: int = 0
    asked: bool = False
    parts: int = 1

    def __str__(self) -> str:
        part = "-asked" if self.asked else f"-{self.part}" if self.parts > 1 else ""
        return f"{self.operation}-{self.process}{part}"

    def moment(self, seed: int) -> float:
        """When, as a fraction of the operation's length, or of the request's."""
        parts = 1 if self.asked else self.parts
        return random.Random(f"{seed} {self}").uniform(self.part / parts, (self.part + 1) / parts)


def _cells(operations: dict[str, int], processes: Sequence[str]) -> tuple[Cell, ...]:
    return tuple(
        Cell(operation, process, part, parts=parts)
        for (operation, parts), process in itertools.product(operations.items(), processes)
        for part in range(parts)
    )


CELLS = _cells(OPERATIONS, PROCESSES) + tuple(Cell(operation, "cloud", asked=True) for operation in OPERATIONS)
ROLE_CELLS = _cells(ROLE_OPERATIONS, ROLES)
CLUSTER_CELLS = _cells(CLUSTER_OPERATIONS, CLUSTER_ROLES)


class Result(msgspec.Struct, frozen=True):
    """What came of one kill; times in seconds.

    `killed`: the process was there at the moment. `reached`, `once`: the operation ended as asked, and exactly once.
    `silence`: for how long each session into another guest heard nothing; `lost`: those that ended.
    """

    seed: int
    operation: str
    process: str
    moment: float
    length: float
    took: float
    killed: bool
    reached: bool
    once: bool
    retries: int
    silence: dict[str, float] = {}
    lost: list[str] = []


class Storm(msgspec.Struct, frozen=True):
    """One squall: requests of users, troubles by kind, and instances that were not as their users last requested."""

    seed: str
    acknowledged: int
    repeated: int
    instances: int
    troubles: dict[str, int]
    took: float
    wrong: int


def keep_storm(squall: Storm, path: Path = STORM_RESULTS) -> None:
    """Add a squall to the results that are kept."""
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(squall) + b"\n")


def kept_storms(path: Path = STORM_RESULTS) -> list[Storm]:
    """Return all squalls that are kept."""
    return [msgspec.json.decode(line, type=Storm) for line in path.read_bytes().splitlines()]


TROUBLES = ("kill", "pause", "partition", "broker", "database", "disk", "roll_back")


def storm_table(squalls: Sequence[Storm]) -> str:
    """Markdown: one row for each squall, and their sum."""
    head = ["seed", "acknowledged", "repeated", "instances", *(name.replace("_", " ") for name in TROUBLES), "wrong"]
    numbers = [
        [squall.acknowledged, squall.repeated, squall.instances]
        + [squall.troubles.get(name, 0) for name in TROUBLES]
        + [squall.wrong]
        for squall in squalls
    ]
    sums = [sum(column) for column in zip(*numbers, strict=True)]
    seeds = [*(squall.seed for squall in squalls), "all"]
    lines = [f"| {' | '.join(head)} |", f"|{'--:|' * len(head)}"]
    for seed, row in zip(seeds, [*numbers, sums], strict=True):
        lines.append(f"| {seed} | {' | '.join(map(str, row))} |")
    return "\n".join(lines)


def keep(result: Result, path: Path = RESULTS) -> None:
    """Add a result to those that are kept."""
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(result) + b"\n")


def kept(path: Path = RESULTS) -> list[Result]:
    """All results that are kept."""
    return [msgspec.json.decode(line, type=Result) for line in path.read_bytes().splitlines()]


def table(results: Iterable[Result]) -> str:
    """Markdown: what was killed and what came of it, by process and moment, and by process and operation."""
    kills = [result for result in results if result.killed]
    seeds = sorted({result.seed for result in kills})
    good = sum(_good(result) for result in kills)
    lines = [
        f"{len(kills)} kills, {good} as promised; seeds {', '.join(map(str, seeds))}.",
        "",
        "| killed | kills | by thirds | asked again | as asked, once | sessions ended | silence, s |",
        "|---|--:|---|--:|--:|---|---|",
    ]
    for process in PROCESSES:
        lines += _process_row(process, [result for result in kills if result.process == process])
    lines += ["", "As asked and exactly once, of how many kills:", ""]
    lines += [f"| killed | {' | '.join(OPERATIONS)} |", f"|---|{'--:|' * len(OPERATIONS)}"]
    for process in PROCESSES:
        cells = [_share([r for r in kills if (r.process, r.operation) == (process, name)]) for name in OPERATIONS]
        lines.append(f"| {process} | {' | '.join(cells)} |")
    return "\n".join(lines)


def role_table(results: Iterable[Result]) -> str:
    """Markdown: the same of a cloud of several processes over stub hosts, which have no sessions."""
    return _table_by_role(results, ROLES, ROLE_OPERATIONS)


def cluster_table(results: Iterable[Result]) -> str:
    """Markdown: the same of a cloud of several machines; no session of its guests' is carried by what is killed."""
    return _table_by_role(results, CLUSTER_ROLES, CLUSTER_OPERATIONS, SESSIONS)


def _table_by_role(
    results: Iterable[Result], roles: Sequence[str], operations: Iterable[str], sessions: Sequence[str] = ()
) -> str:
    kills = [
        msgspec.structs.replace(result, once=result.once and not result.lost) for result in results if result.killed
    ]
    said = [f"{len(kills)} kills, {sum(map(_good, kills))} as promised"]
    said += [f"sessions ended: {sum(len(result.lost) for result in kills)}"] if sessions else []
    said += [f"seeds {', '.join(map(str, sorted({result.seed for result in kills})))}"]
    columns = {"killed": "---", "kills": "--:", "by thirds": "---", "asked again": "--:", "longest, s": "--:"}
    columns |= {"silence, s": "---"} if sessions else {}
    columns |= dict.fromkeys(operations, "--:")
    lines = [f"{'; '.join(said)}.", "", f"| {' | '.join(columns)} |", f"|{'|'.join(columns.values())}|"]
    for role in roles:
        mine = [result for result in kills if result.process == role]
        cells = [role, len(mine), _thirds(mine), sum(result.retries for result in mine)]
        cells += [f"{max((result.took for result in mine), default=0.0):.1f}"]
        silences = [max((result.silence.get(via, 0.0) for result in mine), default=0.0) for via in sessions]
        cells += [", ".join(f"{silence:.1f}" for silence in silences)] if sessions else []
        cells += [_share([result for result in mine if result.operation == name]) for name in operations]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _thirds(kills: Sequence[Result]) -> str:
    return ", ".join(str(sum(min(2, int(3 * result.moment)) == third for result in kills)) for third in range(3))


def _process_row(process: str, kills: Sequence[Result]) -> list[str]:
    if not kills:
        return []
    lost = [via for result in kills for via in result.lost]
    ended = ", ".join(f"{lost.count(via)} {via}" for via in sorted(set(lost))) or "none"
    silences = [max(result.silence.get(via, 0.0) for result in kills) for via in ("loopback", "switch")]
    shown = [
        "—" if via in lost else f"{longest:.1f}" for via, longest in zip(("loopback", "switch"), silences, strict=True)
    ]
    again = sum(result.retries for result in kills)
    cells = [process, len(kills), _thirds(kills), again, _share(kills), ended, ", ".join(shown)]
    return [f"| {' | '.join(map(str, cells))} |"]


def _good(result: Result) -> bool:
    return result.reached and result.once


def _share(kills: Sequence[Result]) -> str:
    return f"{sum(map(_good, kills))} / {len(kills)}" if kills else "—"


def render(document: str, text: str, begin: str = BEGIN, end: str = END) -> str:
    """The document with `text` between the marks."""
    before, _, rest = document.partition(begin)
    after = rest.partition(end)[2]
    return f"{before}{begin}\n{text}\n{end}{after}"


if __name__ == "__main__":
    # Of each matrix of which results are kept; the others' tables stay.
    if RESULTS.exists():
        DOCUMENT.write_text(render(DOCUMENT.read_text(), table(kept())))
    if ROLE_RESULTS.exists():
        DOCUMENT.write_text(render(DOCUMENT.read_text(), role_table(kept(ROLE_RESULTS)), ROLE_BEGIN, ROLE_END))
    if CLUSTER_RESULTS.exists():
        made = cluster_table(kept(CLUSTER_RESULTS))
        DOCUMENT.write_text(render(DOCUMENT.read_text(), made, CLUSTER_BEGIN, CLUSTER_END))
    if STORM_RESULTS.exists():
        made = storm_table(kept_storms())
        DOCUMENT.write_text(render(DOCUMENT.read_text(), made, STORM_BEGIN, STORM_END))
