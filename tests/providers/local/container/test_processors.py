"""On which processors containers run."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pileus.providers.local.container.processors import choose

FOUR = frozenset(range(4))


def load(chosen: dict[str, frozenset[int]]) -> Counter[int]:
    """How many containers each processor has."""
    return Counter(one for held in chosen.values() for one in held)


@given(
    st.integers(1, 8),
    st.dictionaries(st.text("abcdefgh", min_size=1, max_size=2), st.integers(1, 10), max_size=12),
    st.data(),
)
def test_each_has_as_many_as_it_wants_and_none_is_much_fuller(
    count: int, wanted: dict[str, int], data: st.DataObject
) -> None:
    there = frozenset(range(count))
    held = {
        name: data.draw(st.frozensets(st.integers(0, count)))
        for name in data.draw(st.lists(st.sampled_from(sorted(wanted)), unique=True) if wanted else st.just([]))
    }
    chosen = choose(there, wanted, held)
    assert {name: len(one) for name, one in chosen.items()} == {name: min(n, count) for name, n in wanted.items()}
    assert all(one <= there for one in chosen.values())
    small = {name: chosen[name] for name, number in wanted.items() if number < count}
    counted = [load(small)[one] for one in there]
    assert max(counted) - min(counted) <= 1
    assert choose(there, wanted, chosen) == chosen, "who is well where it is stays"


def test_one_that_comes_goes_where_there_is_room() -> None:
    held = {"a": frozenset({0}), "b": frozenset({1, 2})}
    chosen = choose(FOUR, {"a": 1, "b": 2, "c": 1}, held)
    assert chosen == {**held, "c": frozenset({3})}


def test_when_one_goes_the_others_spread() -> None:
    held = {"a": frozenset({0}), "c": frozenset({0}), "d": frozenset({0})}
    chosen = choose(frozenset({0, 1}), dict.fromkeys("acd", 1), held)
    assert sorted(load(chosen).values()) == [1, 2]


def test_another_size_gets_other_processors() -> None:
    chosen = choose(FOUR, {"a": 2, "b": 4}, {"a": frozenset({3}), "b": frozenset({1})})
    assert len(chosen["a"]) == 2
    assert chosen["b"] == FOUR


def test_without_processors_nobody_has_any() -> None:
    assert choose(frozenset(), {"a": 1}, {}) == {"a": frozenset()}
