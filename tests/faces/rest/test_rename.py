"""PATCH gives a noun another name, by id or name, in one's own project alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pileus.verbs.user import Account
    from tests.faces.rest.cloud import Cloud


def test_a_network_is_renamed(cloud: Cloud, account: Account) -> None:
    before = cloud.get(account, "networks/default")
    status, _, renamed = cloud.ask(account, "PATCH", "networks/default", {"name": "lab"})
    assert (status, renamed["id"], renamed["name"]) == (200, before["id"], "lab")
    assert cloud.get(account, "networks/lab")["changed"] > before["changed"]
    assert cloud.refused(account, "GET", "networks/default") == "NotFound"
    (line, *_) = cloud.get(account, "journal", kind="network", id="lab")["journal"]
    assert (line["verb"], line["detail"]) == ("network.rename", "lab")


@pytest.mark.parametrize("body", [{}, {"name": 5}, {"name": "x" * 300}, {"name": "x", "more": 1}])
def test_a_body_that_is_wrong_is_refused(cloud: Cloud, account: Account, body: dict[str, object]) -> None:
    assert cloud.refused(account, "PATCH", "networks/default", body) == "InvalidValue"


def test_kinds_whose_names_stay(cloud: Cloud, account: Account) -> None:
    cloud.post(account, "keypairs", {"name": "k"})
    assert cloud.refused(account, "PATCH", "keypairs/k", {"name": "l"}) == "Unsupported"


def test_anothers_noun_is_not_there(cloud: Cloud, account: Account) -> None:
    network, stranger = cloud.get(account, "networks/default"), cloud.account()
    for word in (network["id"], network["uuid"]):
        assert cloud.refused(stranger, "PATCH", f"networks/{word}", {"name": "x"}) == "NotFound"
    assert cloud.get(account, f"networks/{network['id']}")["name"] == network["name"]
