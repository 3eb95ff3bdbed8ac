"""The use of instances between two measurements."""

from __future__ import annotations

from typing import Any

from pileus.cli import top
from pileus.cli.top import Measurement


def figures(ident: str, cpu: float, read: int, received: int, **more: Any) -> dict[str, Any]:
    return {
        "id": ident,
        "name": f"n{ident}",
        "state": "running",
        "vcpus": 2,
        "cpu_seconds": cpu,
        "memory_bytes": 64 << 20,
        "memory_limit_bytes": 128 << 20,
        "disk_allocated_bytes": 1 << 30,
        "disk_read_bytes": read,
        "disk_written_bytes": 0,
        "nics": [{"received_bytes": received, "sent_bytes": 0}],
        "uptime": 61.0,
        "trouble": "",
        **more,
    }


def measurement(at: float, *instances: dict[str, Any], complete: bool = True) -> Measurement:
    return Measurement(at, {each["id"]: each for each in instances}, complete)


def test_rates_are_per_second_and_the_busiest_is_first() -> None:
    before = measurement(10.0, figures("a", 5.0, 0, 100), figures("b", 1.0, 0, 0))
    now = measurement(12.0, figures("a", 5.5, 4096, 100), figures("b", 4.0, 0, 2048))
    lines = top.frame(top.usages(before, now)).splitlines()
    assert lines[0] == "2 instances, 2 running: 1.75 of 4 processors, 128M of 256M of memory"
    assert lines[2].split() == list(top.HEADING)
    assert lines[3].split()[:4] == ["nb", "b", "running", "150%"]
    assert lines[3].split()[7:11] == ["0", "0", "1.0K", "0"]
    assert lines[4].split()[3:11] == ["25%", "64.0M", "128M", "1.0G", "2.0K", "0", "0", "0"]


def test_new_instances_have_no_rates_yet_and_counters_that_begin_anew_are_none() -> None:
    before = measurement(10.0, figures("a", 5.0, 4096, 0))
    now = measurement(11.0, figures("a", 0.5, 0, 0), figures("new", 9.0, 9, 9))
    first, second = top.usages(before, now)
    assert (first.figures["id"], first.cpu, first.rates) == ("a", 0.0, (0.0,) * 4)
    assert (second.cpu, second.rates) == (None, (None,) * 4)


def test_trouble_is_said_and_a_frame_fits_its_terminal() -> None:
    lost = figures("a", 0.0, 0, 0, trouble="host lost", memory_bytes=None, vcpus=None, cpu_seconds=None, nics=[])
    now = measurement(11.0, lost, *(figures(str(number), 0.0, 0, 0) for number in range(20)), complete=False)
    usages = top.usages(now, now)
    assert any(line.endswith("host lost") for line in top.frame(usages).splitlines())
    text = top.frame(usages, complete=now.complete, most=5)
    assert text.startswith("21 instances (the oldest), ")
    assert len(text.splitlines()) == 8
