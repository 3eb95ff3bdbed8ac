"""What a project may use and uses, by our own face; an administrator changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.bounds import BOUNDS

if TYPE_CHECKING:
    from pileus.verbs.user import Account
    from tests.faces.rest.cloud import Cloud


def test_a_project_sees_what_it_uses_and_may_use(cloud: Cloud, account: Account) -> None:
    before = cloud.get(account, "limits")
    assert before["project"] == account.project
    cloud.post(account, "keypairs", {"name": "k"})
    after = cloud.get(account, "limits")
    assert after["resources"]["keypairs"]["used"] == before["resources"]["keypairs"]["used"] + 1
    assert after["bounds"]["tags"]["most"] == BOUNDS["tags"].most


def test_an_administrator_gives_a_project_other_limits(cloud: Cloud, account: Account) -> None:
    path = f"projects/{account.project}/limits"
    shown = cloud.post(cloud.admin, path, {"limits": {"keypairs": 1, "images": None}})["resources"]
    assert (shown["keypairs"]["limit"], shown["images"]["limit"], shown["rules"]["limit"]) == (1, None, 1000)
    cloud.post(account, "keypairs", {"name": "a"})
    assert cloud.refused(account, "POST", "keypairs", {"name": "b"}) == "QuotaExceeded"
    cloud.post(cloud.admin, path, {"limits": {"keypairs": 2}})
    cloud.post(account, "keypairs", {"name": "b"})
    assert cloud.get(cloud.admin, "limits", project=account.project)["resources"]["keypairs"]["used"] == 2


def test_nobody_else_changes_limits_or_sees_anothers(cloud: Cloud, account: Account) -> None:
    assert cloud.refused(account, "POST", f"projects/{account.project}/limits", {"limits": {}}) == "Forbidden"
    assert cloud.refused(account, "GET", "limits", project=cloud.admin.project) == "NotFound"
    for wrong in ({"gold": 1}, {"images": -1}, {"images": 1 << 70}, {"images": "many"}):
        path = f"projects/{account.project}/limits"
        assert cloud.refused(cloud.admin, "POST", path, {"limits": wrong}) == "InvalidValue"
