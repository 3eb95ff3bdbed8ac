"""Public keys for `pileus key import`."""

from __future__ import annotations

import sys
from pathlib import Path

from pileus.cli.problem import Problem

LONGEST = 1 << 16
"""Characters of a file that are read."""


def public_key(file: str) -> str:
    """The public key in a file, or for `-` on standard input. Raises Problem for a private one."""
    try:
        if file == "-":
            text = sys.stdin.read(LONGEST)
        else:
            with Path(file).open(encoding="utf-8") as opened:
                text = opened.read(LONGEST)
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}.") from error
    if "PRIVATE KEY" in text:
        raise Problem(f"{file} is a private key, which stays with you: give the public one, {file}.pub, say.")
    return text
