"""The doctor's report, for a person, or as JSON."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import msgspec

from pileus.model.finding import MEANINGS, Finding

_INDENT = "    "


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """The doctor's report: facts of the machine, findings, mended findings, and the reasons for unchecked parts."""

    facts: dict[str, str]
    findings: tuple[Finding, ...]
    mended: tuple[Finding, ...] = ()
    unchecked: dict[str, str] = {}


def show(report: Diagnosis, *, as_json: bool) -> None:
    """Print it."""
    if as_json:
        print(json.dumps(document(report), indent=2))
        return
    from rich.console import Console  # noqa: PLC0415  (slow to load)

    console = Console(highlight=False, soft_wrap=True)
    for line in lines(report):
        console.print(line, markup=False, style=_STYLES.get(line.partition("  ")[0].strip(), ""))


def document(report: Diagnosis) -> dict[str, Any]:
    """The report with what each code means beside it."""
    return {
        "well": not report.findings,
        "facts": dict(report.facts),
        "findings": [_document(finding) for finding in report.findings],
        "mended": [_document(finding) for finding in report.mended],
        "unchecked": dict(report.unchecked),
    }


def lines(report: Diagnosis) -> list[str]:
    """Return the lines of the report: facts, unchecked parts, then each code's findings with the remedy."""
    width = max(map(len, report.facts), default=0)
    rows = [f"{name.ljust(width)}  {says}" for name, says in report.facts.items()]
    rows += ["", *(f"not checked: {what}: {why}" for what, why in report.unchecked.items())] if report.unchecked else []
    rows += ["", *(f"mended  {finding.code}  {_about(finding)}" for finding in report.mended)] if report.mended else []
    codes = dict.fromkeys(finding.code for finding in report.findings)
    for code in codes:
        meaning = MEANINGS[code]
        rows += ["", f"{meaning.severity}  {code}: {meaning.says}"]
        rows += [f"{_INDENT}- {_about(finding)}" for finding in report.findings if finding.code == code]
        rows += textwrap.wrap(f"{meaning.means} {meaning.do}", 110, initial_indent=_INDENT, subsequent_indent=_INDENT)
    number = len(report.findings)
    well = "All is well." if not report.unchecked else "What could be checked is well."
    rows += ["", well if not number else f"{number} finding{'s' if number > 1 else ''}."]
    return rows


_STYLES = {"error": "bold red", "warning": "bold yellow", "mended": "green"}


def _about(finding: Finding) -> str:
    detail = f": {finding.detail}" if finding.detail else ""
    return f"{finding.kind} {finding.ident}{detail}"


def _document(finding: Finding) -> dict[str, Any]:
    return {**msgspec.to_builtins(finding), **msgspec.to_builtins(finding.meaning)}
