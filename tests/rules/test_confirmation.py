"""A recovery goes on from the rights of a copy: the doctor says so until an administrator confirms them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pileus.model.caller import SYSTEM
from pileus.model.errors import Forbidden
from pileus.rules.recover import recover
from pileus.verbs import doctor, user

if TYPE_CHECKING:
    from tests.site import Site


def unconfirmed(site: Site) -> list[str]:
    """The details of the doctor's findings of unconfirmed rights."""
    view = doctor.look(SYSTEM, site.core)
    return [finding.detail for finding in view.findings if finding.code == "RightsUnconfirmed"]


def recovered(site: Site) -> None:
    with site.store.write(recovering=True) as tx:
        recover(tx, {}, [])


def test_rights_of_a_recovered_store_are_unconfirmed_until_an_administrator_confirms(site: Site) -> None:
    user.create(SYSTEM, site.core, "bob")
    assert unconfirmed(site) == []
    recovered(site)
    (detail,) = unconfirmed(site)
    assert detail == f"as they were at {datetime.fromtimestamp(site.now, UTC).isoformat()}"
    site.now += 5
    user.create(SYSTEM, site.core, "eve")
    recovered(site)
    assert unconfirmed(site) == [detail], "of two recoveries the older copy counts"
    with pytest.raises(Forbidden):
        doctor.confirm(site.caller("ann"), site.core)
    doctor.confirm(SYSTEM, site.core)
    assert unconfirmed(site) == []
    recovered(site)
    assert unconfirmed(site) not in ([], [detail])


def test_a_store_that_was_gone_has_no_rights_to_confirm(site: Site) -> None:
    recovered(site)
    assert unconfirmed(site) == []
