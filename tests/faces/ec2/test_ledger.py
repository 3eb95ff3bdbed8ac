"""Every action of the vendor's models is done, refused on purpose, or not yet done, and the reference says which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from defusedxml.ElementTree import fromstring

from pileus.faces.ec2 import ledger
from pileus.faces.ec2.face import Ec2Face, registered
from pileus.faces.wire.model import ServiceModel
from tests.faces.ec2.cloud import Account, code_of
from tests.house import tree

if TYPE_CHECKING:
    from pileus.faces.wire.ledger import Family

LACKING = sorted(
    (service, name)
    for service in Ec2Face.SERVICES
    for name in ServiceModel.load(service).operations
    if (service, name) not in registered()
)


def test_the_page_has_every_action_once() -> None:
    page = (tree.ROOT / ledger.PAGE).read_text(encoding="utf-8")
    done, refused, not_yet = page.partition("## Done")[2].replace("## Not yet done", "## Refused").split("## Refused")
    for service, name in registered():
        assert f"| `{name}` | {service} |" in done
    for _, name in LACKING:
        listed = refused if ledger.LEDGER.family(name) else not_yet
        assert f"`{name}`" in listed, f"{name}: run python docs/reference/make.py"
        assert sum(part.count(f"`{name}`") for part in (refused, not_yet)) == 1, name


def test_an_action_that_is_lacking_is_refused_as_the_page_says(account: Account) -> None:
    for service, name in LACKING:
        answer = account.post(service, Action=name)
        family = ledger.LEDGER.family(name)
        assert code_of(answer) == (family.code if family else "UnsupportedOperation"), name
        assert ledger.PAGE in (fromstring(answer.body).findtext(".//{*}Message") or ""), name


@pytest.mark.parametrize("family", ledger.FAMILIES, ids=lambda family: family.name)
def test_each_family_has_actions_and_none_is_done_but_lists(family: Family) -> None:
    assert any(ledger.LEDGER.family(name) is family for _, name in LACKING)
    done = {name for _, name in registered() if ledger.LEDGER.family(name) is family}
    assert {name for name in done if not name.startswith("Describe")} == set()


def test_an_action_that_amazon_lacks_is_none(account: Account) -> None:
    assert code_of(account.post(Action="LaunchRocket")) == "InvalidAction"
    assert code_of(account.post(Action="RequestSpotRocket")) == "InvalidAction"
