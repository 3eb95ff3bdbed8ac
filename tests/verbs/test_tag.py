"""Tags: on all of the nouns named or on none, and only on one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.model.errors import Forbidden, InvalidValue, NotFound, QuotaExceeded
from pileus.model.ids import new_uuid
from pileus.model.volume import Volume
from pileus.verbs import securitygroup, tag
from pileus.verbs.instance.launch import Launch

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.instance import Instance
    from tests.site import Site


@pytest.fixture
def row(site: Site, ann: Caller, tiny: Image) -> Instance:
    instance = site.launch(ann, Launch(image=tiny.uuid, tags={"a": "1", "b": "2"}))[0]
    site.settle()
    return instance


def tags(site: Site, row: Instance) -> dict[str, str]:
    return site.row(row.uuid).tags


def test_tags_are_set_changed_and_reach_the_host(site: Site, ann: Caller, row: Instance) -> None:
    with site.store.read() as tx:
        volume = tx.referring(Volume, [row.uuid])[0]
    tag.put(ann, site.core, [("instance", row.uuid), ("volume", volume.uuid)], {"b": "3", "c": "4"})
    assert tags(site, row) == {"a": "1", "b": "3", "c": "4"}
    assert ("volume", volume.uuid, "c", "4") in tag.listing(ann, site.core)
    site.settle()
    assert site.agents["h1"].specs()[row.uuid].tags == {"a": "1", "b": "3", "c": "4"}


def test_the_same_tags_again_are_no_change(site: Site, ann: Caller, row: Instance) -> None:
    before = site.row(row.uuid)
    tag.put(ann, site.core, [("instance", row.uuid)], {"a": "1"})
    tag.remove(ann, site.core, [("instance", row.uuid)], {"nothing": None})
    assert site.row(row.uuid) == before


@pytest.mark.parametrize(
    ("removed", "remaining"),
    [
        ({"a": None}, {"b": "2"}),
        ({"a": "1"}, {"b": "2"}),
        ({"a": "other"}, {"a": "1", "b": "2"}),
        ({"a": ""}, {"a": "1", "b": "2"}),
        (None, {}),
        ({}, {"a": "1", "b": "2"}),
    ],
    ids=str,
)
def test_tags_are_taken(
    site: Site, ann: Caller, row: Instance, removed: dict[str, str | None] | None, remaining: dict[str, str]
) -> None:
    tag.remove(ann, site.core, [("instance", row.uuid)], removed)
    assert tags(site, row) == remaining


def test_bad_tags_are_refused(site: Site, ann: Caller, row: Instance) -> None:
    before = tags(site, row)
    for wrong in (
        {"": "x"},
        {"x" * 128: ""},
        {"x": "y" * 257},
        {"x": "a\x1b"},
        {"a\0": "x"},
        {"aws:x": ""},
        {"AWS:x": ""},
    ):
        with pytest.raises(InvalidValue):
            tag.put(ann, site.core, [("instance", row.uuid)], wrong)
    with pytest.raises(QuotaExceeded):
        tag.put(ann, site.core, [("instance", row.uuid)], {str(number): "" for number in range(49)})
    assert tags(site, row) == before
    tag.put(ann, site.core, [("instance", row.uuid)], {str(number): "" for number in range(48)})


def test_on_all_or_on_none(site: Site, ann: Caller, row: Instance) -> None:
    before = tags(site, row)
    for bad in (("instance", new_uuid()), ("flavor", row.wanted.flavor), ("none", row.uuid)):
        with pytest.raises(NotFound):
            tag.put(ann, site.core, [("instance", row.uuid), bad], {"x": "y"})
    assert tags(site, row) == before


def test_another_projects_nouns(site: Site, ann: Caller, tiny: Image, row: Instance) -> None:
    bob = site.caller("green")
    group = securitygroup.listing(ann, site.core)[0]
    for target in (("instance", row.uuid), ("securitygroup", group.uuid), (tag.RULE, group.wanted.rules[0].id)):
        with pytest.raises(NotFound):
            tag.put(bob, site.core, [target], {"x": "y"})
    with pytest.raises(Forbidden):  # a public image is seen by all, and tagged by its owner
        tag.put(bob, site.core, [("image", tiny.uuid)], {"x": "y"})
    assert tag.listing(bob, site.core) == []
