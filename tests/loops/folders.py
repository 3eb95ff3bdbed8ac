"""Folders of worlds whose files are real."""

from __future__ import annotations

import tempfile
from pathlib import Path


def folder() -> Path:
    """A new folder, in memory where the machine has such."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="pileus-world-", dir=memory if memory.is_dir() else None))
