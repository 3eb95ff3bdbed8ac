"""Bodies that are received in parts, with flat memory: each part is written before the next one is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Self

from pileus.app.inspection import Inspections
from pileus.app.shares import Slots

if TYPE_CHECKING:
    from pileus.app.requests import Requests
    from pileus.faces.wire.face import FaceDeclaration
    from pileus.faces.wire.http import Identified, Response

PART = 1 << 18
"""Bytes that are gathered before they are written: each write costs a hand-over to a thread."""


class ReceivedBytes:
    """The bytes of one body under way, counted in `of_projects` inside the block, beside others of its project.

    `size` are those that came.
    """

    def __init__(self, of_projects: Counter[str], project: str) -> None:
        self._of_projects = of_projects
        self._project = project
        self.size = 0

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Count its bytes no more."""
        self._of_projects[self._project] -= self.size
        if not self._of_projects[self._project]:
            del self._of_projects[self._project]

    def more(self, size: int) -> None:
        """Count `size` more bytes."""
        self.size += size
        self._of_projects[self._project] += size

    @property
    def of_project(self) -> int:
        """The bytes of all bodies of the project that are under way."""
        return self._of_projects[self._project]


class Uploads:
    """The bodies in parts of one process: few of a face at once, of which each project has a share."""

    def __init__(self, requests: Requests, declared: Iterable[FaceDeclaration]) -> None:
        self._requests = requests
        self._slots = {face.name: Slots(face.uploads.project, face.uploads.total) for face in declared}
        self._inspections = Inspections()
        self._of_projects: Counter[str] = Counter()

    async def receive(self, face: FaceDeclaration, identified: Identified, parts: AsyncIterator[bytes]) -> Response:
        """Return the answer to a request whose body comes in `parts`. Raises PileusError, and as `parts` does."""
        caller, run = identified.caller, self._requests.run
        if identified.sink is None:
            return await run(caller, identified.now)
        with self._slots[face.name].of(caller.project), ReceivedBytes(self._of_projects, caller.project) as received:
            sink = await run(caller, identified.sink, received)
            try:
                async for part in gathered(parts):
                    received.more(len(part))
                    await run(caller, sink.write, part)
                if sink.inspects:
                    return await self._inspections.run(caller.project, sink.finish)
                return await run(caller, sink.finish)
            finally:
                sink.close()

    def close(self) -> None:
        """End the threads, after what is under way."""
        self._inspections.close()


async def gathered(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Join parts until each has PART bytes or more; the last part may have fewer."""
    waiting: list[bytes] = []
    size = 0
    async for part in parts:
        waiting.append(part)
        size += len(part)
        if size >= PART:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
