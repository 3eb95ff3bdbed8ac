"""The backends of the world: stubs that give way, fail, stop slowly, and check each deed against what may be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Fault
from pileus.model.instance import Power
from pileus.model.noun import NEVER
from pileus.model.provider import BodyRef, Capture, SeenBody
from pileus.model.spec import ImageSpec, InstanceSpec
from pileus.providers.stub.provider import StubProvider
from tests.loops.descriptors import CLOUD
from tests.loops.fibers import give_way

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.model.spec import Spec
    from tests.loops.world import World

ALIEN = "a11e0000-0000-4000-8000-000000000000"
"""The uuid of bodies that no order ever named."""


class Machine(StubProvider):
    """A host's bodies. A guest may take its time to go down, as real ones do, and then goes by its own shutdown."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(faults=self._fault)
        self.world = world
        self.name = name
        self.bodies[("instance", ALIEN)] = SeenBody(kind="instance", uuid=ALIEN, running=True)
        self.stopping: set[str] = set()
        self.applied: dict[str, InstanceSpec] = {}
        self.noticed: set[str] = set()
        self.capturing: dict[str, ImageSpec] = {}
        self.moments: dict[str, SeenBody] = {}

    def _fault(self, call: str, uuid: str) -> None:
        give_way()
        self.world.descriptors.take(self.name)
        if self.world.happens("fault"):
            raise Fault("Unavailable", f"{call} of {uuid} did not work")

    def running(self, uuid: str) -> bool:
        """Whether this body runs now."""
        body = self.bodies.get(("instance", uuid))
        return body is not None and body.running

    def observe(self, ref: BodyRef) -> SeenBody | None:
        """As the stub does; `noticed` are the bodies that were seen running since they came up."""
        seen = super().observe(ref)
        if seen is not None and seen.running:
            self.noticed.add(ref.uuid)
        return seen

    def ensure(self, spec: Spec) -> None:
        """As the stub does, but a stop may take a while; the world is told of what came of it."""
        if isinstance(spec, ImageSpec):
            self._capture(spec)
            return
        if not isinstance(spec, InstanceSpec):
            raise TypeError(f"a host was given a {spec.KIND}")
        self._before("ensure", spec.uuid)
        world, uuid = self.world, spec.uuid
        world.promises.may_apply(self, spec)
        was = self.running(uuid)
        slow = was and spec.power.state == "stopped" and (uuid in self.stopping or world.happens("slow stop"))
        applied_spec = msgspec.structs.replace(spec, power=Power(state="running", n=spec.power.n)) if slow else spec
        self._faults = None
        super().ensure(applied_spec)
        self._faults = self._fault
        self.applied[uuid] = spec
        if slow and uuid not in self.stopping:
            self.stopping.add(uuid)
            world.after(world.random.uniform(0.2, 6), lambda: self.down(uuid))
        if not slow:
            self.stopping.discard(uuid)
        world.log(self.name, "ensures", uuid, spec.revision, spec.power, "slowly" if slow else "")
        if self.running(uuid) and not was:
            self.noticed.discard(uuid)
            world.promises.started(self, spec)
        world.promises.applied(self, spec)
        if world.happens("fault after"):
            raise Fault("Unavailable", f"ensure of {uuid} gave no answer")

    def _capture(self, spec: ImageSpec) -> None:
        """Begin it, as the stub would: its guest must not run before the moment is there if it was to be down.

        Both the moment and the bytes take a while.
        """
        self._before("ensure", spec.uuid)
        key = (spec.KIND, spec.uuid)
        # Once it had its moment the guest goes on, and another one that no shutdown came before is none.
        late = self._had_moment(spec) and spec.reboot and self.running(spec.instance)
        if key not in self.bodies and not late and spec.revision > self.removed.get(key, NEVER):
            self.world.promises.may_capture(self, spec)
            # One of its own: what a reboot has ended goes no further, though the same order begins it anew.
            spec = msgspec.structs.replace(spec)
            self.bodies[key] = SeenBody(
                kind=spec.KIND, uuid=spec.uuid, revision=spec.revision, capture=Capture(state="capturing")
            )
            self.capturing[spec.uuid] = spec
            self.world.after(self.world.random.uniform(0.1, 3), lambda: self._kept(spec))
            self.world.log(self.name, "captures", spec.uuid, spec.revision)
        if self.world.happens("fault after"):
            raise Fault("Unavailable", f"ensure of {spec.uuid} gave no answer")

    def _had_moment(self, spec: ImageSpec) -> bool:
        """Whether the host has written down that the capture has its moment."""
        entry = self.world.nodes[self.name].book.entries.get(spec.uuid)
        return entry is not None and entry.capture is not None and entry.capture.moment != ""

    def _kept(self, spec: ImageSpec) -> None:
        """It is of this moment, unless it was given up meanwhile."""
        key = (spec.KIND, spec.uuid)
        if self.capturing.get(spec.uuid) is not spec:
            return
        self.world.promises.may_capture(self, spec)
        self._faults = None
        try:
            super().ensure(spec)
        except Fault:
            del self.bodies[key], self.capturing[spec.uuid]
        else:
            self.moments[spec.uuid] = self.bodies[key]
            moment = Capture(state="capturing", moment=f"moment-{self.world.now}")
            self.bodies[key] = msgspec.structs.replace(self.bodies[key], capture=moment)
            self.world.after(self.world.random.uniform(0.1, 5), lambda: self._ended(spec))
        self._faults = self._fault
        self.hint(spec.uuid)

    def _ended(self, spec: ImageSpec) -> None:
        """It is whole, unless it was given up meanwhile."""
        if self.capturing.get(spec.uuid) is spec:
            del self.capturing[spec.uuid]
            self.bodies[spec.KIND, spec.uuid] = self.moments.pop(spec.uuid)
            self.hint(spec.uuid)

    def hint(self, uuid: str) -> None:
        """Say that a body changed."""
        for watcher in self._watchers:
            watcher(BodyRef(kind=ImageSpec.KIND, uuid=uuid))

    def down(self, uuid: str) -> None:
        """A guest that was asked to stop has stopped."""
        if uuid in self.stopping and self.running(uuid):
            self.stopping.discard(uuid)
            self.end_guest(uuid)

    def remove(self, ref: BodyRef) -> None:
        """As the stub does, but it remembers nothing of an instance, as no hypervisor does."""
        self._before("remove", ref.uuid)
        self.world.promises.may_remove(self, ref)
        self._faults = None
        super().remove(ref)
        self.removed.pop(("instance", ref.uuid), None)
        self._faults = self._fault
        self.stopping.discard(ref.uuid)
        self.capturing.pop(ref.uuid, None)
        self.moments.pop(ref.uuid, None)
        self.world.log(self.name, "removes", ref.uuid, ref.revision)

    def reboot(self) -> None:
        """The machine goes down and comes up: nothing of what is ours runs any more, and nobody knows why."""
        self.stopping.clear()
        for uuid in self.capturing:
            del self.bodies[ImageSpec.KIND, uuid]
        self.capturing.clear()
        self.moments.clear()
        for key, body in self.bodies.items():
            if key[1] != ALIEN:
                self.bodies[key] = msgspec.structs.replace(body, running=False, cause="other")


class Net(StubProvider):
    """The network engine: shared by all workers, each of which may be paused before any call."""

    def __init__(self, world: World) -> None:
        super().__init__(faults=self._fault)
        self.world = world
        self.lately: list[Callable[[], None]] = []

    def _fault(self, call: str, uuid: str) -> None:
        give_way()
        self.world.descriptors.take(CLOUD)
        if self.world.happens("fault"):
            raise Fault("Unavailable", f"{call} of {uuid} did not work")

    def ensure(self, spec: Spec) -> None:
        """As the stub does; the answer may be lost."""
        super().ensure(spec)
        self.world.log("engine ensures", spec.KIND, spec.uuid, spec.revision)
        if self.world.happens("fault after"):
            raise Fault("Unavailable", "no answer")

    def remove(self, ref: BodyRef) -> None:
        """As the stub does; never what no row names."""
        spec = self.specs.get((ref.kind, ref.uuid))
        super().remove(ref)
        self.world.log("engine removes", ref.kind, ref.uuid, ref.revision)
        self.world.promises.engine_removed(ref, spec)
