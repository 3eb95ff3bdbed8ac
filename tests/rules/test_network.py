"""Free addresses of subnets: the notes that a process keeps to find them sooner are bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.rules import network as rules
from pileus.verbs import network, router, subnet

if TYPE_CHECKING:
    import pytest

    from pileus.model.caller import Caller
    from tests.site import Site


def test_the_addresses_given_last_are_noted_of_so_many_subnets(
    site: Site, ann: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "CROWDED", 0)
    monkeypatch.setattr(rules, "NOTED", 2)
    own = router.create(ann, site.core, "10.9.0.0/16")
    for number in range(5):
        subnet.create(ann, site.core, own.uuid, f"10.9.{number}.0/24")
    views = network.subnets(ann, site.core)
    with site.store.write() as tx:
        before = len(tx.remembered)
        for view in views:
            assert rules.free_addresses(tx, view.subnet, 1, 1)
        notes = [value for value in tx.remembered.values() if isinstance(value, dict)]
        assert len(tx.remembered) <= before + 1
        assert all(len(each) <= 3 for each in notes)
