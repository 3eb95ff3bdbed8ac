"""Security groups: names, rules that make sense, and who refers to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pileus.model import bounds
from pileus.model.errors import Conflict, Duplicate, InvalidValue, NotFound, PileusError, QuotaExceeded
from pileus.model.securitygroup import Rule, SecurityGroup
from pileus.model.spec import SecurityGroupSpec
from pileus.rules import recount
from pileus.verbs import securitygroup
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site


def rule(port: int = 22, **more: Any) -> Rule:
    fields: dict[str, Any] = {"protocol": "tcp", "port_min": port, "port_max": port, "cidr": "10.0.0.0/8", **more}
    return Rule(**{"id": "", **fields})


@pytest.fixture
def web(site: Site, ann: Caller) -> SecurityGroup:
    group = securitygroup.create(ann, site.core, "web", "for tests")
    site.work()
    return group


def held(site: Site, group: SecurityGroup) -> tuple[Rule, ...]:
    with site.store.read() as tx:
        return tx.need(SecurityGroup, group.uuid).wanted.rules


def rules(site: Site, group: SecurityGroup) -> list[tuple[object, ...]]:
    return [rule.match() for rule in held(site, group)]


def in_engine(site: Site, group: SecurityGroup) -> list[tuple[object, ...]]:
    spec = site.engine.specs["securitygroup", group.uuid]
    assert isinstance(spec, SecurityGroupSpec)
    return [rule.match() for rule in spec.rules]


def test_a_new_group_lets_everything_out_and_nothing_in(site: Site, web: SecurityGroup) -> None:
    assert [(rule.direction, rule.cidr) for rule in web.wanted.rules] == [("egress", "0.0.0.0/0")]
    assert in_engine(site, web) == rules(site, web)


@pytest.mark.parametrize("name", ["", "sg-1", "x" * 256, "größe", "a\nb"])
def test_names_have_a_form(site: Site, ann: Caller, name: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        securitygroup.create(ann, site.core, name, "")
    assert caught.value.reason == "name"


def test_a_name_is_one_groups_until_it_is_deleted(site: Site, ann: Caller, web: SecurityGroup) -> None:
    with pytest.raises(Duplicate):
        securitygroup.create(ann, site.core, "web", "")
    securitygroup.create(site.caller("green"), site.core, "web", "")
    securitygroup.delete(ann, site.core, web.uuid)
    again = securitygroup.create(ann, site.core, "web", "")
    site.work()
    assert ("securitygroup", web.uuid) not in site.engine.bodies
    assert ("securitygroup", again.uuid) in site.engine.bodies
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_the_quota_holds_and_deleting_gives_back(site: Site) -> None:
    bob = site.caller("green", {"securitygroups": 2})
    group = securitygroup.create(bob, site.core, "one", "")
    with pytest.raises(QuotaExceeded):
        securitygroup.create(bob, site.core, "two", "")
    securitygroup.delete(bob, site.core, group.uuid)
    site.work()
    securitygroup.create(bob, site.core, "two", "")


def test_rules_come_and_go_and_reach_the_engine(site: Site, ann: Caller, web: SecurityGroup) -> None:
    added = securitygroup.authorize(ann, site.core, [rule(22), rule(80)], uuid=web.uuid)
    assert len({added_rule.id for added_rule in added}) == 2
    assert all(added_rule.id.startswith("sgr-") for added_rule in added)
    site.work()
    assert in_engine(site, web) == rules(site, web)
    securitygroup.revoke(ann, site.core, [rule(22)], rule_ids=[added[1].id], uuid=web.uuid)
    site.work()
    assert in_engine(site, web) == rules(site, web)
    assert len(rules(site, web)) == 1
    with site.store.read() as tx:
        assert {entry.outcome for entry in tx.journal(web.uuid)} == {"done"}


@pytest.mark.parametrize(
    ("wrong", "error", "reason"),
    [
        ({"cidr": ""}, InvalidValue, "rule"),
        ({"group": "g"}, InvalidValue, "rule"),
        ({"cidr": "10.0.0.1/8"}, InvalidValue, "cidr"),
        ({"cidr": "10.0.0.0/33"}, InvalidValue, "cidr"),
        ({"cidr": "world"}, InvalidValue, "cidr"),
        ({"cidr": "2001:db8::1/32"}, InvalidValue, "cidr"),
        ({"cidr": "2001:db8::/32", "protocol": "icmp"}, InvalidValue, "cidr"),
        ({"protocol": "icmpv6"}, InvalidValue, "cidr"),
        ({"port_min": 23}, InvalidValue, "ports"),
        ({"port_min": None}, InvalidValue, "ports"),
        ({"port_max": 65536}, InvalidValue, "ports"),
        ({"port_min": -1}, InvalidValue, "ports"),
        ({"protocol": "icmp", "port_min": -2}, InvalidValue, "ports"),
        ({"protocol": "icmp", "port_min": 8, "port_max": 256}, InvalidValue, "ports"),
        ({"port_min": 21, "port_max": 21}, Duplicate, "rule"),
        ({"cidr": "", "group": "00000000-0000-4000-8000-000000000000"}, NotFound, ""),
    ],
    ids=str,
)
def test_one_bad_rule_and_none_is_added(
    site: Site, ann: Caller, web: SecurityGroup, wrong: dict[str, Any], error: type[PileusError], reason: str
) -> None:
    securitygroup.authorize(ann, site.core, [rule(21)], uuid=web.uuid)
    before = rules(site, web)
    with pytest.raises(error) as caught:
        securitygroup.authorize(ann, site.core, [rule(22), rule(**wrong)], uuid=web.uuid)
    assert caught.value.reason == reason
    assert rules(site, web) == before


def test_the_same_rule_twice_in_one_call_is_refused(site: Site, ann: Caller, web: SecurityGroup) -> None:
    with pytest.raises(InvalidValue):
        securitygroup.authorize(ann, site.core, [rule(22), rule(22, description="other")], uuid=web.uuid)
    securitygroup.authorize(ann, site.core, [rule(22), rule(22, direction="egress")], uuid=web.uuid)


def test_rules_are_changed_in_place(site: Site, ann: Caller, web: SecurityGroup) -> None:
    first, second = securitygroup.authorize(ann, site.core, [rule(22), rule(80)], uuid=web.uuid, tags={"a": "b"})
    swapped = [rule(80, id=first.id), rule(22, id=second.id, description="d")]
    securitygroup.modify(ann, site.core, swapped, web.uuid)
    rules_by_id = {each.id: each for each in held(site, web)}
    assert (rules_by_id[first.id].port_min, rules_by_id[second.id].port_min, rules_by_id[second.id].description) == (
        80,
        22,
        "d",
    )
    assert rules_by_id[first.id].tags == {"a": "b"}
    site.work()
    assert in_engine(site, web) == rules(site, web)
    before = rules(site, web)
    for wrong, error in (
        ([rule(22, id=first.id)], Duplicate),
        ([rule(5, id=first.id), rule(5, id=second.id)], Duplicate),
        ([rule(5, id=first.id), rule(6, id="sgr-0")], NotFound),
        ([rule(5, id=first.id, direction="egress")], NotFound),
    ):
        with pytest.raises(error):
            securitygroup.modify(ann, site.core, wrong, web.uuid)
        assert rules(site, web) == before


def test_descriptions_change_by_meaning_and_by_id(site: Site, ann: Caller, web: SecurityGroup) -> None:
    first, second = securitygroup.authorize(ann, site.core, [rule(22), rule(80, description="old")], uuid=web.uuid)
    securitygroup.describe(ann, site.core, [rule(22, description="new")], {second.id: ""}, uuid=web.uuid)
    assert {each.id: each.description for each in held(site, web)}.items() >= {first.id: "new", second.id: ""}.items()
    for wrong in ({"rules": [rule(22), rule(23)]}, {"descriptions": {"sgr-0": "x"}}):
        with pytest.raises(NotFound):
            securitygroup.describe(ann, site.core, uuid=web.uuid, **wrong)
    assert {each.description for each in held(site, web)} == {"", "new"}


def test_a_missing_rule_and_none_is_taken(site: Site, ann: Caller, web: SecurityGroup) -> None:
    present_rule = securitygroup.authorize(ann, site.core, [rule(22)], uuid=web.uuid)[0]
    before = rules(site, web)
    for wrong in ({"rules": [rule(22), rule(23)]}, {"rule_ids": [present_rule.id, "sgr-0"]}):
        with pytest.raises(NotFound):
            securitygroup.revoke(ann, site.core, uuid=web.uuid, **wrong)
        assert rules(site, web) == before
    with pytest.raises(InvalidValue):
        securitygroup.revoke(ann, site.core, [rule(22), rule(22)], uuid=web.uuid)
    assert rules(site, web) == before


def test_a_group_has_so_many_rules(site: Site, ann: Caller, web: SecurityGroup) -> None:
    room = bounds.RULES.most
    securitygroup.authorize(ann, site.core, [rule(port) for port in range(room)], uuid=web.uuid)
    with pytest.raises(QuotaExceeded):
        securitygroup.authorize(ann, site.core, [rule(9999)], uuid=web.uuid)
    securitygroup.authorize(ann, site.core, [rule(9999, direction="egress")], uuid=web.uuid)


def test_what_is_used_is_not_deleted(site: Site, ann: Caller, tiny: Image, web: SecurityGroup) -> None:
    default = securitygroup.listing(ann, site.core, names=["default"])[0]
    with pytest.raises(Conflict) as caught:
        securitygroup.delete(ann, site.core, default.uuid)
    assert caught.value.reason == "default"

    row = site.launch(ann, Launch(image=tiny.uuid, groups=(web.uuid,)))[0]
    with pytest.raises(Conflict) as caught:
        securitygroup.delete(ann, site.core, web.uuid)
    assert caught.value.reason == "in-use"
    power.terminate(ann, site.core, [row.uuid])
    site.settle()

    mine = rule(cidr="", group=web.uuid)
    securitygroup.authorize(ann, site.core, [mine], uuid=web.uuid)  # of its own it may speak
    securitygroup.authorize(ann, site.core, [mine], uuid=default.uuid)
    with pytest.raises(Conflict):
        securitygroup.delete(ann, site.core, web.uuid)
    securitygroup.revoke(ann, site.core, [mine], uuid=default.uuid)
    securitygroup.delete(ann, site.core, web.uuid)
    site.work()
    assert ("securitygroup", web.uuid) not in site.engine.bodies


def test_a_group_that_a_deleted_one_named_can_be_deleted_at_once(site: Site, ann: Caller, web: SecurityGroup) -> None:
    other = securitygroup.create(ann, site.core, "other", "")
    securitygroup.authorize(ann, site.core, [rule(cidr="", group=web.uuid)], uuid=other.uuid)
    site.work()
    securitygroup.delete(ann, site.core, other.uuid)
    securitygroup.delete(ann, site.core, web.uuid)
    site.settle()
    assert not {("securitygroup", web.uuid), ("securitygroup", other.uuid)} & site.engine.bodies.keys()
    with site.store.read() as tx:
        assert {group.name for group in tx.list(SecurityGroup)} == {"default"}
        assert recount.differences(tx) == []


def test_a_deleted_group_is_not_there_even_before_it_is_gone(site: Site, ann: Caller, web: SecurityGroup) -> None:
    securitygroup.delete(ann, site.core, web.uuid)
    with pytest.raises(NotFound):
        securitygroup.delete(ann, site.core, web.uuid)
    with pytest.raises(NotFound):
        securitygroup.listing(ann, site.core, [web.uuid])
    (default,) = securitygroup.listing(ann, site.core, names=["default"])
    with pytest.raises(NotFound):
        securitygroup.authorize(ann, site.core, [rule(cidr="", group=web.uuid)], default.uuid)


def test_the_members_hosts_learn_of_new_rules(site: Site, ann: Caller, tiny: Image, web: SecurityGroup) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid, groups=(web.uuid,)))[0]
    site.settle()
    before = site.row(row.uuid).revision
    securitygroup.authorize(ann, site.core, [rule(22)], uuid=web.uuid)
    site.settle()
    assert site.row(row.uuid).revision > before
    ingress = site.agents["h1"].specs()[row.uuid].nics[0].ingress
    assert [(ingress_rule.cidr, ingress_rule.port_min) for ingress_rule in ingress] == [("10.0.0.0/8", 22)]


def test_listeners_open_what_the_rules_admit_and_no_more(
    site: Site, ann: Caller, tiny: Image, web: SecurityGroup
) -> None:
    new_rules = [rule(0), rule(80, port_max=90), rule(5, protocol="udp"), rule(direction="egress")]
    securitygroup.authorize(ann, site.core, new_rules, uuid=web.uuid)
    row = site.launch(ann, Launch(image=tiny.uuid, groups=(web.uuid,)))[0]
    site.settle()
    ingress = site.agents["h1"].specs()[row.uuid].nics[0].ingress
    assert [(ingress_rule.port_min, ingress_rule.port_max) for ingress_rule in ingress] == [(0, 0), (80, 90)]
    securitygroup.authorize(ann, site.core, [Rule(id="", cidr="10.0.0.0/8")], uuid=web.uuid)
    site.settle()
    ingress = site.agents["h1"].specs()[row.uuid].nics[0].ingress
    assert [(ingress_rule.port_min, ingress_rule.port_max) for ingress_rule in ingress][2:] == [(0, 65535)]


def test_a_port_is_in_its_groups_and_nowhere_else(site: Site, ann: Caller, tiny: Image, web: SecurityGroup) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid, groups=(web.uuid,)))[0]
    site.settle()
    nic = site.agents["h1"].specs()[row.uuid].nics[0]
    assert site.engine.bodies["port", nic.uuid].groups == tuple(sorted(("drop", web.uuid)))


def test_another_projects_groups_are_not_there(site: Site, ann: Caller, web: SecurityGroup) -> None:
    bob = site.caller("green")
    theirs = securitygroup.listing(bob, site.core)[0]
    attempts = (
        lambda: securitygroup.listing(bob, site.core, [web.uuid]),
        lambda: securitygroup.listing(bob, site.core, names=["web"]),
        lambda: securitygroup.delete(bob, site.core, web.uuid),
        lambda: securitygroup.authorize(bob, site.core, [rule()], uuid=web.uuid),
        lambda: securitygroup.revoke(bob, site.core, [rule()], uuid=web.uuid),
        lambda: securitygroup.authorize(bob, site.core, [rule(cidr="", group=web.uuid)], uuid=theirs.uuid),
        lambda: securitygroup.create(bob, site.core, "x", "", router=web.wanted.router),
    )
    before = rules(site, web), rules(site, theirs)
    for attempt in attempts:
        with pytest.raises(NotFound):
            attempt()
    assert (rules(site, web), rules(site, theirs)) == before
    assert [group.name for group in securitygroup.listing(bob, site.core)] == ["default"]
