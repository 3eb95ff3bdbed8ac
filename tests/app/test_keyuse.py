"""The thread that writes the last uses of access keys."""

from __future__ import annotations

import pytest

from pileus.app import keyuse
from pileus.app.keyuse import KeyUseWriter
from pileus.app.processes import until
from pileus.model.caller import SYSTEM
from pileus.model.errors import Unavailable
from pileus.rules.credential import Authority
from pileus.store.keyuse import last_uses
from pileus.verbs import user
from tests.site import Site, site

__all__ = ["site"]


def services(site: Site) -> list[str]:
    """The services of all last uses that are written."""
    with site.store.read() as tx:
        return [use.service for use in last_uses(tx, [row[2] for row in tx.claims()]).values()]


def test_uses_are_written_while_it_runs_and_when_it_ends(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyuse, "INTERVAL", 0.01)
    authority = Authority(site.core)
    accounts = [user.create(SYSTEM, site.core, name) for name in ("eve", "kim")]
    writer = KeyUseWriter(authority.uses)
    writer.start()
    authority.by_access_key(accounts[0].access_key, "ec2")
    assert until(lambda: services(site) == ["ec2"], 20)
    authority.by_access_key(accounts[1].access_key, "iam")
    writer.stop()
    assert sorted(services(site)) == ["ec2", "iam"]


def test_a_database_that_does_not_answer_keeps_no_process_from_ending(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(site.core)
    authority.by_access_key(user.create(SYSTEM, site.core, "eve").access_key, "ec2")

    def fails() -> None:
        raise Unavailable("The database does not answer.")

    writer = KeyUseWriter(authority.uses)
    monkeypatch.setattr(authority.uses, "write", fails)
    writer.start()
    writer.stop()
    assert services(site) == []
