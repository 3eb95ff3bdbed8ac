"""What users have captured of their instances, what they have a right to find, and where the bytes come in."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Fault
from pileus.model.image import Image, State, content, converged, state
from pileus.verbs import image
from tests.loops.descriptors import CLOUD
from tests.loops.fibers import give_way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pileus.store.reader import Reader
    from tests.loops.users import Expectation
    from tests.loops.world import World


class Kept(msgspec.Struct):
    """What was asked last of one image; `digest` is that of the bytes which it was shown to have."""

    uuid: str
    instance: str
    reboot: bool
    deregistered: bool = False
    digest: str = ""


class Objects:
    """The object store, which hosts give captures to: as the fetcher of a cloud, but at once, or not at all."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.kept: dict[str, bytes] = {}

    def fetch(self, host: str, image: str, digest: str, size: int, owner: str = "") -> bool:
        """Bring the bytes in."""
        give_way()
        self._world.descriptors.take(CLOUD)
        node = self._world.nodes[host]
        if node.agent is None or node.silent or self._world.happens("fault"):
            raise Fault("CaptureUnavailable", f"{host} does not answer")
        if self._world.happens("slow fetch"):
            return False
        data = node.machine.captures.get(image, b"")
        if (hashlib.sha256(data).hexdigest(), len(data)) != (digest, size):
            raise Fault("CaptureCorrupt", f"{host} gave other bytes of {image}")
        self.kept[digest] = data
        self._world.log("fetched", image, digest[:8])
        return True


class Captures:
    """Asked for while instances run, stop, and go; looked at, and deregistered at any moment."""

    def __init__(self, world: World, attempt: Callable[[Callable[[], object]], bool]) -> None:
        self._world = world
        self._attempt = attempt
        self.kept: dict[str, Kept] = {}
        self._count = 0
        self.seen: set[State] = set()

    def ask(self, living: list[Expectation]) -> None:
        """One request, of a kind that is possible now."""
        random = self._world.random
        mine = [capture for capture in self.kept.values() if not capture.deregistered]
        deed = random.choice(("capture", "capture", "look", "deregister"))
        if deed == "capture" and living:
            self._capture(random.choice(living))
        elif deed == "look":
            with self._world.store.truth() as tx:
                self.look(tx)
        elif mine:
            self._deregister(random.choice(mine))

    def _capture(self, expectation: Expectation) -> None:
        world = self._world
        self._count += 1
        request = image.CaptureRequest(
            instance=expectation.uuid, name=f"capture-{self._count}", reboot=world.random.random() < 0.5
        )
        world.log("user: capture", expectation.uuid, request.name, "with a reboot" if request.reboot else "")
        images: list[Image] = []
        if self._attempt(lambda: images.append(image.capture(world.cloud.caller, world.core, request))):
            self.kept[images[0].uuid] = Kept(images[0].uuid, expectation.uuid, request.reboot)

    def _deregister(self, capture: Kept) -> None:
        world = self._world
        world.log("user: deregister", capture.uuid)
        if self._attempt(lambda: image.deregister(world.cloud.caller, world.core, capture.uuid)):
            capture.deregistered = True

    def look(self, tx: Reader) -> None:
        """See which are available: they have to stay so."""
        for row in tx.many(Image, self.kept).values():
            capture = self.kept[row.uuid]
            self.seen.add(state(row))
            if state(row) is State.AVAILABLE and not capture.digest:
                capture.digest = content(row).digest

    def relearn(self) -> None:
        """After a recovery: what the users see now is what they expect."""
        with self._world.store.truth() as tx:
            rows = tx.many(Image, self.kept)
        self.kept = {uuid: capture for uuid, capture in self.kept.items() if uuid in rows}
        for uuid, capture in self.kept.items():
            row = rows[uuid]
            capture.deregistered = row.wanted.gone or row.gone is not None
            capture.digest = content(row).digest if state(row) is State.AVAILABLE else ""

    def complaints(self, tx: Reader) -> Iterator[str]:
        """Yield a line for each capture that differs from its request after all rows have converged."""
        world = self._world
        rows = tx.many(Image, self.kept)
        for uuid, capture in self.kept.items():
            if uuid not in rows and world.temper.forgetful and capture.deregistered:
                continue
            row = rows[uuid]
            self.seen.add(state(row))
            if capture.deregistered:
                if row.gone is None:
                    yield f"{uuid} was deregistered, and is {row}"
                continue
            if not converged(row):
                yield f"{uuid} has not converged: {row}"
            what = state(row)
            if capture.digest and (what is not State.AVAILABLE or content(row).digest != capture.digest):
                yield f"{uuid} was available as {capture.digest}, and is {row}"
            if what is State.AVAILABLE and content(row).digest not in world.objects.kept:
                yield f"{uuid} is available, and its bytes are nowhere"
            expectation = world.users.expectations.get(capture.instance)
            excused = capture.reboot or expectation is None or expectation.gone or expectation.ended or world.behind
            if what is State.FAILED and not excused:
                yield f"{uuid} failed, and its instance lives: {row}"
        for node in world.nodes.values():
            for uuid, entry in node.book.entries.items():
                if entry.kind == Image.KIND:
                    yield f"{node.name} still has an order for the capture {uuid}"
