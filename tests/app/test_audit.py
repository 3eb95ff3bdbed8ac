"""The audit log: which calls have lines, what these say, and what nothing may do to the file."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import stat
from typing import TYPE_CHECKING, Any

import pytest

from pileus.app import audit
from pileus.app.audit import Audit, Journal
from pileus.app.processes import until
from pileus.faces.wire.http import Response
from pileus.model.caller import Caller

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANN = Caller(user="u-1", user_name="ann", project="p-1", project_name="lab", key="AKIAANN", request="r-1")


def lines(path: Path) -> list[dict[str, Any]]:
    """All lines of a log, the oldest first."""
    files = sorted(path.parent.glob(f"{path.name}.[0-9]*"), key=lambda file: -int(file.suffix[1:]))
    return [json.loads(line) for file in (*files, path) for line in file.read_text().splitlines() if line]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[tuple[Audit, Path]]:
    """A log, and its file."""
    path = tmp_path / "audit.log"
    audit_log = Audit(Journal(path, 1 << 20, 3))
    yield audit_log, path
    audit_log.close()


def made(action: str = "RunInstances", status: int = 200, code: str = "", *, reads: bool = False) -> Response:
    return Response(status, {}, b"secret", "ec2", action, code, "r-1", reads)


def test_a_line_says_who_did_what_from_where(log: tuple[Audit, Path]) -> None:
    log[0].record("192.0.2.7", made(), ANN)
    log[0].record("192.0.2.7", made("", 401, "AuthFailure", reads=True), key="AKIAEVE")
    first, second = lines(log[1])
    assert first.pop("time").endswith("Z")
    assert first == {
        "client": "192.0.2.7",
        "user": "ann",
        "project": "lab",
        "key": "AKIAANN",
        "face": "ec2",
        "action": "RunInstances",
        "status": 200,
        "code": "-",
        "request": "r-1",
        "suppressed": 0,
    }
    assert (second["user"], second["key"], second["status"], second["code"]) == ("-", "AKIAEVE", 401, "AuthFailure")
    assert stat.S_IMODE(log[1].stat().st_mode) == 0o600


def test_what_only_read_has_no_line(log: tuple[Audit, Path]) -> None:
    log[0].record("192.0.2.7", made("DescribeInstances", reads=True), ANN)
    assert not log[1].exists()
    log[0].record("192.0.2.7", made("DescribeInstances", 400, "InvalidInstanceID.NotFound", reads=True), ANN)
    assert len(lines(log[1])) == 1


def test_refusals_are_bounded_and_counted_apart_from_changes(log: tuple[Audit, Path]) -> None:
    for _ in range(1500):
        log[0].record("192.0.2.66", made("", 401, "AuthFailure", reads=True))
        log[0].record("192.0.2.7", made("", 400, "InvalidInstanceID.NotFound", reads=True), ANN)
    for _ in range(300):
        log[0].record("192.0.2.7", made(), ANN)
    log[0].record("192.0.2.8", made("", 401, "AuthFailure", reads=True))
    log[0].close()
    audit_lines = lines(log[1])
    assert sum(line["status"] == 200 for line in audit_lines) == 300
    assert any(line["client"] == "192.0.2.8" for line in audit_lines)
    summaries = {(line["client"], line["user"]): line["suppressed"] for line in audit_lines if line["suppressed"]}
    assert summaries.keys() == {("192.0.2.66", "-"), ("192.0.2.7", "ann")}
    refused = [line for line in audit_lines if line["code"] not in ("-", "suppressed")]
    assert len(refused) < 800
    assert len(refused) + sum(summaries.values()) == 3001


def test_one_site_has_no_more_lines_of_refusals_for_its_many_addresses(log: tuple[Audit, Path]) -> None:
    for number in range(2000):
        log[0].record(f"2001:db8::{number:x}", made("", 401, "AuthFailure", reads=True))
    log[0].record("192.0.2.8", made("", 401, "AuthFailure", reads=True))
    log[0].close()
    refused_clients = [line["client"] for line in lines(log[1]) if line["code"] == "AuthFailure"]
    assert len(refused_clients) < 400
    assert refused_clients[-1] == "192.0.2.8"


def test_a_busy_project_pushes_no_other_projects_lines_out(log: tuple[Audit, Path]) -> None:
    calls = 20_000
    log[0].record("192.0.2.7", made("TerminateInstances"), ANN)
    for number in range(calls):
        user = "eve" if number % 2 else "mallory"
        eve = Caller(user=user, user_name=user, project="p-2", project_name="loud", request="r-2")
        log[0].record("192.0.2.66", made("CreateTags"), eve)
    log[0].record("192.0.2.7", made("StopInstances"), ANN)
    log[0].close()
    audit_lines = lines(log[1])
    assert [line["action"] for line in audit_lines if line["user"] == "ann"] == ["TerminateInstances", "StopInstances"]
    loud = [line for line in audit_lines if line["project"] == "loud"]
    assert 3000 <= sum(line["status"] == 200 for line in loud) < 4000
    summaries = [line for line in loud if line["suppressed"]]
    assert {(line["client"], line["user"], line["action"], line["code"]) for line in summaries} == {
        ("192.0.2.66", "eve", "CreateTags", "-"),
        ("192.0.2.66", "mallory", "CreateTags", "-"),
    }
    assert sum(line["status"] == 200 for line in loud) + sum(line["suppressed"] for line in summaries) == calls


def test_summary_lines_are_few(log: tuple[Audit, Path]) -> None:
    for number in range(10_000):
        user = f"user-{number}"
        log[0].record("192.0.2.66", made(), Caller(user=user, user_name=user, project="p-2", project_name="loud"))
    log[0].close()
    audit_lines = lines(log[1])
    summaries = [line for line in audit_lines if line["suppressed"]]
    assert len(summaries) <= audit.COUNTED + 2
    assert len(audit_lines) - len(summaries) + sum(line["suppressed"] for line in summaries) == 10_000


def test_the_count_is_written_without_another_call(log: tuple[Audit, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "SUMMARY", 0.01)
    for _ in range(1000):
        log[0].record("192.0.2.66", made("", 401, "AuthFailure", reads=True))
    assert until(lambda: any(line["suppressed"] for line in lines(log[1])), 10)


def test_files_are_set_aside_by_size_and_few_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    journal = Journal(path, 4096, 3)
    for number in range(1000):
        journal.append(b'{"number": %d}\n' % number)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "audit.log",
        "audit.log.1",
        "audit.log.2",
        "audit.log.lock",
    ]
    assert all(file.stat().st_size <= 4096 for file in tmp_path.iterdir())
    numbers = [line["number"] for line in lines(path)]
    assert numbers == list(range(numbers[0], 1000))
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in tmp_path.iterdir())
    journal.close()


def _write(path: Path, name: str, count: int) -> None:
    journal = Journal(path, 20_000, 100)
    for number in range(count):
        journal.append(b'{"name": "%s", "number": %d}\n' % (name.encode(), number))


def test_several_processes_lose_and_tear_nothing(tmp_path: Path) -> None:
    path, context = tmp_path / "audit.log", multiprocessing.get_context("forkserver")
    writers = [context.Process(target=_write, args=(path, name, 2000)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    audit_lines = lines(path)
    for name in "abc":
        assert sorted(line["number"] for line in audit_lines if line["name"] == name) == list(range(2000))


def _write_for_ever(path: Path) -> None:
    journal = Journal(path, 1 << 20, 3)
    while True:
        journal.append(b'{"name": "x"}\n')


def test_a_line_survives_the_death_of_its_process(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    writer = multiprocessing.get_context("forkserver").Process(target=_write_for_ever, args=(path,))
    writer.start()
    assert until(lambda: path.exists() and path.stat().st_size > 1000, 20)
    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    assert all(line == {"name": "x"} for line in lines(path))


def test_a_file_that_cannot_grow_fails_nobody_and_its_next_line_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    journal = Journal(path, 1 << 20, 3)
    journal.append(b'{"number": 1}\n')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
        for _ in range(3):
            journal.append(b'{"number": 2}\n')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert journal.lost == 3
    journal.append(b'{"number": 3}\n')
    assert path.read_text().splitlines() == ['{"number": 1}', '{"numb', '{"number": 3}']
    # A line cut short before a start is not continued either.
    with path.open("a") as file:
        file.write('{"numb')
    journal.close()
    journal.append(b'{"number": 4}\n')
    assert path.read_text().splitlines()[-2:] == ['{"numb', '{"number": 4}']
    journal.close()
