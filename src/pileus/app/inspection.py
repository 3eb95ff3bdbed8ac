"""Inspection of uploaded images: threads of its own, of which each project has a share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from pileus.model import bounds
from pileus.model.errors import Throttled

T = TypeVar("T")


@dataclass
class _Share:
    """The inspections of one project: how many run or wait, and the turns that they wait for."""

    count: int = 0
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(bounds.PROJECT_INSPECTIONS.most))


class Inspections:
    """The pool of threads in which uploads are inspected, kept and registered.

    A project runs `PROJECT_INSPECTIONS` at once; its others wait for a turn, without a thread.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(bounds.INSPECTIONS.most, thread_name_prefix="inspection")
        self._shares: dict[str, _Share] = {}

    async def run(self, project: str, work: Callable[[], T]) -> T:
        """Return the result of `work`. Raises Throttled at once where too many of the project wait already."""
        share = self._shares.setdefault(project, _Share())
        if share.count >= bounds.WAITING_INSPECTIONS.most:
            text = f"{share.count} images of this project are being inspected; upload this one once they are done."
            raise Throttled(text, noun="image", reason="inspections")
        share.count += 1
        try:
            async with share.turns:
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            share.count -= 1
            if not share.count:
                del self._shares[project]

    def close(self) -> None:
        """End the threads, after the inspections that are under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)
