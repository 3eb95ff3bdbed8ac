"""Captures as their host's loop asks for them: begun once, made beside everything else, kept, given up and removed."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model.errors import Fault
from pileus.model.provider import BodyRef
from pileus.model.spec import ImageSpec
from pileus.providers.local.capture.folders import CaptureFolders
from pileus.providers.local.capture.provider import MOST, CaptureProvider, Locks
from pileus.providers.local.capture.work import CancellationToken
from tests.providers.contract import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DISK = b"what is on the disk"


@dataclass
class Source:
    """Disks that say the same; each `write` waits for `go`, and fails with what `faults` holds for it."""

    go: threading.Event = field(default_factory=threading.Event)
    views: int = 0
    writing: int = 0
    most: int = 0
    released: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def view(self, image: ImageSpec) -> Source:
        """Always there."""
        self.views += 1
        return self

    def take(self, part: Path, cancellation: CancellationToken) -> None:
        """Nothing has to be done."""

    def write(self, part: Path, cancellation: CancellationToken) -> int:
        """Write it."""
        with self.lock:
            self.writing += 1
            self.most = max(self.most, self.writing)
        try:
            part.write_bytes(DISK[:5])
            while not self.go.wait(0.01):
                cancellation.look()
            if self.faults:
                raise self.faults.pop()
            part.write_bytes(DISK)
        finally:
            with self.lock:
                self.writing -= 1
        return 1 << 30

    def done(self, image: ImageSpec) -> None:
        """Say so."""
        self.released.append(image.uuid)


@pytest.fixture
def source() -> Source:
    """One for all instances."""
    return Source()


@pytest.fixture
def provider(tmp_path: Path, source: Source) -> Iterator[CaptureProvider]:
    """Over an empty folder."""
    found = CaptureProvider(CaptureFolders(tmp_path / "captures"), {"machine": source}, Locks())
    yield found
    found.close()


def spec(number: int = 0, counter: int = 1) -> ImageSpec:
    """An order; each number has an instance of its own."""
    uuid, instance = (f"{kind}{number:07x}-1111-4222-8333-444455556666" for kind in "ba")
    return ImageSpec(uuid=uuid, revision=(1, counter), ec2_id=f"ami-{number}", instance=instance, disk=instance)


def ref(order: ImageSpec) -> BodyRef:
    """It, whatever its revision."""
    return BodyRef(kind="image", uuid=order.uuid)


def state(provider: CaptureProvider, order: ImageSpec) -> str:
    """What is seen of it."""
    seen = provider.observe(ref(order))
    return seen.capture.state if seen is not None and seen.capture is not None else ""


def test_it_is_made_once_and_can_be_read(provider: CaptureProvider, source: Source) -> None:
    order = spec()
    for _ in range(3):
        provider.ensure(order)
        assert state(provider, order) == "capturing"
    with pytest.raises(Fault, match="CaptureMissing"):
        provider.file(order.uuid)
    source.go.set()
    until("it is captured", lambda: state(provider, order) == "captured")
    provider.ensure(order)
    seen = provider.observe(ref(order))
    assert seen is not None
    assert seen.revision == (1, 1)
    assert seen.capture is not None
    expected = (hashlib.sha256(DISK).hexdigest(), len(DISK), 1 << 30)
    assert (seen.capture.digest, seen.capture.size, seen.capture.virtual_size) == expected
    for _ in range(2):
        assert provider.file(order.uuid).read_bytes() == DISK
    provider.ensure(spec(counter=2))
    assert source.views == 1
    assert order.uuid in source.released
    assert [body.uuid for body in provider.scan()] == [order.uuid]


def test_what_went_wrong_is_said_once_and_then_tried_anew(provider: CaptureProvider, source: Source) -> None:
    order = spec()
    source.faults = [Fault("HostDiskFull", "no room")]
    source.go.set()
    provider.ensure(order)
    until("the try has ended", lambda: not provider.reading(order.instance))
    with pytest.raises(Fault, match="no room"):
        provider.ensure(order)
    assert source.released == [order.uuid]
    assert state(provider, order) == "capturing"
    provider.ensure(order)
    until("it is captured", lambda: state(provider, order) == "captured")


def test_a_removal_ends_what_is_being_made(provider: CaptureProvider, source: Source) -> None:
    order = spec(counter=5)
    provider.ensure(order)
    until("it is being written", lambda: source.writing)
    provider.remove(BodyRef(kind="image", uuid=order.uuid, revision=(1, 4)))
    assert state(provider, order) == "capturing", "an older order does nothing"
    provider.remove(BodyRef(kind="image", uuid=order.uuid, revision=(1, 6)))
    assert provider.observe(ref(order)) is None
    assert not source.writing
    assert source.released == [order.uuid]
    provider.remove(ref(order))


def test_an_older_order_changes_nothing(provider: CaptureProvider, source: Source) -> None:
    source.go.set()
    provider.ensure(spec(counter=5))
    provider.ensure(msgspec.structs.replace(spec(counter=4), ec2_id="ami-older"))
    seen = provider.observe(ref(spec()))
    assert seen is not None
    assert seen.revision == (1, 5)


def test_few_are_made_at_once(provider: CaptureProvider, source: Source) -> None:
    orders = [spec(number) for number in range(MOST + 2)]
    for order in orders:
        provider.ensure(order)
    until("as many as may be are written", lambda: source.writing == MOST)
    time.sleep(0.1)
    source.go.set()

    def made() -> bool:
        for order in orders:
            provider.ensure(order)
        return all(state(provider, order) == "captured" for order in orders)

    until("all are captured", made)
    assert source.most == MOST


def test_a_new_process_makes_half_a_capture_anew(provider: CaptureProvider, source: Source, tmp_path: Path) -> None:
    order = spec()
    provider.ensure(order)
    until("it is being written", lambda: source.writing)
    provider.close()
    until("the old process has ended", lambda: not source.writing)
    source.go.set()
    following = CaptureProvider(CaptureFolders(tmp_path / "captures"), {"machine": source}, Locks())
    assert state(following, order) == "capturing"
    following.ensure(order)
    until("it is captured", lambda: state(following, order) == "captured")
    assert following.file(order.uuid).read_bytes() == DISK


def test_who_starts_an_instance_is_told_what_waits_for_its_disk(provider: CaptureProvider, source: Source) -> None:
    order = spec()
    assert provider.waiting(order.instance) is None
    provider.ensure(order)
    assert provider.waiting(order.instance) == order
    assert provider.wanted(order.uuid)
    (work,) = provider.reading(order.instance)
    assert work.cancel()
    assert provider.reading(order.instance) == []
    assert provider.waiting(order.instance) == order, "it is made of what comes after the start"
    source.go.set()
    provider.ensure(order)
    until("it is captured", lambda: state(provider, order) == "captured")
    assert provider.waiting(order.instance) is None
    assert not provider.wanted(order.uuid)


def test_who_starts_an_instance_in_a_new_process_is_told_of_the_moment_that_lies_at_rest(
    provider: CaptureProvider, source: Source, tmp_path: Path
) -> None:
    order, other = spec(), msgspec.structs.replace(spec(1), instance=spec().instance)
    provider.ensure(order)
    until("it is being written", lambda: source.writing)
    provider.folders.rest(order.uuid)
    seen = provider.observe(ref(order))
    assert seen is not None
    assert seen.capture is not None
    assert seen.capture.moment
    provider.close()
    until("the old process has ended", lambda: not provider.reading(order.instance))
    following = CaptureProvider(CaptureFolders(tmp_path / "captures"), {"machine": source}, Locks())
    assert following.waiting(order.instance) == order
    # Another one of the same instance has to wait until this one is whole.
    views = source.views
    following.ensure(other)
    assert following.waiting(order.instance) == order
    assert source.views == views
    source.go.set()
    following.ensure(order)
    until("it is captured", lambda: state(following, order) == "captured")
    following.ensure(other)
    until("so is the other", lambda: state(following, other) == "captured")


def test_only_images_are_captured(provider: CaptureProvider) -> None:
    container = msgspec.structs.replace(spec(), machine="container", format="tar")
    with pytest.raises(Fault, match="Unsupported"):
        provider.ensure(container)
