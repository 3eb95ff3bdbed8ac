"""Who may ask what of the REST face, and what it answers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from openapi_spec_validator import validate

from pileus.faces.rest.documents import PLURALS
from pileus.faces.rest.openapi import openapi
from pileus.faces.rest.routes import ROUTES
from pileus.model import bounds

if TYPE_CHECKING:
    from pileus.verbs.user import Account
    from tests.faces.rest.cloud import Cloud


def test_without_a_token_nothing_is_said(cloud: Cloud) -> None:
    for path in ("instances", "nothing", "explain/instance/i-1"):
        assert cloud.refused(None, "GET", path) == "Unauthorized"
    status, headers, _ = cloud.ask(None, "GET", "instances")
    assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="pileus"')


def test_unknown_paths_methods_and_nouns(cloud: Cloud, account: Account) -> None:
    assert cloud.refused(account, "GET", "unicorns") == "NotFound"
    assert cloud.refused(account, "GET", "a/b/c/d/e") == "NotFound"
    assert cloud.refused(account, "GET", "explain//i-1") == "NotFound"
    assert cloud.refused(account, "PUT", "instances") == "MethodNotAllowed"


def test_words_of_a_path_are_bounded(cloud: Cloud) -> None:
    assert cloud.refused(cloud.admin, "GET", f"instances/{'a' * bounds.IDENT.most}") == "NotFound"
    long = "%41" * (bounds.IDENT.most + 1)
    for route in ROUTES:
        if "{" in route.path:
            status, _, found = cloud.ask(cloud.admin, route.method, re.sub(r"\{\w+\}", long, route.path))
            assert (status, found["error"]["code"]) == (400, "InvalidValue"), route.path
            assert "in the path has 256 characters; 255 is the most" in found["error"]["message"], route.path


def test_parameters_of_a_query_are_bounded(cloud: Cloud, account: Account) -> None:
    most = bounds.QUERY.most
    many = {f"a{number}": "" for number in range(most + 1)}
    _, _, found = cloud.ask(account, "GET", "instances", **many)
    assert found["error"]["message"] == f"The query has more than the {most} parameters that are taken."


def test_the_document_describes_every_path(cloud: Cloud) -> None:
    status, _, found = cloud.ask(None, "GET", "openapi.json")
    assert status == 200
    assert found == json.loads(json.dumps(openapi()))
    validate(found)
    for route in ROUTES:
        if "{nouns}" not in route.path:
            assert route.method.lower() in found["paths"][f"/v1/{route.path}"]
    for plural in PLURALS:
        assert {"get"} <= found["paths"][f"/v1/{plural}"].keys()
    for schema in found["components"]["schemas"].values():
        assert "sealed" not in schema.get("properties", {})


@pytest.mark.parametrize("plural", sorted(PLURALS))
def test_every_noun_is_listed_and_shown(cloud: Cloud, plural: str) -> None:
    account = cloud.account(admin=True)
    cloud.furnish(account, f"for-{plural}")
    cloud.post(account, "instances", {"image": cloud.image()})
    found = cloud.get(cloud.admin, plural, all="1")[plural]
    assert found
    shown = cloud.get(cloud.admin, f"{plural}/{found[0]['id']}")
    assert (shown["uuid"], shown["kind"]) == (found[0]["uuid"], PLURALS[plural].KIND)
    assert cloud.refused(cloud.admin, "GET", f"{plural}/{PLURALS[plural].PREFIX}-00000000000000000") == "NotFound"


def test_secrets_are_in_no_document(cloud: Cloud) -> None:
    for plural in ("users", "credentials"):
        for noun in cloud.get(cloud.admin, plural, all="1")[plural]:
            assert not {"password", "sealed"} & noun["wanted"].keys()


def test_a_project_sees_its_own_and_what_is_public(cloud: Cloud, account: Account) -> None:
    other = cloud.account()
    made = cloud.post(other, "keypairs", {"name": "mine"})
    assert cloud.refused(account, "GET", f"keypairs/{made['id']}") == "NotFound"
    assert cloud.refused(account, "GET", "keypairs/mine") == "NotFound"
    assert cloud.get(account, "keypairs", all="1")["keypairs"] == []
    assert cloud.get(account, "hosts")["hosts"] == []
    assert cloud.refused(account, "GET", "hosts/stub") == "NotFound"
    assert cloud.get(cloud.admin, f"keypairs/{made['id']}")["name"] == "mine"
    assert cloud.image() in [image["name"] for image in cloud.get(account, "images")["images"]]


def test_lists_come_in_pages(cloud: Cloud, account: Account) -> None:
    names = [f"key{i}" for i in range(5)]
    for name in names:
        cloud.post(account, "keypairs", {"name": name})
    seen: list[str] = []
    more: str | None = ""
    while more is not None:
        page = cloud.get(account, "keypairs", limit="2", **({"after": more} if more else {}))
        assert len(page["keypairs"]) <= 2
        seen += [key["name"] for key in page["keypairs"]]
        more = page["next"]
    assert seen == names
    for query in ({"limit": "0"}, {"limit": "many"}, {"after": "xyz"}):
        assert cloud.refused(account, "GET", "keypairs", None, **query) == "InvalidValue"


def test_users_are_made_by_administrators(cloud: Cloud, account: Account) -> None:
    assert cloud.refused(account, "POST", "users", {"name": "eve", "project": "garden"}) == "Forbidden"
    assert cloud.refused(account, "POST", "users", {"name": "eve", "admin": True}) == "Forbidden"
    made = cloud.post(cloud.admin, "users", {"name": "eve", "project": "garden"})
    assert set(made) == {
        *("user", "user_id", "password", "project", "account_id", "canonical_id"),
        *("access_key", "secret_key", "token"),
    }
    assert made["project"] == "garden"
    assert cloud.refused(cloud.admin, "POST", "users", {"name": "eve"}) == "Duplicate"
    assert cloud.refused(cloud.admin, "POST", "users", {"name": "no spaces"}) == "InvalidValue"


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"nom": "x"}', b'{"name": 5}', b"{}", b"\xff"])
def test_bodies_that_are_not_what_the_path_takes(cloud: Cloud, body: bytes) -> None:
    assert cloud.refused(cloud.admin, "POST", "users", body) == "InvalidValue"


def test_without_a_host_there_is_no_capacity(hostless: Cloud) -> None:
    body = {"image": hostless.image()}
    assert hostless.refused(hostless.admin, "POST", "instances", body) == "NoCapacity"
    assert hostless.get(hostless.admin, "instances", deleted="1")["instances"] == []


def test_an_instance_from_launch_to_gone(cloud: Cloud, account: Account) -> None:
    made = cloud.post(account, "instances", {"image": cloud.image(), "flavor": "m1.tiny", "name": "box"})
    one = made["instances"][0]
    assert (one["state"], one["flavor"], one["login_user"], one["name"]) == ("pending", "m1.tiny", "ada", "box")
    path = f"instances/{one['id']}"

    def becomes(state: str) -> None:
        cloud.until(lambda: cloud.get(account, path)["state"] == state)

    becomes("running")
    assert cloud.get(account, "instances/box")["loopback"].startswith("127.")
    assert cloud.post(account, f"{path}/stop")["state"] == "stopping"
    becomes("stopped")
    cloud.post(account, "instances/box/start")
    becomes("running")
    cloud.post(account, f"{path}/reboot")
    cloud.until(lambda: cloud.get(account, f"explain/instance/{one['id']}")["settled"])
    assert cloud.post(account, f"{path}/terminate")["state"] == "shutting-down"
    becomes("terminated")
    assert cloud.get(account, "instances")["instances"] == []
    assert [gone["id"] for gone in cloud.get(account, "instances", deleted="1")["instances"]] == [one["id"]]
    assert cloud.refused(account, "POST", f"{path}/start") == "Conflict"
    assert cloud.refused(account, "GET", "instances/box") == "NotFound"


def test_a_key_pair_is_imported_or_made(cloud: Cloud, account: Account) -> None:
    made = cloud.post(account, "keypairs", {"name": "a"})
    assert made["private_key"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    line = made["wanted"]["public_key"]
    assert "private_key" not in cloud.post(account, "keypairs", {"name": "b", "public_key": line})
    assert cloud.refused(account, "POST", "keypairs", {"name": "c", "public_key": "x"}) == "InvalidValue"


def test_only_the_owner_forgets_an_image(cloud: Cloud, account: Account) -> None:
    name = cloud.image()
    assert cloud.refused(account, "DELETE", f"images/{name}") == "NotFound"
    assert cloud.ask(cloud.admin, "DELETE", f"images/{name}")[0] == 200
