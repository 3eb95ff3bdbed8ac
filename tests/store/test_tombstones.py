"""A project that makes things and ends them all day leaves a bounded number of small rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from sqlalchemy import text, update

from pileus.model import bounds
from pileus.model.caller import SYSTEM
from pileus.model.ids import new_uuid
from pileus.model.image import Image
from pileus.model.image import Wanted as ImageWanted
from pileus.model.instance import Instance
from pileus.model.keypair import KeyPair, Wanted
from pileus.model.project import UNLIMITED, Project
from pileus.model.project import Wanted as ProjectWanted
from pileus.model.securitygroup import Rule, SecurityGroup
from pileus.model.securitygroup import Wanted as GroupWanted
from pileus.store import store as stores
from pileus.store import tables
from pileus.store.cache import Cache
from tests.store.clock import flavor, instance

if TYPE_CHECKING:
    from pileus.model.noun import Noun
    from pileus.store.store import Store
    from tests.store.clock import Clock

FEW = 3


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TOMBSTONES", msgspec.structs.replace(bounds.TOMBSTONES, most=FEW))
    monkeypatch.setattr(bounds, "UNLIMITED_TOMBSTONES", msgspec.structs.replace(bounds.TOMBSTONES, most=2 * FEW))


def key(project: str, name: str = "key") -> KeyPair:
    return KeyPair(uuid=new_uuid(), project=project, name=name, wanted=Wanted(public_key="ssh-rsa", fingerprint="f"))


def ended(store: Store, clock: Clock, project: str, count: int) -> list[str]:
    """The uuids of keys that were made and deleted one after the other; each has a line in the journal."""
    uuids = []
    for _ in range(count):
        clock.now += 1
        with store.write() as tx:
            made = tx.add(key(project))
            tx.add_journal_line(SYSTEM, made, "keypair.delete", outcome="done")
            tx.make_tombstone(made)
            uuids.append(made.uuid)
    return uuids


def known(store: Store, uuids: list[str]) -> list[str]:
    with store.read() as tx:
        rows = tx.many(KeyPair, uuids)
        lines = {line.uuid for line in tx.journal(limit=None)}
    assert rows.keys() == {uuid for uuid in uuids if uuid in lines}, "a row and its lines go together"
    return [uuid for uuid in uuids if uuid in rows]


def test_of_what_ended_a_project_the_newest_are_known(store: Store, clock: Clock) -> None:
    few, many = ended(store, clock, "few", FEW), ended(store, clock, "many", 5 * FEW)
    with store.write() as tx:
        living = tx.add_all([key("many", f"key{number}") for number in range(2 * FEW)])
    store.forget_tombstones()
    assert known(store, few) == few
    assert known(store, many) == many[-FEW:]
    with store.read() as tx:
        assert len(tx.list(KeyPair, project="many")) == len(living)


def test_all_that_is_too_much_goes_at_once(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "TOGETHER", 2)
    many = ended(store, clock, "many", 30)
    store.forget_tombstones()
    assert known(store, many) == many[-FEW:]


@pytest.mark.parametrize(("quota", "left"), [(FEW + 2, FEW + 2), (1, FEW), (UNLIMITED, 2 * FEW)])
def test_as_many_are_known_as_may_live_at_once(store: Store, clock: Clock, quota: int, left: int) -> None:
    """A client that ends all it has at once waits until each of them has ended."""
    wanted = ProjectWanted(account_id="1" * 12, canonical_id="1" * 64, quota={"keypairs": quota})
    with store.write() as tx:
        project = tx.add(Project(uuid=new_uuid(), name="p", wanted=wanted))
    many = ended(store, clock, project.uuid, 5 * FEW)
    store.forget_tombstones()
    assert known(store, many) == many[-left:]


def test_a_project_that_cannot_be_read_keeps_all_and_no_other_does(store: Store, clock: Clock) -> None:
    wanted = ProjectWanted(account_id="1" * 12, canonical_id="1" * 64)
    with store.write() as tx:
        project = tx.add(Project(uuid=new_uuid(), name="p", wanted=wanted))
    damaged, many = ended(store, clock, project.uuid, 5 * FEW), ended(store, clock, "many", 5 * FEW)
    with store.write() as tx:
        tx.sql.execute(update(tables.nouns["project"]).values(wanted=text("'{'")))
    store._cache = Cache()
    store.forget_tombstones()
    assert known(store, damaged) == damaged
    assert known(store, many) == many[-FEW:]


def test_rows_of_administrators_stay_their_day(store: Store, clock: Clock) -> None:
    """What ended may still refer to a flavor."""
    with store.write() as tx:
        rows = tx.add_all([flavor(f"f{number}") for number in range(5 * FEW)])
        tx.make_tombstone(*rows)
    store.forget_tombstones()
    with store.read() as tx:
        assert len(tx.list(type(rows[0]), dead=True)) == 5 * FEW


def test_the_newest_line_ever_is_known_without_the_line(store: Store, clock: Clock) -> None:
    """Whoever keeps objects takes a database whose journal has become shorter for an older copy."""
    ended(store, clock, "p", 1)
    with store.read() as tx:
        newest = tx.last_line()
    assert newest > 0
    clock.now += stores.TOMBSTONE + 1
    store.forget_tombstones()
    with store.read() as tx:
        assert tx.journal() == []
        assert tx.last_line() == newest


def test_a_tombstone_is_small(store: Store) -> None:
    long, tags = "x" * 200, {f"tag{number}": "x" * 250 for number in range(50)}
    rules = tuple(Rule(id=f"sgr-{number}", cidr="10.0.0.0/8", description=long, tags=tags) for number in range(60))
    with store.write() as tx:
        machine = instance(tx.add(flavor()))
        wanted = msgspec.structs.replace(machine.wanted, user_data=long, public_keys=(long,), key_name="mine")
        nouns: list[Noun] = [
            msgspec.structs.replace(machine, wanted=wanted, tags=tags),
            msgspec.structs.replace(key("p"), tags=tags),
            SecurityGroup(uuid=new_uuid(), project="p", tags=tags, wanted=GroupWanted(router="r", rules=rules)),
            Image(uuid=new_uuid(), project="p", tags=tags, wanted=ImageWanted(digest="d", snapshot_tags=tags)),
        ]
        for noun in nouns:
            tx.make_tombstone(tx.add(noun))
    with store.read() as tx:
        rows = [tx.get(type(noun), noun.uuid) for noun in nouns]
        tags_left = [row.tags for row in rows if row is not None]
        sizes = [len(msgspec.json.encode(row.wanted)) for row in rows if row is not None]
        shown = tx.get(Instance, machine.uuid)
    assert tags_left == [tags, {}, {}, {}], "a terminated instance is still shown"
    assert max(sizes) < 300
    assert shown is not None
    assert (shown.wanted.key_name, shown.wanted.user_data) == ("mine", "")
