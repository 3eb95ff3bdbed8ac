"""The mcc tools as users run them, against a server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAMS = Path(sys.executable).parent


class Tools:
    """Runs the tools with a home of their own, against the server at `where` (HOST:PORT)."""

    def __init__(self, home: Path, where: str, programs: Path = PROGRAMS, **settings: str) -> None:
        self.home = home
        self.programs = programs
        self.environment: Mapping[str, str] = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            **({"MCC_SERVER": where} if where else {}),
            **settings,
        }

    def run(self, name: str, *words: str) -> tuple[int, str, str]:
        """Status, output and what is said beside it."""
        done = subprocess.run(
            [str(self.programs / name), *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return done.returncode, done.stdout, done.stderr

    def out(self, name: str, *words: str) -> str:
        """The output of a tool that does what it is told."""
        status, out, err = self.run(name, *words)
        assert (status, err) == (0, ""), (name, words, status, out, err)
        return out
