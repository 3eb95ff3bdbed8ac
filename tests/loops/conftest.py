"""A site with one project, one image and one host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.site import Site

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image


@pytest.fixture
def site() -> Site:
    made = Site()
    made.host("h1")
    return made


@pytest.fixture
def ann(site: Site) -> Caller:
    return site.caller("blue")


@pytest.fixture
def tiny(site: Site, ann: Caller) -> Image:
    return site.image(ann, "tiny", public=True)
