"""Kept answers are what lists would be anew: after every change, of other processes and other projects too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from pileus.faces.ec2 import answercache
from pileus.faces.ec2.call import ACTIONS
from pileus.faces.wire import xml
from pileus.model.instance import Instance
from pileus.model.project import Project
from pileus.store import cache
from pileus.store.reader import Reader
from pileus.verbs import keypair, network, peering, router, tag
from tests import nouns

if TYPE_CHECKING:
    from tests.faces.ec2.cloud import Account, Cloud


def _body(account: Account, action: str, **more: str) -> str:
    """The body of an answer, without the id of its request."""
    answer = account.post(params={"Action": action, **_PARAMETERS.get(action, {}), **more})
    assert answer.status == 200, answer.body
    assert answer.body.count(answer.headers["x-amzn-requestid"].encode()) == 1
    return re.sub("<requestId>[^<]*</requestId>", "", answer.body.decode())


_PARAMETERS = {"DescribeLaunchTemplateVersions": {"LaunchTemplateVersion.1": "$Latest"}}
"""The parameters without which an action is refused."""


def _anew(account: Account, action: str) -> str:
    """The body that is made without anything that is kept of lists: answers, elements and views."""
    with mock.patch.object(Reader, "lists", return_value=None):
        return _body(account, action)


def test_every_list_is_an_action() -> None:
    assert {name for _, name in ACTIONS} >= answercache.LISTS


@pytest.mark.parametrize("kind", sorted({*nouns.MAKE, "natgateway", "peering"}))
def test_after_a_change_every_list_is_as_it_would_be_anew(cloud: Cloud, account: Account, kind: str) -> None:
    account.launch()
    for action in answercache.LISTS:
        _body(account, action)
    if kind in nouns.MAKE:
        nouns.MAKE[kind](account.caller, cloud.core, "answers", {"a": "b"})
    else:
        (nouns.make_natgateway if kind == "natgateway" else nouns.make_peering)(account.caller, cloud.core)
    for action in answercache.LISTS:
        again = _body(account, action)
        assert again == _anew(account, action), action
        assert again == _body(account, action), action


def test_a_kept_answer_is_not_made_again(account: Account) -> None:
    first = _body(account, "DescribeVpcs")
    with mock.patch.object(network, "routers", side_effect=AssertionError):
        assert _body(account, "DescribeVpcs") == first


def test_other_parameters_are_another_answer(cloud: Cloud, account: Account) -> None:
    for name in ("a", "b"):
        keypair.create(account.caller, cloud.core, name)
    assert _body(account, "DescribeKeyPairs").count("<keyName>") == 2
    assert _body(account, "DescribeKeyPairs", **{"KeyName.1": "a"}).count("<keyName>") == 1
    assert account.post(params={"Action": "DescribeKeyPairs", "KeyName.1": "c"}).status == 400
    assert account.post(Action="DescribeKeyPairs", DryRun="true").status == 412


def test_other_projects_have_answers_of_their_own(cloud: Cloud, account: Account) -> None:
    keypair.create(account.caller, cloud.core, "a")
    assert "<keyName>a<" in _body(account, "DescribeKeyPairs")
    assert "<keyName>" not in _body(cloud.account(), "DescribeKeyPairs")


def test_the_other_side_of_a_peering_sees_it_at_once(cloud: Cloud, account: Account) -> None:
    other = cloud.account()
    with cloud.core.store.read() as tx:
        number = tx.need(Project, other.caller.project).wanted.account_id
    peer_router = router.create(other.caller, cloud.core, "10.77.0.0/16")
    action = "DescribeVpcPeeringConnections"
    assert "pcx-" not in _body(other, action)
    own = network.routers(account.caller, cloud.core)[0].uuid
    link = peering.create(account.caller, cloud.core, own, peer_router.ec2_id, number)
    assert link.ec2_id in _body(other, action)
    peering.accept(other.caller, cloud.core, link.uuid)
    assert "<code>active</code>" in _body(account, action)
    assert _body(other, action) == _anew(other, action)


def test_the_write_of_another_process_is_seen_by_the_next_read(cloud: Cloud, account: Account) -> None:
    before = _body(account, "DescribeTags")
    # Another process has caches of its own, over the same database.
    with mock.patch.object(cloud.core.store, "_cache", cache.Cache()):
        own = network.routers(account.caller, cloud.core)[0]
        tag.put(account.caller, cloud.core, [("router", own.uuid)], {"seen": "at once"})
    assert "at once" not in before
    assert "at once" in _body(account, "DescribeTags")


def test_the_number_of_kept_answers_of_a_project_is_bounded(cloud: Cloud, account: Account) -> None:
    for number in range(cache.ANSWERS + 5):
        keypair_name = {"Filter.1.Name": "key-name", "Filter.1.Value.1": f"k{number}"}
        _body(account, "DescribeKeyPairs", **keypair_name)
    with cloud.core.store.read() as tx:
        lists = tx.lists(account.caller.project)
    assert lists is not None
    assert len(lists.answers) == cache.ANSWERS


def test_an_element_is_rendered_again_only_when_what_it_shows_has_changed(cloud: Cloud, account: Account) -> None:
    first, second = (router.create(account.caller, cloud.core, f"10.{number}.0.0/16") for number in (61, 62))
    _body(account, "DescribeRouteTables")
    tag.put(account.caller, cloud.core, [("router", first.uuid)], {"a": "b"})
    with mock.patch.object(xml, "rendered", side_effect=xml.rendered) as rendered:
        body = _body(account, "DescribeVpcs")
        assert body.count("<vpcId>") == rendered.call_count == 3
        tag.put(account.caller, cloud.core, [("router", second.uuid)], {"c": "d"})
        assert "<key>c</key>" in _body(account, "DescribeVpcs")
        assert rendered.call_count == 4
    router.delete(account.caller, cloud.core, second.uuid)
    body = _body(account, "DescribeVpcs")
    assert second.ec2_id not in body
    assert body == _anew(account, "DescribeVpcs")


def test_an_instance_that_has_not_changed_is_not_rendered_again(cloud: Cloud, account: Account) -> None:
    first, second = account.launch(2)
    _body(account, "DescribeInstances")
    with cloud.core.store.read() as tx:
        uuid = tx.by_ec2(Instance, [second])[second].uuid
    with mock.patch.object(xml, "rendered", side_effect=xml.rendered) as rendered:
        tag.put(account.caller, cloud.core, [("instance", uuid)], {"c": "d"})
        assert "<key>c</key>" in _body(account, "DescribeInstances")
        assert rendered.call_count == 1
    assert first in _body(account, "DescribeInstances")
    assert _body(account, "DescribeInstances") == _anew(account, "DescribeInstances")


def test_a_list_by_ids_leaves_the_elements_of_others(cloud: Cloud, account: Account) -> None:
    own = router.create(account.caller, cloud.core, "10.63.0.0/16")
    _body(account, "DescribeVpcs")
    with mock.patch.object(xml, "rendered", side_effect=AssertionError):
        assert _body(account, "DescribeVpcs", **{"VpcId.1": own.ec2_id}).count("<vpcId>") == 1
    keypair.create(account.caller, cloud.core, "a")
    with mock.patch.object(xml, "rendered", side_effect=AssertionError):
        assert _body(account, "DescribeVpcs", **{"VpcId.1": own.ec2_id}).count("<vpcId>") == 1
        assert _body(account, "DescribeVpcs").count("<vpcId>") == 2


def test_an_administrator_sees_at_once_what_changes_in_another_project(cloud: Cloud, account: Account) -> None:
    admin = cloud.account(admin=True)
    subnet = account.ec2.describe_subnets()["Subnets"][0]
    named = {"SubnetId.1": subnet["SubnetId"]}
    before = f"<availableIpAddressCount>{subnet['AvailableIpAddressCount']}<"
    assert before in _body(admin, "DescribeSubnets", **named)
    account.launch()
    assert before not in _body(account, "DescribeSubnets", **named)
    assert before not in _body(admin, "DescribeSubnets", **named)


def test_the_parameters_of_kept_answers_count_as_their_bodies_do(cloud: Cloud, account: Account) -> None:
    values = {f"Filter.1.Value.{number}": f"{number}-{'x' * 200}" for number in range(1, 201)}
    _body(account, "DescribeKeyPairs", **{"Filter.1.Name": "key-name", **values})
    with cloud.core.store.read() as tx:
        lists = tx.lists(account.caller.project)
    assert lists is not None
    (kept_answer,) = lists.answers.values()
    assert kept_answer.size > 200 * 200 // 2048
