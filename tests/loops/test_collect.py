"""Objects that nothing names go after their time, and not while it is unknown what names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.loops.collect import DAY, OFTEN, Collector
from pileus.model import bounds
from pileus.model.errors import Unavailable
from pileus.model.image import Image, Wanted
from pileus.model.project import Project
from pileus.objects import ObjectStore
from pileus.rules import image as image_rules
from pileus.verbs import image
from pileus.verbs.instance.launch import Launch
from pileus.verbs.instance.power import terminate
from tests.site import Site
from tests.verbs.test_unreadable import damage

if TYPE_CHECKING:
    from pathlib import Path

    from pileus.model.caller import Caller


class Kept:
    """Objects with a clock of their own, and who collects them."""

    def __init__(self, site: Site, folder: Path, days: float = 7) -> None:
        self.now = 1e9
        self.store = ObjectStore(folder, self.clock)
        self.collector = Collector(site.core, self.store, days)

    def clock(self) -> float:
        """No two things happen at once."""
        self.now += 0.001
        return self.now

    def put(self, data: bytes) -> str:
        """The digest of what is stored."""
        return self.store.put([data]).digest

    def look(self) -> list[str]:
        """What goes now."""
        return [stored.digest for stored in self.collector.look()]

    def later(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds


@pytest.fixture
def kept(site: Site, tmp_path: Path) -> Kept:
    """An empty store."""
    return Kept(site, tmp_path)


def test_an_image_goes_when_nothing_has_named_it_for_its_time(site: Site, ann: Caller, kept: Kept) -> None:
    digest, other = kept.put(b"one"), kept.put(b"other")
    image_row = image.register(ann, site.core, "mine", Wanted(digest=digest))
    image.register(ann, site.core, "other", Wanted(digest=other))
    kept.later(30 * DAY)
    assert kept.look() == []
    image.deregister(ann, site.core, image_row.uuid)
    kept.later(7 * DAY)
    assert kept.look() == []
    kept.later(OFTEN + 1)
    assert kept.look() == [digest]
    assert not kept.store.has(digest)
    assert kept.store.has(other)


def test_the_first_look_of_a_process_takes_nothing(site: Site, kept: Kept) -> None:
    assert kept.look() == []
    kept.later(1)
    digest = kept.put(b"left")
    kept.later(30 * DAY)
    kept.collector = Collector(site.core, kept.store, 7)
    assert kept.look() == []
    assert kept.look() == [digest]


@pytest.mark.parametrize("how", ["recovered", "another"])
def test_what_a_database_has_never_known_stays(site: Site, ann: Caller, kept: Kept, how: str) -> None:
    """An older copy, or an empty one, names less than was named: that destroys nothing."""
    digest = kept.put(b"one")
    image.register(ann, site.core, "mine", Wanted(digest=digest))
    kept.look()
    other = Site() if how == "another" else site
    if how == "recovered":
        with site.store.write() as tx:
            tx.keep_meta("incarnation", tx.meta("incarnation") + 1)
            (row,) = tx.list(Image)
            tx.make_tombstone(row)
    kept.later(DAY)
    kept.collector = Collector(other.core, kept.store, 7)
    assert kept.look() == []
    kept.later(1)
    later = kept.put(b"later")
    kept.later(30 * DAY)
    assert kept.look() == [later]
    assert kept.store.has(digest)


def test_what_a_disk_began_as_stays_as_long_as_the_disk(site: Site, ann: Caller, kept: Kept) -> None:
    digest = kept.put(b"one")
    image_row = image.register(ann, site.core, "mine", Wanted(digest=digest, format="qcow2"))
    (row,) = site.launch(ann, Launch(image=image_row.uuid))
    site.settle()
    image.deregister(ann, site.core, image_row.uuid)
    for _ in range(2):
        kept.later(30 * DAY)
        assert kept.look() == []
    terminate(ann, site.core, [row.uuid])
    site.settle()
    assert kept.look() == []
    kept.later(8 * DAY)
    assert kept.look() == [digest]


def test_what_a_capture_will_be_is_needed_before_it_is_there(site: Site, ann: Caller, tiny: Image, kept: Kept) -> None:
    (row,) = site.launch(ann, Launch(image=tiny.uuid))
    site.settle()
    capture = image.capture(ann, site.core, image.CaptureRequest(instance=row.uuid, name="captured"))
    site.settle()
    with site.store.read() as tx:
        stored_row = tx.get(Image, capture.uuid)
        assert stored_row is not None
        assert stored_row.seen is not None
        assert not stored_row.seen.stored
        assert stored_row.seen.digest in image_rules.named(tx)


def test_nothing_goes_while_a_host_is_silent_or_the_store_is_compared(site: Site, tiny: Image, kept: Kept) -> None:
    kept.look()
    kept.later(1)
    digest = kept.put(b"left")
    kept.later(30 * DAY)
    site.now += 100
    assert kept.look() == []
    site.now -= 100
    site.store.closed = True
    with pytest.raises(Unavailable):
        kept.look()
    site.store.closed = False
    assert kept.look() == [digest]


def test_for_ever_is_for_ever(site: Site, tmp_path: Path) -> None:
    kept = Kept(site, tmp_path, days=0)
    kept.collector.start()
    kept.collector.stop()
    assert not kept.collector._thread.is_alive()


def test_uploading_and_deleting_stays_within_the_quota(site: Site, kept: Kept) -> None:
    """Deleting makes room at once, in the quota and on the disk."""
    caller = site.caller("small", {"images": 10, "imagespace": 3})
    kept.look()
    digests = []
    for number in range(8):
        with kept.store.incoming(owner=caller.project) as writing:
            writing.write(b"%d" % number)
            digests.append(writing.keep().digest)
        kept.later(1)
        image_row = image.register(caller, site.core, "mine", Wanted(digest=digests[-1], size=1 << 30))
        image.deregister(caller, site.core, image_row.uuid)
        kept.later(bounds.DELETED_IMAGE.most)
        kept.collector.relieve()
    assert [kept.store.has(digest) for digest in digests] == [False] * 5 + [True] * 3
    image.register(caller, site.core, "again", Wanted(digest=digests[5], size=2 << 30))
    assert [stored.digest for stored in kept.collector.relieve()] == [digests[6]]


def test_no_project_without_a_quota_loses_anything(site: Site, kept: Kept) -> None:
    caller = site.caller("free", {})
    kept.look()
    for data in (b"1", b"2"):
        with kept.store.incoming(owner=caller.project) as writing:
            writing.write(data)
            writing.keep()
    kept.later(DAY)
    assert kept.collector.relieve() == []


def test_a_project_that_cannot_be_read_keeps_all_and_no_other_does(site: Site, kept: Kept) -> None:
    kept.look()
    digests = {}
    for name in ("damaged", "small"):
        caller = site.caller(name, {"imagespace": 0})
        with kept.store.incoming(owner=caller.project) as writing:
            writing.write(name.encode())
            digests[name] = writing.keep().digest
        if name == "damaged":
            damage(site, Project, caller.project, "wanted")
    kept.later(DAY)
    assert [stored.digest for stored in kept.collector.relieve()] == [digests["small"]]


def test_a_database_that_was_replaced_loses_nothing_of_what_it_does_not_know(site: Site, kept: Kept) -> None:
    caller = site.caller("small", {"imagespace": 0})
    kept.look()
    with kept.store.incoming(owner=caller.project) as writing:
        writing.write(b"1")
        digest = writing.keep().digest
    kept.later(DAY)
    with site.store.write() as tx:
        tx.keep_meta("incarnation", tx.meta("incarnation") + 1)
    assert kept.collector.relieve() == []
    assert kept.store.has(digest)


def test_nothing_goes_for_a_quota_while_a_row_cannot_be_read(site: Site, kept: Kept) -> None:
    caller = site.caller("small", {"images": 10, "imagespace": 1})
    kept.look()
    with kept.store.incoming(owner=caller.project) as writing:
        writing.write(b"1")
        digest = writing.keep().digest
    image_row = image.register(caller, site.core, "mine", Wanted(digest=digest))
    damage(site, Image, image_row.uuid, "wanted")
    kept.later(DAY)
    with pytest.raises(Unavailable, match="damaged"):
        kept.collector.relieve()
    assert kept.store.has(digest)


def test_nothing_goes_while_a_row_cannot_be_read(site: Site, ann: Caller, kept: Kept) -> None:
    """It may be what names an object."""
    digest = kept.put(b"one")
    image_row = image.register(ann, site.core, "mine", Wanted(digest=digest))
    assert kept.look() == []
    damage(site, Image, image_row.uuid, "wanted")
    kept.later(30 * DAY)
    with pytest.raises(Unavailable, match="damaged"):
        kept.look()
    assert kept.store.has(digest)
