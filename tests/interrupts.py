"""A start that is interrupted at a drawn moment, and what it leaves."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PILEUS = str(Path(sys.executable).parent / "pileus")
"""The executable that is tested."""


def moments(count: int, longest: float) -> Iterator[float]:
    """Yield `count` drawn moments, in seconds from the start of a command that takes about `longest`."""
    draw = random.Random()
    for number in range(count):
        # Each part of the time has its moment.
        yield longest * (number + draw.random()) / count


def interrupted(
    words: Sequence[str], environment: Mapping[str, str], moment: float, number: signal.Signals = signal.SIGINT
) -> subprocess.CompletedProcess[str]:
    """Run the command `words`; after `moment` seconds all processes of its group get a signal, as by ^C."""
    with subprocess.Popen(
        words,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        if process.poll() is None:
            os.killpg(process.pid, number)
        stdout, stderr = process.communicate(timeout=120)
    return subprocess.CompletedProcess(list(words), process.returncode, stdout, stderr)


def processes_of(*words: str) -> list[str]:
    """Return the command lines of living processes, other than this one, that name one of the words."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if any(word in line for word in words) and path.parent.name != str(os.getpid()):
            lines.append(line)
    return lines
