"""Lists by the time of the last change, and the journal, which shows a project its own lines alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pileus.verbs.user import Account
    from tests.faces.rest.cloud import Cloud


@pytest.fixture
def keys(cloud: Cloud, account: Account) -> list[dict[str, Any]]:
    """Three key pairs, one after the other."""
    return [cloud.post(account, "keypairs", {"name": f"k{number}"}) for number in range(3)]


def test_a_list_of_changes_begins_at_a_time_and_includes_it(
    cloud: Cloud, account: Account, keys: list[dict[str, Any]]
) -> None:
    def ids(**query: str) -> list[str]:
        return [key["id"] for key in cloud.get(account, "keypairs", **query)["keypairs"]]

    every = [key["id"] for key in keys]
    second = keys[1]["changed"]
    assert ids(**{"changed-since": "0"}) == every
    assert ids(**{"changed-since": repr(second)}) == every[1:]
    assert ids(**{"changed-since": repr(keys[2]["changed"] + 0.001)}) == []


def test_changes_are_paged_in_their_order(cloud: Cloud, account: Account, keys: list[dict[str, Any]]) -> None:
    met: list[str] = []
    page: dict[str, Any] = {"next": ""}
    while page["next"] is not None:
        more = {"after": page["next"]} if page["next"] else {}
        page = cloud.get(account, "keypairs", **{"changed-since": "0", "limit": "2"}, **more)
        met += [key["id"] for key in page["keypairs"]]
    assert met == [key["id"] for key in keys]


def test_what_ended_is_in_a_list_of_changes_on_demand(cloud: Cloud, account: Account) -> None:
    address = cloud.post(account, "floatingips", {})
    assert cloud.ask(account, "DELETE", f"floatingips/{address['id']}")[0] == 200
    since = {"changed-since": "0"}
    cloud.until(lambda: cloud.get(account, "floatingips", **since)["floatingips"] == [])
    ended = cloud.get(account, "floatingips", **since, deleted="1")["floatingips"]
    assert [(noun["id"], noun["changed"] == noun["gone"]) for noun in ended] == [(address["id"], True)]


@pytest.mark.parametrize("text", ["yesterday", "nan", "inf", ""])
def test_a_time_that_is_none_is_refused(cloud: Cloud, account: Account, text: str) -> None:
    assert cloud.refused(account, "GET", "keypairs", **{"changed-since": text}) == "InvalidValue"


@pytest.mark.parametrize("token", ["x", "cGlsZXVzLzU=", "cGlsZXVzL25hbi81"])
def test_a_token_of_another_list_is_refused(cloud: Cloud, account: Account, token: str) -> None:
    query = {"changed-since": "0", "after": token}
    assert cloud.refused(account, "GET", "keypairs", **query) == "InvalidValue"


def test_the_journal_is_of_a_project_a_noun_or_a_request(
    cloud: Cloud, account: Account, keys: list[dict[str, Any]]
) -> None:
    every = cloud.get(account, "journal")["journal"]
    assert [line["verb"] for line in every[:3]] == ["keypair.create"] * 3
    assert [line["id"] for line in every] == sorted((line["id"] for line in every), reverse=True)
    of_second = cloud.get(account, "journal", kind="keypair", id="k1")["journal"]
    assert [line["uuid"] for line in of_second] == [keys[1]["uuid"]]
    assert cloud.get(account, "journal", request=of_second[0]["request"])["journal"] == of_second
    assert cloud.get(account, f"journal/{of_second[0]['id']}") == of_second[0]
    pages = cloud.get(account, "journal", limit="2")
    assert pages["journal"] == every[:2]
    assert cloud.get(account, "journal", limit="1", after=pages["next"])["journal"] == every[2:3]


def test_a_project_sees_its_own_lines_alone(cloud: Cloud, account: Account, keys: list[dict[str, Any]]) -> None:
    stranger = cloud.account()
    line = cloud.get(account, "journal", kind="keypair", id="k1")["journal"][0]
    assert line["uuid"] == keys[1]["uuid"]
    theirs = cloud.get(stranger, "journal", all="1")["journal"]
    assert keys[1]["uuid"] not in {entry["uuid"] for entry in theirs}
    assert cloud.get(stranger, "journal", request=line["request"])["journal"] == []
    assert cloud.refused(stranger, "GET", f"journal/{line['id']}") == "NotFound"
    assert cloud.refused(stranger, "GET", "journal/99999999") == "NotFound"
    assert cloud.refused(stranger, "GET", "journal", kind="keypair", id=keys[1]["id"]) == "NotFound"
    assert cloud.get(cloud.admin, f"journal/{line['id']}") == line
    assert line in cloud.get(cloud.admin, "journal", all="1")["journal"]


@pytest.mark.parametrize("number", ["x", "-1", "1e3", "9" * 30])
def test_a_number_that_is_no_lines_is_not_found(cloud: Cloud, account: Account, number: str) -> None:
    assert cloud.refused(account, "GET", f"journal/{number}") == "NotFound"
