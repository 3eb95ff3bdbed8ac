"""Make names that users gave fit to print."""

from __future__ import annotations

import re

_MOVES = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    """`text` as a part of one line, with U+FFFD for what would end it, turn it round or command a terminal."""
    return _MOVES.sub("\ufffd", text)
