"""What one project can do with another's things over the REST face: the same as with things that never were."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from pileus.faces.rest.documents import PLURALS
from pileus.faces.rest.routes import ROUTES

if TYPE_CHECKING:
    from pileus.verbs.user import Account
    from tests.faces.rest.cloud import Cloud

SHARED = {"flavors", "hosts", "issuers"}
"""Nouns that are of no project."""

NO_NAME = "no-such-thing"


def furnish(cloud: Cloud, account: Account) -> None:
    """Give `account` one of every noun that projects have, an image apart."""
    name = f"of-{account.user}"
    cloud.furnish(account, name)
    cloud.post(account, "instances", {"image": cloud.image(), "flavor": "m1.tiny", "name": name})


@pytest.fixture(scope="module")
def victim(cloud: Cloud) -> Account:
    """A user whose project has something of everything."""
    made = cloud.account()
    furnish(cloud, made)
    return made


@pytest.fixture(scope="module")
def stranger(cloud: Cloud) -> Account:
    """A user of another project, which has something of everything too."""
    made = cloud.account()
    furnish(cloud, made)
    return made


def refusal(cloud: Cloud, account: Account, method: str, path: str, word: str) -> tuple[int, str]:
    """Status and error of a refusal, the word that it is about put aside."""
    status, _, found = cloud.ask(account, method, path)
    text = str(found.get("error", {}))
    return status, re.sub(r"'request_id': '[^']*'", "", text).replace(word, "WORD")


def held(cloud: Cloud, account: Account, plural: str) -> list[dict[str, Any]]:
    """The nouns of one kind that a project has itself."""
    project = cloud.get(account, "projects")["projects"][0]["uuid"]
    return [noun for noun in cloud.get(account, plural)[plural] if noun["project"] == project]


@pytest.mark.parametrize("plural", sorted(PLURALS.keys() - SHARED - {"images", "projects"}))
def test_anothers_nouns_are_not_there(cloud: Cloud, victim: Account, stranger: Account, plural: str) -> None:
    theirs, own = held(cloud, victim, plural), held(cloud, stranger, plural)
    assert theirs
    assert own
    shown = {noun["uuid"] for noun in cloud.get(stranger, plural, all="1", deleted="1")[plural]}
    assert not shown & {noun["uuid"] for noun in theirs}
    assert shown >= {noun["uuid"] for noun in own}
    kind = PLURALS[plural].KIND
    for noun in theirs:
        for word in {noun["id"], noun["uuid"]} - {""}:
            nothing = word[:-5] + ("00000" if word[-5:] != "00000" else "11111")
            for way in ("{}s/{}", "explain/{}/{}"):
                assert cloud.ask(victim, "GET", way.format(kind, word))[0] == 200
                said = refusal(cloud, stranger, "GET", way.format(kind, word), word)
                assert said[0] == 404
                assert said == refusal(cloud, stranger, "GET", way.format(kind, nothing), nothing)


def test_no_verb_touches_anothers_instance(cloud: Cloud, victim: Account, stranger: Account) -> None:
    theirs = held(cloud, victim, "instances")[0]
    before = cloud.get(victim, f"instances/{theirs['id']}")
    paths = [route for route in ROUTES if "instances/{id}" in route.path]
    assert len(paths) >= 6
    for route in paths:
        for word in (theirs["id"], theirs["uuid"], theirs["name"]):
            status, said = refusal(cloud, stranger, route.method, route.path.format(id=word), word)
            assert (status, "does not exist" in said) == (404, True), (route.path, said)
    after = cloud.get(victim, f"instances/{theirs['id']}")
    assert (after["generation"], after["wanted"]) == (before["generation"], before["wanted"])
    assert cloud.ask(victim, "POST", f"instances/{theirs['id']}/reboot")[0] == 200


def test_a_launch_takes_nothing_of_anothers(cloud: Cloud, victim: Account, stranger: Account) -> None:
    key, group = held(cloud, victim, "keypairs")[0], held(cloud, victim, "securitygroups")[0]
    subnet = held(cloud, victim, "subnets")[0]
    image = cloud.image()
    own = held(cloud, stranger, "instances")
    for more in ({"key_name": key["name"]}, {"groups": [group["id"]]}, {"subnet": subnet["id"]}):
        status, _, found = cloud.ask(stranger, "POST", "instances", {"image": image, "flavor": "m1.tiny", **more})
        assert (status, found["error"]["code"]) == (404, "NotFound"), (more, found)
        assert cloud.ask(victim, "POST", "instances", {"image": image, "flavor": "m1.tiny", **more})[0] == 201
    assert len(held(cloud, stranger, "instances")) == len(own)


def test_a_user_sees_no_other_project_and_makes_none(cloud: Cloud, victim: Account, stranger: Account) -> None:
    assert [project["name"] for project in cloud.get(stranger, "projects", all="1")["projects"]] == [stranger.project]
    assert cloud.refused(stranger, "GET", f"projects/{victim.project}") == "NotFound"
    assert cloud.refused(stranger, "POST", "users", {"name": "helper", "project": victim.project}) == "Forbidden"
