"""Users and their accounts."""

from __future__ import annotations

import pytest

from pileus.model.caller import SYSTEM
from pileus.model.errors import Duplicate
from pileus.model.project import Project
from pileus.verbs import user
from tests.site import Site


def test_a_user_that_exists_leaves_no_new_project_behind(site: Site) -> None:
    user.create(SYSTEM, site.core, "eve", "first")
    with pytest.raises(Duplicate):
        user.create(SYSTEM, site.core, "eve", "second")
    with site.core.store.read() as tx:
        assert "second" not in {project.name for project in tx.list(Project)}


def test_renewed_secrets_work_beside_the_old_ones(site: Site) -> None:
    first = user.create(SYSTEM, site.core, "eve")
    second = user.renew(SYSTEM, site.core, "eve")
    assert first.access_key != second.access_key
    assert user.checked(site.core, "eve", first.password) is None
    found = user.checked(site.core, "eve", second.password)
    assert found is not None
    assert found[0].uuid == first.user_id
