"""A token whose launch the database has lost leads to the instances that it made, which hosts know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model.errors import TokenReused
from pileus.store.store import TOMBSTONE
from pileus.verbs.instance.launch import Launch, launch
from tests.loops.test_recover import Process, copied, empty, moved_to, replaced, without_h2

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site


@pytest.fixture
def asked(tiny: Image) -> Launch:
    """A launch with a token."""
    return Launch(image=tiny.uuid, least=3, most=3, token="once")


@pytest.mark.parametrize("what", ["copy", "gone"])
def test_a_token_that_was_lost_makes_nothing_twice(site: Site, ann: Caller, asked: Launch, what: str) -> None:
    old = copied(site) if what == "copy" else empty()
    first = launch(ann, site.core, asked)
    site.settle()
    replaced(site, old)
    process = Process(site).opened()
    assert launch(ann, process.core, asked) == first
    with pytest.raises(TokenReused):
        launch(ann, process.core, msgspec.structs.replace(asked, most=4))
    site.settle()
    assert len(site.agents["h1"].specs()) == 3


def test_what_a_silent_host_has_of_a_launch_joins_the_token_when_it_is_back(
    site: Site, ann: Caller, asked: Launch, tiny: Image
) -> None:
    site.host("h2")
    old = copied(site)
    first = launch(ann, site.core, msgspec.structs.replace(asked, token="other"))
    with moved_to(site, "h2"):
        away = launch(ann, site.core, asked)
        site.settle()
    replaced(site, old)
    process = without_h2(site)
    process.silent.clear()
    process.hear("h2")
    process.hear("h1")
    process.opened()
    assert launch(ann, process.core, asked) == away
    assert set(first).isdisjoint(away)


def test_a_token_is_restored_for_a_day(site: Site, ann: Caller, asked: Launch) -> None:
    old = copied(site)
    first = launch(ann, site.core, asked)
    site.settle()
    site.now += TOMBSTONE + 1
    replaced(site, old)
    process = Process(site).opened()
    assert set(launch(ann, process.core, asked)).isdisjoint(first)
