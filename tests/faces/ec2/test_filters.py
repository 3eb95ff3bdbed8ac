"""Filters: which names there are, how values match, and what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.faces.ec2 import filters
from pileus.model.errors import InvalidValue

KNOWN = filters.of_members(
    *("Name", "Owner.OnCall"),
    others={"is-good": "Good", "part.size": "Parts.Inner.Size"},
    absent=("nothing",),
)
ITEM: dict[str, Any] = {
    "Name": "web-1",
    "Good": True,
    "Owner": {"OnCall": "ada"},
    "Parts": [{"Inner": {"Size": 3}}, {"Inner": {"Size": 40}}, {}],
    "Tags": [{"Key": "role", "Value": "front"}, {"Key": "empty", "Value": ""}],
}


def fits(**asked: str | list[str]) -> bool:
    listed = [
        {"Name": name.replace("__", ":").replace("_", "-"), "Values": [values] if isinstance(values, str) else values}
        for name, values in asked.items()
    ]
    keep = filters.compiled(listed, KNOWN, filters.tags_of)
    assert keep is not None
    return keep(ITEM)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("name", ["web-1"], True),
        ("name", ["other", "web-1"], True),
        ("name", ["web"], False),
        ("name", ["WEB-1"], False),
        ("name", ["web-*"], True),
        ("name", ["w?b-?"], True),
        ("name", ["*"], True),
        ("name", ["web-1*"], True),
        ("name", ["web-\\*"], False),
        ("owner.on-call", ["ada"], True),
        ("is-good", ["true"], True),
        ("is-good", ["false"], False),
        ("part.size", ["40"], True),
        ("part.size", ["4?"], True),
        ("part.size", ["4"], False),
        ("nothing", ["*"], False),
        ("tag:role", ["front"], True),
        ("tag:role", ["fr*"], True),
        ("tag:Role", ["front"], False),
        ("tag:empty", [""], True),
        ("tag-key", ["ro*"], True),
        ("tag-key", ["front"], False),
        ("tag-value", ["front"], True),
    ],
)
def test_values(name: str, values: list[str], *, expected: bool) -> None:
    keep = filters.compiled([{"Name": name, "Values": values}], KNOWN, filters.tags_of)
    assert keep is not None
    assert keep(ITEM) is expected


def test_all_filters_must_fit() -> None:
    assert fits(name="web-1", is_good="true")
    assert not fits(name="web-1", is_good="false")
    assert fits(name=["a", "web-1"], tag__role="front")


def test_no_filters_are_no_test_at_all() -> None:
    assert filters.compiled(None, KNOWN, filters.tags_of) is None
    assert filters.compiled([], KNOWN, filters.tags_of) is None


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ([{"Name": "color", "Values": ["x"]}], "filter"),
        ([{"Name": "Name", "Values": ["x"]}], "filter"),
        ([{"Values": ["x"]}], "filter"),
        ([{"Name": "name"}], "filter"),
        ([{"Name": "name", "Values": []}], "filter"),
        ([{"Name": "name", "Values": ["x"] * 201}], "filter-limit"),
    ],
)
def test_refused(asked: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        filters.compiled(asked, KNOWN, filters.tags_of)
    assert caught.value.reason == reason


@given(st.text(max_size=20))
def test_value_quoted_matches_itself_alone(text: str) -> None:
    quoted = "".join(f"\\{sign}" if sign in "*?\\" else sign for sign in text)
    keep = filters.compiled([{"Name": "name", "Values": [quoted]}], KNOWN, filters.tags_of)
    assert keep is not None
    assert keep({"Name": text})
    assert not keep({"Name": text + "x"})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([["x"]] * 51, "filter-limit"),
        ([["x"] * 100, ["x"] * 101], "filter-limit"),
        ([["x" * 256]], "filter"),
        ([["*" + "a" * 200 + "b*"] * 6], "filter-limit"),
    ],
    ids=["filters", "values", "value", "patterns"],
)
def test_filters_are_bounded(values: list[list[str]], reason: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        filters.compiled([{"Name": "name", "Values": each} for each in values], KNOWN, filters.tags_of)
    assert caught.value.reason == reason
