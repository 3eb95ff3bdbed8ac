"""People over the REST face: users, groups, grants, projects, credentials, passwords and signed tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pileus.faces.wire.http import Request
from pileus.model import bounds

if TYPE_CHECKING:
    from pileus.verbs.user import Account
    from tests.faces.rest.cloud import Cloud


def answer(
    cloud: Cloud, token: str, method: str, path: str, body: object = None, project: str = ""
) -> tuple[int, dict[str, Any]]:
    """Status and document of one request by a token, acting in a project."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    headers |= {"x-project-id": project} if project else {}
    data = json.dumps(body).encode() if body is not None else b""
    response = cloud.face.handle(Request(method, f"/v1/{path}", "", headers, data))
    return response.status, json.loads(response.body)


def test_a_password_gives_a_token_and_the_token_another_one(cloud: Cloud, account: Account) -> None:
    proof = {"user": account.user, "password": account.password}
    status, issued = answer(cloud, "", "POST", "tokens", {**proof, "valid": 600})
    assert status == 201
    assert issued.keys() == {"id", "token", "user", "project", "role", "until"}
    assert (issued["user"], issued["project"], issued["role"]) == (account.user, account.project, "admin")
    status, second = answer(cloud, issued["token"], "POST", "tokens", {})
    assert status == 201
    assert answer(cloud, second["token"], "GET", "instances")[0] == 200
    assert answer(cloud, second["token"], "DELETE", f"tokens/{issued['id']}")[0] == 200
    assert answer(cloud, issued["token"], "GET", "instances")[0] == 401
    assert answer(cloud, second["token"], "POST", "users/me/tokens/revoke")[0] == 200
    assert answer(cloud, second["token"], "GET", "instances")[0] == 401


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"user": "nobody", "password": "anything"}, 401, "Unauthorized"),
        ({"user": "nobody"}, 401, "Unauthorized"),
        ({}, 401, "Unauthorized"),
        ({"user": 5}, 400, "InvalidValue"),
        ({"user": "u", "password": "x" * 129}, 400, "InvalidValue"),
        ([], 400, "InvalidValue"),
    ],
)
def test_a_wrong_proof_is_refused(cloud: Cloud, body: object, status: int, code: str) -> None:
    response = answer(cloud, "", "POST", "tokens", body)
    assert (response[0], response[1]["error"]["code"]) == (status, code)


def test_guesses_are_few(cloud: Cloud, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud.core.passwords, "_monotonic", lambda: 100.0)
    guesses = [{"user": account.user, "password": f"guess {number}"} for number in range(bounds.WRONG_PASSWORDS.most)]
    assert {answer(cloud, "", "POST", "tokens", guess)[0] for guess in guesses} == {401}
    status, document = answer(cloud, "", "POST", "tokens", {"user": account.user, "password": account.password})
    assert (status, document["error"]["code"]) == (429, "Throttled")
    assert answer(cloud, account.token, "GET", "instances")[0] == 200  # tokens go on


def test_a_user_changes_its_password_and_its_admin_sets_it(cloud: Cloud, account: Account) -> None:
    change = {"password": "battery staple", "old": account.password}
    assert answer(cloud, account.token, "POST", "users/me/password", {**change, "old": "guess"})[0] == 403
    assert answer(cloud, account.token, "POST", "users/me/password", change)[0] == 200
    assert answer(cloud, "", "POST", "tokens", {"user": account.user, "password": change["password"]})[0] == 201
    shown = cloud.post(cloud.admin, f"users/{account.user}/password", {"password": "correct horse"})
    assert not {"password", "epoch", "revoked"} & shown["wanted"].keys()
    assert answer(cloud, "", "POST", "tokens", {"user": account.user, "password": "correct horse"})[0] == 201
    assert cloud.refused(cloud.admin, "POST", f"users/{account.user}/password", {"password": "short"}) == "InvalidValue"


def test_one_token_acts_in_several_projects(cloud: Cloud, account: Account) -> None:
    other = cloud.account()
    body = {"role": "reader", "user": account.user, "project": other.project}
    granted = cloud.post(cloud.admin, "grants", body)
    assert (granted["role"], granted["user"], granted["project_name"]) == ("reader", account.user, other.project)
    project = cloud.get(other, "projects")["projects"][0]["uuid"]
    for word in (other.project, project):
        status, page = answer(cloud, account.token, "GET", "projects", project=word)
        assert (status, [each["uuid"] for each in page["projects"]]) == (200, [project])
    status, document = answer(cloud, account.token, "POST", "keypairs", {"name": "k"}, project)
    assert (status, document["error"]["code"], document["error"]["reason"]) == (403, "Forbidden", "role")
    status, issued = answer(cloud, account.token, "POST", "tokens", {"project": other.project})
    assert (status, issued["project"], issued["role"]) == (201, other.project, "reader")
    cloud.post(cloud.admin, "grants", {**body, "role": "member"})
    assert answer(cloud, issued["token"], "POST", "keypairs", {"name": "k"})[0] == 201
    cloud.ask(cloud.admin, "DELETE", f"grants/{granted['id']}")
    for way in ({"token": account.token, "project": other.project}, {"token": issued["token"]}):
        assert answer(cloud, method="GET", path="keypairs", **way)[0] in (401, 404)


@pytest.mark.parametrize("project", ["no-such-project", "admin"])
def test_a_project_without_a_role_is_not_there(cloud: Cloud, account: Account, project: str) -> None:
    status, document = answer(cloud, account.token, "GET", "instances", project=project)
    text = f"The project '{project}' does not exist."
    assert (status, document["error"]["code"], document["error"]["message"]) == (404, "NotFound", text)


def test_an_admin_looks_after_the_people_of_its_project(cloud: Cloud, account: Account) -> None:
    member = cloud.post(account, "users", {"name": f"kim-of-{account.user}", "role": "reader"})
    assert member["project"] == account.project
    kim = member["token"]
    assert answer(cloud, kim, "POST", "keypairs", {"name": "k"})[0] == 403
    group = cloud.post(account, "usergroups", {"name": "ops"})
    assert cloud.post(account, f"usergroups/{group['id']}/add", {"user": member["user"]})["users"] == [member["user"]]
    granted = cloud.post(account, "grants", {"role": "member", "usergroup": "ops"})
    assert granted["usergroup"] == "ops"
    assert answer(cloud, kim, "POST", "keypairs", {"name": "k"})[0] == 201
    assert answer(cloud, kim, "POST", "usergroups", {"name": "mine"})[0] == 403
    assert answer(cloud, kim, "POST", "grants", {"role": "admin", "user": member["user"]})[0] == 403
    assert cloud.post(account, "usergroups/ops/remove", {"user": member["user"]})["users"] == []
    assert answer(cloud, kim, "POST", "keypairs", {"name": "l"})[0] == 403
    cloud.post(account, f"users/{member['user']}", {"enabled": False})
    assert answer(cloud, kim, "GET", "keypairs")[0] == 401
    assert cloud.ask(account, "DELETE", f"users/{member['user']}")[0] == 200
    assert cloud.refused(account, "GET", f"users/{member['user']}") == "NotFound"


def test_credentials_are_disabled_enabled_and_rotated(cloud: Cloud, account: Account) -> None:
    credential = cloud.post(account, "credentials", {"type": "token"})
    for enabled in (False, True):
        shown = cloud.post(account, f"credentials/{credential['id']}", {"enabled": enabled})
        assert (shown["wanted"]["enabled"], shown["user"]) == (enabled, account.user)
        assert answer(cloud, credential["token"], "GET", "instances")[0] == (200 if enabled else 401)
    new = cloud.post(account, f"credentials/{credential['id']}/rotate", {})
    assert new.keys() == credential.keys()
    assert answer(cloud, credential["token"], "GET", "instances")[0] == 401
    assert answer(cloud, new["token"], "GET", "instances")[0] == 200


def test_projects_are_made_disabled_and_deleted_by_administrators(cloud: Cloud, account: Account) -> None:
    name = f"lab-of-{account.user}"
    assert cloud.refused(account, "POST", "projects", {"name": name}) == "Forbidden"
    assert cloud.refused(account, "DELETE", f"projects/{account.project}") == "Forbidden"
    project = cloud.post(cloud.admin, "projects", {"name": name})
    assert cloud.post(cloud.admin, f"projects/{name}", {"enabled": False})["wanted"]["enabled"] is False
    assert cloud.ask(cloud.admin, "DELETE", f"projects/{name}")[0] == 200
    cloud.until(lambda: cloud.get(cloud.admin, f"projects/{project['id']}")["gone"] is not None)
    assert cloud.refused(cloud.admin, "DELETE", f"projects/{account.project}") == "Conflict"


def test_every_list_says_who_somebody_is_and_no_secret(cloud: Cloud, account: Account) -> None:
    text = json.dumps([cloud.get(account, nouns) for nouns in ("users", "credentials", "grants", "projects")])
    for secret in (account.password, account.secret_key, account.token, "argon2", "sealed"):
        assert secret not in text
