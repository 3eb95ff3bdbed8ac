"""Tags of any noun, images and key pairs are changed by id or name, in one's own project alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pileus.verbs.user import Account
    from tests.faces.rest.cloud import Cloud


def test_tags_are_set_and_taken_away(cloud: Cloud, account: Account) -> None:
    assert cloud.post(account, "networks/default/tags", {"add": {"a": "1", "b": "2"}})["tags"] == {"a": "1", "b": "2"}
    changed = cloud.post(account, "networks/default/tags", {"add": {"a": "3"}, "remove": ["b", "none"]})
    assert changed["tags"] == {"a": "3"}
    assert cloud.get(account, "networks/default")["tags"] == {"a": "3"}


@pytest.mark.parametrize("body", [{"add": {"aws:x": "y"}}, {"remove": ["aws:x"]}, {"add": {"": "y"}}, {"remove": "a"}])
def test_a_tag_that_cannot_be_is_refused(cloud: Cloud, account: Account, body: dict[str, object]) -> None:
    assert cloud.refused(account, "POST", "networks/default/tags", body) == "InvalidValue"


def test_a_noun_without_tags_is_said_to_have_none(cloud: Cloud) -> None:
    assert cloud.refused(cloud.admin, "POST", f"users/{cloud.admin.user}/tags", {"add": {"a": "b"}}) == "NotFound"


def test_a_key_pair_is_deleted_by_name(cloud: Cloud, account: Account) -> None:
    cloud.post(account, "keypairs", {"name": "k"})
    assert cloud.refused(cloud.account(), "DELETE", "keypairs/k") == "NotFound"
    assert cloud.ask(account, "DELETE", "keypairs/k")[0] == 200
    assert cloud.get(account, "keypairs")["keypairs"] == []


def test_an_image_is_copied_and_the_copy_is_the_projects_own(cloud: Cloud, account: Account) -> None:
    image = cloud.get(account, f"images/{cloud.image()}")
    copy = cloud.post(account, f"images/{image['id']}/copy", {"name": "mine", "tags": {"a": "b"}})
    assert (copy["name"], copy["digest"], copy["tags"], copy["state"]) == (
        "mine",
        image["digest"],
        {"a": "b"},
        "available",
    )
    assert (copy["wanted"]["public"], copy["wanted"]["login_user"]) == (False, "ada")
    assert copy["id"] != image["id"]
    assert cloud.refused(account, "POST", f"images/{image['id']}/copy", {"name": "mine"}) == "Duplicate"
    assert cloud.refused(account, "POST", f"images/{image['id']}/copy", {"name": ""}) == "InvalidValue"
    assert cloud.refused(cloud.account(), "POST", "images/mine/copy", {"name": "theirs"}) == "NotFound"
    (line, *_) = cloud.get(account, "journal", kind="image", id="mine")["journal"]
    assert (line["verb"], line["detail"]) == ("image.copy", image["uuid"])


def test_an_image_is_shared_and_no_longer(cloud: Cloud, account: Account) -> None:
    image = cloud.image()
    cloud.post(account, f"images/{image}/copy", {"name": "mine"})
    ident = cloud.get(account, "images/mine")["id"]
    other = cloud.account()
    number = cloud.get(other, "projects")["projects"][0]["wanted"]["account_id"]
    assert cloud.post(account, "images/mine", {"add": [number], "description": "d"})["wanted"]["description"] == "d"
    assert cloud.get(other, f"images/{ident}")["name"] == "mine"
    cloud.post(account, "images/mine", {"remove": [number]})
    assert cloud.refused(other, "GET", f"images/{ident}") == "NotFound"
    assert cloud.refused(account, "POST", "images/mine", {"public": True}) == "Forbidden"


@pytest.mark.parametrize("number", ["", "self", "12345678901", "1234567890123", "١٢٣٤٥٦٧٨٩٠١٢"])
def test_an_image_is_shared_with_numbers_of_accounts_alone(cloud: Cloud, account: Account, number: str) -> None:
    """The empty number is that of a look for names: everybody would find the image by a name of its owner's choice."""
    cloud.post(account, f"images/{cloud.image()}/copy", {"name": "bait"})
    assert cloud.refused(account, "POST", "images/bait", {"add": [number]}) == "InvalidValue"
    assert cloud.refused(cloud.account(), "GET", "images/bait") == "NotFound"


def test_two_of_one_name_are_told_by_their_ids(cloud: Cloud, account: Account) -> None:
    ids = [cloud.post(account, "networks", {"name": "twin"})["id"] for _ in range(2)]
    status, _, answer = cloud.ask(account, "GET", "networks/twin")
    assert (status, answer["error"]["message"]) == (
        404,
        f"2 networks are named 'twin': {ids[0]}, {ids[1]}. Name one by its id.",
    )


def test_of_groups_of_one_name_the_one_of_the_default_router_is_meant(cloud: Cloud, account: Account) -> None:
    router = cloud.post(account, "routers", {"cidr": "10.9.0.0/16"})
    defaults = [each for each in cloud.get(account, "securitygroups")["securitygroups"] if each["name"] == "default"]
    assert len(defaults) == 2
    assert cloud.get(account, "securitygroups/default")["wanted"]["router"] != router["uuid"]
    for _ in range(2):
        other = cloud.post(account, "routers", {"cidr": "10.9.0.0/16"})
        cloud.post(account, "securitygroups", {"name": "web", "router": other["id"]})
    assert cloud.refused(account, "GET", "securitygroups/web") == "NotFound"
