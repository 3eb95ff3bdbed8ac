"""Nouns go in and come out, with their references, and end as tombstones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.loops.runner import KINDS
from pileus.model.errors import InvalidValue, NotFound
from pileus.model.flavor import Flavor
from pileus.model.instance import Instance, Seen
from pileus.model.nouns import NOUNS
from pileus.store import tables
from pileus.store.store import TOMBSTONE
from tests.store.clock import Clock, flavor, instance
from tests.store.kept import kept

if TYPE_CHECKING:
    from pileus.store.store import Store


def test_a_noun_comes_out_as_it_went_in(store: Store, clock: Clock) -> None:
    made = msgspec.structs.replace(flavor("größe\n'"), tags={"a": "ä", "b": '"'})
    with store.write() as tx:
        kept = tx.add(made)
    assert kept == msgspec.structs.replace(made, id=kept.id, created=clock.now, changed=clock.now)
    with store.read() as tx:
        assert tx.get(Flavor, made.uuid) == kept
        assert tx.need(Flavor, made.uuid) == kept
        assert tx.by_ec2(Flavor, [made.ec2_id, "flv-0"]) == {made.ec2_id: kept}
        assert tx.get(Flavor, "none") is None


def test_what_counts_in_a_text_counts_in_every_database(store: Store) -> None:
    with store.write() as tx:
        for value in ("a", "A", "á", "a ", " a", "𝄞", "a\t"):
            tx.claim("name", value, flavor(value))
        assert tx.taken("name") == {"a", "A", "á", "a ", " a", "𝄞", "a\t"}
        assert tx.claimed("name", "Á") is None


def test_a_character_that_is_none_is_kept_or_refused(store: Store) -> None:
    try:
        with store.write() as tx:
            made = tx.add(flavor("a\x00b"))
    except InvalidValue as error:
        told = error.reason
    else:
        told = "text"
        with store.read() as tx:
            assert tx.need(Flavor, made.uuid).name == "a\x00b"
    assert told == "text"


@given(st.floats(0, 4e9, allow_subnormal=False))
def test_times_come_out_as_they_went_in(at: float) -> None:
    with kept().write() as tx:
        assert tx.add(msgspec.structs.replace(flavor(), created=at or 1.0)).created == (at or 1.0)
        tx.keep_meta("x", 2**62)
        tx.wake_all("flavor", ["u"], at)
        tx.sql.execute(tables.wake.update().where(tables.wake.c.uuid == "u").values(due=at))
        assert (tx.due("flavor", "u"), tx.meta("x")) == (at, 2**62)


def test_every_kind_has_a_table(store: Store) -> None:
    with store.read() as tx:
        for cls in NOUNS.values():
            assert tx.list(cls) == []


def test_more_than_one_statement_can_ask_for(store: Store) -> None:
    with store.write() as tx:
        of = tx.add(flavor())
        made = tx.add_all([instance(of) for _ in range(1203)])
    with store.read() as tx:
        uuids = [noun.uuid for noun in made]
        assert tx.many(Instance, uuids) == {noun.uuid: noun for noun in made}
        assert len(tx.by_ec2(Instance, [noun.ec2_id for noun in made])) == 1203
        assert tx.referring(Instance, [of.uuid]) == made


def test_lists_are_in_the_order_of_making_and_go_on_where_they_ended(store: Store) -> None:
    with store.write() as tx:
        of = tx.add(flavor())
        made = tx.add_all([instance(of, "p" if i % 3 else "q") for i in range(20)])
        tx.make_tombstone(made[4])
    mine = [noun for noun in made if noun.project == "p"]
    with store.read() as tx:
        got: list[Instance] = []
        while page := tx.list(Instance, project="p", dead=True, after=got[-1].id if got else 0, limit=3):
            assert len(page) <= 3
            got += page
        assert [noun.uuid for noun in got] == [noun.uuid for noun in mine]
        assert made[4].uuid not in {noun.uuid for noun in tx.list(Instance)}
        assert len(tx.list(Instance, dead=True)) == 20


def test_ids_are_never_used_again(store: Store, clock: Clock) -> None:
    with store.write() as tx:
        first = tx.add(flavor())
        tx.make_tombstone(first)
    clock.now += TOMBSTONE + 1
    store.forget_tombstones()
    with store.write() as tx:
        assert tx.get(Flavor, first.uuid) is None
        assert tx.add(flavor()).id > first.id


def test_only_wanted_counts_in_the_generation(store: Store) -> None:
    with store.write() as tx:
        row = tx.add(instance(tx.add(flavor())))
        row = tx.see(row, Seen(running=True))
        row = tx.assign(row, msgspec.structs.replace(row.assigned, host="h"))
        row = tx.revise(row)
        assert row.generation == 1
        row = tx.want(row, msgspec.structs.replace(row.wanted, reboot=1), name="n", tags={"k": "v"})
        assert row.generation == 2
        assert tx.get(Instance, row.uuid) == row


def test_references_follow_wanted_and_end_with_the_noun(store: Store) -> None:
    with store.write() as tx:
        one, other = tx.add(flavor("one")), tx.add(flavor("other"))
        row = tx.add(instance(one))
        assert tx.referrers(one.uuid) == [("instance", row.uuid, "uses")]
        row = tx.want(row, msgspec.structs.replace(row.wanted, flavor=other.uuid))
        assert tx.referrers(one.uuid) == []
        assert tx.referring(Instance, [one.uuid, other.uuid]) == [row]
        tx.make_tombstone(row)
        assert tx.referrers(other.uuid) == []
        assert tx.referring(Instance, [other.uuid]) == []


def test_a_tombstone_answers_for_a_day_and_holds_nothing(store: Store, clock: Clock) -> None:
    with store.write() as tx:
        row = tx.add(instance(tx.add(flavor())))
        tx.claim("mac", "02:50", row)
        tx.wake(row)
        tx.make_tombstone(row)
        assert tx.claims(uuid=row.uuid) == []
    store.wake_everything(KINDS)
    with store.read() as tx:
        assert tx.get(Instance, row.uuid) is not None
        assert tx.next_due() is None
        with pytest.raises(NotFound):
            tx.need(Instance, row.uuid)
    clock.now += TOMBSTONE - 1
    store.forget_tombstones()
    with store.read() as tx:
        assert tx.get(Instance, row.uuid) is not None
    clock.now += 2
    store.forget_tombstones()
    with store.read() as tx:
        assert tx.get(Instance, row.uuid) is None


def test_old_rows_lack_new_fields(store: Store) -> None:
    with store.write() as tx:
        row = tx.add(instance(tx.add(flavor())))
        older = {"seen": "{}", "assigned": "{}", "wanted": '{"flavor":"f","image":"i","a field of tomorrow":1}'}
        tx.sql.execute(tables.nouns["instance"].update().values(older))
        old = tx.get(Instance, row.uuid)
        assert old is not None
        assert old.seen == Seen()
        assert old.wanted.power.n == 1


def test_revisions_rise_across_all_nouns(store: Store) -> None:
    with store.write() as tx:
        rows = tx.add_all([instance(tx.add(flavor())) for _ in range(3)])
        given = [tx.revise(row).revision for row in (*rows, *rows)]
    with store.write() as tx:
        given.append(tx.revise(rows[0]).revision)
    assert given == sorted(set(given))
