"""A client token outlives the rows of a project that ended too much. Worlds of the kind `forgetful` hold the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.loops import runner
from pileus.model import bounds, quota
from pileus.model.errors import TokenReused
from pileus.model.instance import Instance
from pileus.verbs.instance.launch import Launch, launch, shown
from pileus.verbs.instance.power import terminate

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site


def test_a_token_of_instances_that_are_forgotten_makes_nothing_anew(
    site: Site, ann: Caller, tiny: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TOMBSTONES", "UNLIMITED_TOMBSTONES"):
        monkeypatch.setattr(bounds, name, msgspec.structs.replace(bounds.TOMBSTONES, most=0))
    monkeypatch.setattr(quota, "limit", lambda _project, _resource: None)
    request = Launch(image=tiny.uuid, least=2, most=2, token="once")
    first = launch(ann, site.core, request)
    site.settle()
    terminate(ann, site.core, [site.row(first[0]).uuid])
    site.settle()
    runner.resync(site.core)
    assert [view.instance.uuid for view in shown(ann, site.core, request)] == first[1:]
    terminate(ann, site.core, [site.row(first[1]).uuid])
    site.settle()
    runner.resync(site.core)
    with site.store.read() as tx:
        assert tx.list(Instance, dead=True) == []
    assert launch(ann, site.core, request) == first
    with pytest.raises(TokenReused):
        shown(ann, site.core, request)
    with site.store.read() as tx:
        assert tx.list(Instance, dead=True) == []
