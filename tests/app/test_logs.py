"""The log of a process: lines of what anybody can bring about are bounded and counted, others are not."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from pileus.app import processes
from pileus.app.logs import NAMED, Thrift
from pileus.model import bounds
from tests.app.test_metrics import lines

if TYPE_CHECKING:
    from tests.app.stub import Stub

BURST = 20 * bounds.LOGGED_REFUSALS.most


def passed(thrift: Thrift, times: int, **event: Any) -> int:
    """How many of so many lines are written."""
    count = 0
    for _ in range(times):
        try:
            thrift(None, "", {"event": "a", "level": "warning", **event})
        except structlog.DropEvent:
            continue
        count += 1
    return count


def test_each_client_has_its_lines() -> None:
    thrift = Thrift()
    assert BURST <= passed(thrift, 500, client="10.0.0.1") <= BURST + 1
    assert BURST <= passed(thrift, 500, client="10.0.0.2", level="info", status=401) <= BURST + 1
    assert BURST <= passed(thrift, 500, client="2001:db8::1") <= BURST + 1
    assert passed(thrift, 500, client="2001:db8::2") <= 1


def test_all_clients_together_have_a_bound() -> None:
    thrift = Thrift()
    written = sum(passed(thrift, 5, client=f"10.0.{number >> 8}.{number & 255}") for number in range(1000))
    assert written <= 20 * bounds.LOGGED_TROUBLE.most + bounds.LOGGED_TROUBLE.most


@pytest.mark.parametrize("event", [{"logger": "uvicorn.error"}, {"level": "error"}, {"level": "critical"}])
def test_lines_of_libraries_and_errors_have_a_bound(event: dict[str, Any]) -> None:
    assert passed(Thrift(), 500, **event) <= BURST + 1


@pytest.mark.parametrize("event", [{}, {"level": "info"}, {"level": "info", "client": "10.0.0.1", "status": 200}])
def test_other_lines_are_all_written(event: dict[str, Any]) -> None:
    assert passed(Thrift(), 500, **event) == 500


def test_what_was_left_out_is_counted_once(capsys: pytest.CaptureFixture[str]) -> None:
    thrift = Thrift(summary=0)
    for number in range(100):
        passed(thrift, 30, client=f"10.0.0.{number}")
    summaries = [line for line in capsys.readouterr().out.splitlines() if "lines left out" in line]
    assert summaries
    waits = Thrift()
    for number in range(100):
        passed(waits, 100, client=f"10.0.0.{number}")
    assert not capsys.readouterr().out
    assert len(waits._left_out) == NAMED + 1


def test_malformed_requests_and_refusals_write_few_lines(stub: Stub) -> None:
    before = len(lines(stub))
    for number in range(300):
        with socket.create_connection(("127.0.0.1", stub.port), timeout=10, source_address=("127.0.0.77", 0)) as link:
            link.sendall(b"\x00\xff\r\n\r\n" if number % 2 else b"GET /v1/users HTTP/1.1\r\nconnection: close\r\n\r\n")
            while link.recv(65536):
                pass
    assert processes.until(lambda: any(line.get("client") == "127.0.0.77" for line in lines(stub)), 10)
    log_lines = [json.dumps(line) for line in lines(stub)[before:]]
    assert len([line for line in log_lines if '"127.0.0.77"' in line and "left out" not in line]) < 100
