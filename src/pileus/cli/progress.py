"""How far a long work is: a bar or the present step on a terminal, plain lines where output is kept."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

_MIB = 1 << 20
_QUIET = 5.0
"""Seconds between two plain lines."""


@contextlib.contextmanager
def transfer(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Within it, call what it gives with the bytes done so far; `total` is 0 when nobody knows."""
    if not sys.stderr.isatty():
        yield _plain(what, total)
        return
    # Slow to load: commands start quickly.
    from rich import progress  # noqa: PLC0415  (commands start quickly)
    from rich.console import Console  # noqa: PLC0415  (commands start quickly)

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total or None)

        def told(done: int) -> None:
            bar.update(task, completed=done)

        yield told


@contextlib.contextmanager
def steps(say: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Within it, call what it gives with each step as it begins: a terminal also shows for how long it lasts."""
    if not sys.stderr.isatty():
        yield say
        return
    from rich import progress  # noqa: PLC0415  (slow to load)
    from rich.console import Console  # noqa: PLC0415  (slow to load)

    columns = (progress.SpinnerColumn(), progress.TextColumn("{task.description}"), progress.TimeElapsedColumn())
    with progress.Progress(*columns, console=Console(stderr=True)) as shown:
        running: list[progress.TaskID] = []

        def begun(step: str) -> None:
            for task in running:
                shown.update(task, total=1, completed=1)
            running[:] = [shown.add_task(step, total=None)]

        yield begun
        for task in running:
            shown.update(task, total=1, completed=1)


def _plain(what: str, total: int) -> Callable[[int], None]:
    shown = time.monotonic()

    def told(done: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown < _QUIET:
            return
        shown = now
        size = f"{done // _MIB} of {total // _MIB} MiB" if total else f"{done // _MIB} MiB"
        print(f"{what}: {size}", file=sys.stderr, flush=True)

    return told
