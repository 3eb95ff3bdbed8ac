"""What the doctor says names each finding, what it means and what to do, once for each code."""

from __future__ import annotations

import functools
import json

import pytest

from pileus.cli import findings
from pileus.cli.findings import Diagnosis
from pileus.model.finding import MEANINGS, Finding

TAPS = tuple(Finding(code="TapLeaked", kind="interface", ident=f"tap{number}") for number in (1, 2))
LOST = Finding(code="DiskMissing", kind="instance", ident="u1", detail="volume [v]: /x/disk.qcow2")


Report = functools.partial(Diagnosis, findings=(), facts={"KVM": "used: a guest ran", "datapath": "the kernel's"})


def test_a_well_cloud_is_said_to_be_well_and_what_was_not_seen_is_said() -> None:
    assert findings.lines(Report()) == [
        "KVM       used: a guest ran",
        "datapath  the kernel's",
        "",
        "All is well.",
    ]
    blind = findings.lines(Report(unchecked={"the store": "there is no database"}))
    assert "not checked: the store: there is no database" in blind
    assert blind[-1] == "What could be checked is well."


def test_findings_of_one_code_stand_together_with_what_to_do() -> None:
    told = findings.lines(Report(findings=(LOST, *TAPS), mended=(TAPS[0],)))
    text = "\n".join(told)
    assert "error  DiskMissing: The disk of an instance is not there." in told
    assert "    - instance u1: volume [v]: /x/disk.qcow2" in told
    assert text.count("TapLeaked:") == 1
    assert text.count(MEANINGS["TapLeaked"].do.split(".")[0]) == 1
    assert "mended  TapLeaked  interface tap1" in told
    assert told[-1] == "3 findings."


def test_what_is_printed_is_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    findings.show(Report(findings=(LOST,)), as_json=False)
    assert "volume [v]: /x/disk.qcow2" in capsys.readouterr().out, "brackets are no markup"
    findings.show(Report(findings=(LOST,)), as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["well"] is False
    assert said["findings"][0] | {"code": "DiskMissing", "severity": "error", "mend": ""} == said["findings"][0]
