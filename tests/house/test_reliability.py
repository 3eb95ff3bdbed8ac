"""The kill matrix covers every process and operation, and its table counts what was kept."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import kills


def result(**changes: object) -> kills.Result:
    """A kill of the cloud during a stop that ended well."""
    base = kills.Result(
        seed=1,
        operation="stop",
        process="cloud",
        moment=0.5,
        length=2.0,
        took=3.0,
        killed=True,
        reached=True,
        once=True,
        retries=1,
        silence={"loopback": 0.2, "switch": 0.3},
        lost=[],
    )
    return msgspec.structs.replace(base, **changes)


def test_each_process_is_killed_in_each_operation() -> None:
    assert len(set(kills.CELLS)) == len(set(map(str, kills.CELLS))) == len(kills.CELLS) >= 100
    pairs = {(cell.operation, cell.process) for cell in kills.CELLS}
    assert len(pairs) == len(kills.OPERATIONS) * len(kills.PROCESSES)


def test_each_role_is_killed_in_each_operation() -> None:
    assert len(set(map(str, kills.ROLE_CELLS))) == len(kills.ROLE_CELLS) >= 30
    pairs = {(cell.operation, cell.process) for cell in kills.ROLE_CELLS}
    assert len(pairs) == len(kills.ROLE_OPERATIONS) * len(kills.ROLES)


def test_each_part_of_the_clouds_side_is_killed_in_each_operation() -> None:
    assert len(set(map(str, kills.CLUSTER_CELLS))) == len(kills.CLUSTER_CELLS) >= 30
    pairs = {(cell.operation, cell.process) for cell in kills.CLUSTER_CELLS}
    assert len(pairs) == len(kills.CLUSTER_OPERATIONS) * len(kills.CLUSTER_ROLES)


@given(st.sampled_from([*kills.CELLS, *kills.ROLE_CELLS, *kills.CLUSTER_CELLS]), st.integers(0))
def test_a_moment_lies_in_its_part_and_follows_from_the_seed(cell: kills.Cell, seed: int) -> None:
    parts = 1 if cell.asked else cell.parts
    assert cell.part / parts <= cell.moment(seed) <= (cell.part + 1) / parts
    assert cell.moment(seed) == cell.moment(seed)


def test_the_table_counts_kills_and_shows_what_went_wrong(tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    for one in (
        result(),
        result(moment=1.0, seed=2, once=False),
        result(process="host", lost=["loopback"], silence={"switch": 0.4}),
        result(killed=False, seed=3),
    ):
        kills.keep(one, kept)
    lines = kills.table(kills.kept(kept)).splitlines()
    assert lines[0] == "3 kills, 2 as promised; seeds 1, 2."
    assert "| cloud | 2 | 0, 1, 1 | 2 | 1 / 2 | none | 0.2, 0.3 |" in lines
    assert "| host | 1 | 0, 1, 0 | 1 | 1 / 1 | 1 loopback | —, 0.4 |" in lines


def test_the_table_of_roles_counts_the_same_way() -> None:
    made = [result(process="api"), result(process="api", operation="launch", once=False, moment=1.4)]
    lines = kills.role_table(made).splitlines()
    assert lines[0] == "2 kills, 1 as promised; seeds 1."
    assert "| api | 2 | 0, 1, 1 | 2 | 3.0 | 0 / 1 | 1 / 1 | — | — |" in lines


def test_the_table_of_several_machines_counts_sessions_too() -> None:
    made = [result(process="central", silence={"outer": 0.4, "inner": 1.2}), result(process="central", lost=["inner"])]
    lines = kills.cluster_table(made).splitlines()
    assert lines[0] == "2 kills, 1 as promised; sessions ended: 1; seeds 1."
    assert "| central | 2 | 0, 2, 0 | 2 | 3.0 | 0.4, 1.2 | — | 1 / 2 | — | — | — | — |" in lines


@given(st.text(alphabet=st.characters(exclude_characters="<"), max_size=50))
def test_only_what_is_between_the_marks_is_written(text: str) -> None:
    document = f"before\n{kills.BEGIN}\nold\n{kills.END}\nafter\n"
    assert kills.render(document, text) == f"before\n{kills.BEGIN}\n{text}\n{kills.END}\nafter\n"


MATRICES = {
    "one machine": (kills.BEGIN, kills.END, 100, kills.PROCESSES),
    "several processes": (kills.ROLE_BEGIN, kills.ROLE_END, 30, kills.ROLES),
    "several machines": (kills.CLUSTER_BEGIN, kills.CLUSTER_END, 30, kills.CLUSTER_ROLES),
}


@pytest.mark.parametrize("which", MATRICES)
def test_the_document_shows_enough_kills_without_a_failure(which: str) -> None:
    begin, end, least, processes = MATRICES[which]
    shown = kills.DOCUMENT.read_text().partition(begin)[2].partition(end)[0].strip().splitlines()
    count, _, good = shown[0].split()[:3]
    assert int(count) >= least
    assert good == count
    assert [row.split()[1] for row in shown[-len(processes) :]] == list(processes)
