"""Colours for a terminal: headings, and the states and outcomes in tables."""

from __future__ import annotations

import os
import sys

HEADING = "1"
COLUMNS = frozenset({"STATE", "OUTCOME", "TROUBLE"})
"""The columns whose cells have colours, by their headings."""

_GREEN, _YELLOW, _RED, _FAINT = "32", "33", "31", "2"
_STATES = {
    **dict.fromkeys(("running", "active", "available", "done"), _GREEN),
    **dict.fromkeys(("pending", "stopping", "shutting-down", "open", "drained", "maintenance"), _YELLOW),
    **dict.fromkeys(("error", "failed", "lost"), _RED),
    **dict.fromkeys(("stopped", "terminated", "superseded", "-"), _FAINT),
}


def enabled() -> bool:
    """Whether standard output shows colours: a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def style_of(column: str, cell: str) -> str:
    """The style of a cell in the column with this heading; empty for none."""
    if column not in COLUMNS:
        return ""
    return _STATES.get(cell, _RED if column == "TROUBLE" else "")


def painted(text: str, style: str) -> str:
    """The text in a style, which is the parameter of an escape sequence SGR (ECMA-48)."""
    return f"\x1b[{style}m{text}\x1b[0m" if style else text
