"""What the doctor says, as a person reads it, or as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from pileus.model.finding import MEANINGS, Finding

_INDENT = "    "


class Report(Protocol):
    """See `pileus.app.doctor.Report`."""

    @property
    def facts(self) -> Mapping[str, str]:
        """What there is."""

    @property
    def findings(self) -> Sequence[Finding]:
        """What is wrong."""

    @property
    def mended(self) -> Sequence[Finding]:
        """What was."""

    @property
    def unchecked(self) -> Mapping[str, str]:
        """What could not be seen, and why."""


def show(report: Report, *, as_json: bool) -> None:
    """Print it."""
    if as_json:
        print(json.dumps(document(report), indent=2))
        return
    from rich.console import Console  # noqa: PLC0415  (slow to load)

    console = Console(highlight=False, soft_wrap=True)
    for line in lines(report):
        console.print(line, markup=False, style=_STYLES.get(line.partition("  ")[0].strip(), ""))


def document(report: Report) -> dict[str, Any]:
    """The report with what each code means beside it."""
    return {
        "well": not report.findings,
        "facts": dict(report.facts),
        "findings": [_document(found) for found in report.findings],
        "mended": [_document(found) for found in report.mended],
        "unchecked": dict(report.unchecked),
    }


def lines(report: Report) -> list[str]:
    """What there is; what could not be seen; then each finding under its code, and what to do."""
    width = max(map(len, report.facts), default=0)
    told = [f"{name.ljust(width)}  {says}" for name, says in report.facts.items()]
    told += ["", *(f"not checked: {what}: {why}" for what, why in report.unchecked.items())] if report.unchecked else []
    told += ["", *(f"mended  {found.code}  {_about(found)}" for found in report.mended)] if report.mended else []
    codes = dict.fromkeys(found.code for found in report.findings)
    for code in codes:
        meaning = MEANINGS[code]
        told += ["", f"{meaning.severity}  {code}: {meaning.says}"]
        told += [f"{_INDENT}- {_about(found)}" for found in report.findings if found.code == code]
        told += textwrap.wrap(f"{meaning.means} {meaning.do}", 110, initial_indent=_INDENT, subsequent_indent=_INDENT)
    number = len(report.findings)
    well = "All is well." if not report.unchecked else "What could be checked is well."
    told += ["", well if not number else f"{number} finding{'s' if number > 1 else ''}."]
    return told


_STYLES = {"error": "bold red", "warning": "bold yellow", "mended": "green"}


def _about(found: Finding) -> str:
    detail = f": {found.detail}" if found.detail else ""
    return f"{found.kind} {found.ident}{detail}"


def _document(found: Finding) -> dict[str, Any]:
    return {**msgspec.to_builtins(found), **msgspec.to_builtins(found.meaning)}
