"""Identities of nouns: an id is looked up in the database once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.flavor import Flavor
from pileus.store.identities import Identities, Identity
from tests.statements import executed
from tests.store.clock import flavor

if TYPE_CHECKING:
    from pileus.store.store import Store


def test_an_id_is_looked_up_once(store: Store) -> None:
    row = flavor()
    with store.write() as tx:
        tx.add(row)
    assert store.identities(Flavor, [row.ec2_id, "none-0"]) == {row.ec2_id: (row.uuid, row.project)}
    with executed(store) as asked:
        assert store.identities(Flavor, [row.ec2_id]) == {row.ec2_id: (row.uuid, row.project)}
    assert not asked


def test_known_identities_are_bounded() -> None:
    identities, looks = Identities(most=3), list[list[str]]()

    def look(ids: list[str]) -> dict[str, Identity]:
        looks.append(ids)
        return {ident: Identity(f"uuid of {ident}", "") for ident in ids}

    for ids in (["a", "b"], ["b", "c"], ["d"], ["a"]):
        assert list(identities.of("flavor", ids, look)) == ids
    assert looks == [["a", "b"], ["c"], ["d"], ["a"]]


def test_nouns_of_others_that_a_project_saw_are_noted_within_a_bound() -> None:
    identities = Identities(most=3)
    identities.note_shown("blue", ["a", "b"])
    assert identities.has_shown("blue", "a")
    assert not identities.has_shown("red", "a")
    identities.note_shown("red", ["a", "c"])
    assert identities.has_shown("red", "c")
    assert not identities.has_shown("blue", "a"), "it is looked up again"
