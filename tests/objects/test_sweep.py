"""What is forgotten of the objects: nothing that is needed, in whatever order things happen, and all else in time."""

from __future__ import annotations

import contextlib
import hashlib
import math
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pileus.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = 7 * 24.0
"""Hours that an object stays unneeded."""

AFTERWARDS = 5.0
"""Hours that may pass between bytes that are stored and their name, and between what a look reads and what it does."""

BYTES = [b"a", b"b", b"c"]
WHICH = st.integers(0, len(BYTES) - 1)
DIGESTS = [hashlib.sha256(data).hexdigest() for data in BYTES]


class Sweeping(RuleBasedStateMachine):
    """Processes that store, use and name objects, a database with copies of itself, and two who sweep."""

    def __init__(self) -> None:
        super().__init__()
        # In memory: here it is the order that counts, and a disk that others use makes each step wait.
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
        self.now = 1e6
        self.store = ObjectStore(self.folder, self.clock)
        self.named: dict[str, int] = {}
        self.line = 0
        self.copies: list[tuple[float, int, dict[str, int]]] = []
        self.unknown: set[str] = set()
        self.coming: list[tuple[float, str]] = []
        self.read: dict[int, tuple[float, set[str]]] = {}
        self.copied()
        self.looked()

    def clock(self) -> float:
        """No two things happen at once."""
        self.now += 0.001
        return self.now

    def looked(self, unused: float = math.inf) -> set[str]:
        """A whole look at once; what went."""
        since = self.store.known(lambda: (1, self.line))
        return {stored.digest for stored in self.store.sweep(set(self.named), unused, since)}

    @rule(hours=st.sampled_from([0.5, 1.0, 3.0, 20.0, 100.0, 200.0]))
    def wait(self, hours: float) -> None:
        """Time passes; who was to name something, or to sweep, has done it by then or never will."""
        self.now += hours
        self.coming = [(at, digest) for at, digest in self.coming if self.now - at <= AFTERWARDS]
        self.read = {who: (at, seen) for who, (at, seen) in self.read.items() if self.now - at <= AFTERWARDS}
        # Whoever runs the cloud looks often: what is named is known to be needed.
        if hours > AFTERWARDS:
            self.looked(hours + KEPT)

    @rule(which=WHICH)
    def stored(self, which: int) -> None:
        """An upload, or a capture that was fetched; its name comes later."""
        self.coming.append((self.now, self.store.put([BYTES[which]]).digest))
        self.unknown.discard(DIGESTS[which])

    @rule(which=WHICH)
    def used(self, which: int) -> None:
        """Somebody finds the bytes there, and does not bring them again."""
        if self.store.use(DIGESTS[which]):
            self.coming.append((self.now, DIGESTS[which]))
            self.unknown.discard(DIGESTS[which])

    @rule(data=st.data())
    def name(self, data: st.DataObject) -> None:
        """What was stored is registered."""
        if self.coming:
            _, digest = data.draw(st.sampled_from(self.coming))
            self.named[digest] = self.named.get(digest, 0) + 1
            self.line += 1

    @rule(which=WHICH)
    def launched(self, which: int) -> None:
        """A disk names what an image names."""
        if DIGESTS[which] in self.named:
            self.named[DIGESTS[which]] += 1
            self.line += 1

    @rule(which=WHICH)
    def unnamed(self, which: int) -> None:
        """An image is deregistered, or a disk is gone."""
        self.line += DIGESTS[which] in self.named
        left = self.named.pop(DIGESTS[which], 0) - 1
        if left > 0:
            self.named[DIGESTS[which]] = left

    @rule()
    def copied(self) -> None:
        """Somebody keeps a copy of the database."""
        self.copies.append((self.now, self.line, dict(self.named)))
        self.looked()

    @rule(data=st.data())
    def restored(self, data: st.DataObject) -> None:
        """One takes the database's place; all processes start again, and look first.

        Of one that is too old nobody expects that what it names is there, but nothing else goes because of it.
        """
        self.looked()
        at, line, named = data.draw(st.sampled_from(self.copies))
        if line < self.line:
            self.unknown = {stored.digest for stored in self.store.list()} - set(named)
        young = self.now - at <= KEPT - 2 * AFTERWARDS
        self.named = {digest: count for digest, count in named.items() if young or self.store.has(digest)}
        self.line, self.coming, self.read = line, [], {}
        self.unknown -= set(self.named)
        self.store = ObjectStore(self.folder, self.clock)
        self.looked()

    @rule(who=st.integers(0, 1))
    def looks(self, who: int) -> None:
        """One who sweeps reads what is needed."""
        self.read[who] = (self.now, set(self.named))

    @rule(who=st.integers(0, 1))
    def sweeps(self, who: int) -> None:
        """And does it, some time later."""
        if who in self.read:
            _, needed = self.read.pop(who)
            self.store.sweep(needed, KEPT, self.store.known(lambda: (1, self.line)))

    @invariant()
    def what_is_named_is_there(self) -> None:
        """So is what somebody is about to name, and what the database that was may have named."""
        for digest in {*self.named, *self.unknown, *(digest for _, digest in self.coming)}:
            assert self.store.has(digest)

    def teardown(self) -> None:
        """In the end what nothing names has gone, as far as the database knows it, and nothing else has."""
        self.looked()
        self.now += KEPT + 1
        assert not self.looked(KEPT) & {*self.named, *self.unknown}
        assert {stored.digest for stored in self.store.list()} - self.unknown == set(self.named)
        shutil.rmtree(self.folder)


TestSweeping = Sweeping.TestCase
TestSweeping.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)


def test_what_is_used_between_a_look_and_its_end_stays(tmp_path: Path) -> None:
    """The second look, under the lock, is the one that counts."""
    now = 0.0
    others = ObjectStore(tmp_path, lambda: now)
    digest = others.put([b"hello"]).digest

    class Late(ObjectStore):
        """One that another process is always quicker than."""

        @contextlib.contextmanager
        def _locked(self, *, shared: bool = False) -> Iterator[None]:
            if not shared:
                assert others.use(digest)
            with super()._locked(shared=shared):
                yield

    now = 1000.0
    assert Late(tmp_path, lambda: now).sweep(set(), 500.0) == []
    assert others.has(digest)
    now = 2000.0
    assert [stored.digest for stored in others.sweep(set(), 500.0)] == [digest]
    assert not others.use(digest)
