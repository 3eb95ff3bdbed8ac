"""The nouns that networks are made of, over their paths: made, changed, told apart from another project's, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pileus.faces.rest.networking import ROUTES

if TYPE_CHECKING:
    from pileus.verbs.user import Account
    from tests.faces.rest.cloud import Cloud


@pytest.fixture
def vpc(cloud: Cloud, account: Account) -> dict[str, Any]:
    """A router of its own."""
    return cloud.post(account, "routers", {"cidr": "10.9.0.0/16", "tags": {"for": "test"}})


def made(cloud: Cloud, account: Account, plural: str, body: dict[str, Any]) -> str:
    ident: str = cloud.post(account, plural, body)["id"]
    return ident


def test_an_isolated_network_and_its_way_to_a_router(cloud: Cloud, account: Account, vpc: dict[str, Any]) -> None:
    lab = cloud.post(account, "networks", {"name": "lab"})
    assert lab["wanted"]["router"] is None
    on = cloud.post(account, "subnets", {"network": "lab", "cidr": "10.9.0.0/24"})
    assert cloud.refused(account, "POST", "subnets", {"cidr": "10.9.1.0/24"}) == "InvalidValue"
    assert cloud.post(account, f"subnets/{on['id']}", {"map_public": True})["wanted"]["map_public"]
    joined = cloud.post(account, "networks/lab/join", {"router": vpc["id"]})
    assert joined["wanted"]["router"] == vpc["uuid"]
    assert cloud.refused(account, "DELETE", "networks/lab") == "Conflict"
    assert cloud.post(account, "networks/lab/part")["wanted"]["router"] is None
    interfaces = [{"subnet": on["uuid"]}]
    box = cloud.post(account, "instances", {"image": cloud.image(), "interfaces": interfaces})["instances"][0]
    assert box["address"] == "10.9.0.4"
    assert box["groups"] == ["default"]
    cloud.post(account, f"instances/{box['id']}/terminate")
    other = made(cloud, account, "subnets", {"router": vpc["id"], "cidr": "10.9.2.0/24"})
    for path in (f"subnets/{other}", f"routers/{vpc['id']}"):
        assert cloud.ask(account, "DELETE", path)[0] == 200


def test_a_port_comes_to_an_instance_and_leaves_it(cloud: Cloud, account: Account) -> None:
    box = cloud.post(account, "instances", {"image": cloud.image(), "name": "box"})["instances"][0]
    subnet = cloud.get(account, "subnets")["subnets"][0]
    own = cloud.post(account, "ports", {"subnet": subnet["id"], "network_tags": ["web"], "tags": {"a": "b"}})
    assert (own["wanted"]["network_tags"], own["tags"]) == (["web"], {"a": "b"})
    attached = cloud.post(account, f"ports/{own['id']}/attach", {"instance": "box"})
    assert (attached["wanted"]["instance"], attached["wanted"]["index"]) == (box["uuid"], 1)
    assert cloud.refused(account, "DELETE", f"ports/{own['id']}") == "Conflict"
    assert cloud.post(account, f"ports/{own['id']}/detach")["wanted"]["instance"] is None
    assert cloud.post(account, f"ports/{own['id']}", {"description": "spare"})["wanted"]["description"] == "spare"
    assert cloud.refused(account, "POST", "ports", {"subnet": subnet["id"], "network_tags": ["Web"]}) == "InvalidValue"


def test_rules_are_added_in_order_and_taken_away(cloud: Cloud, account: Account, vpc: dict[str, Any]) -> None:
    group = cloud.post(account, "securitygroups", {"name": "web", "router": vpc["id"]})
    ssh = {"protocol": "tcp", "port_min": 22, "port_max": 22, "cidr": "0.0.0.0/0"}
    deny = {**ssh, "action": "deny", "priority": 10, "targets": ["web"]}
    path = f"securitygroups/{group['id']}/rules"
    rules = cloud.post(account, path, deny)["wanted"]["rules"]
    assert (rules[-1]["action"], rules[-1]["priority"], rules[-1]["targets"]) == ("deny", 10, ["web"])
    assert cloud.refused(account, "POST", path, {**ssh, "action": "deny"}) == "InvalidValue"
    assert cloud.refused(account, "POST", path, {"group": "nobody"}) == "NotFound"
    cloud.post(account, path, {"group": group["id"]})
    left = cloud.post(account, f"{path}/remove", {"rules": [rules[-1]["id"]]})["wanted"]["rules"]
    assert rules[-1]["id"] not in {rule["id"] for rule in left}
    everywhere = cloud.post(account, "securitygroups", {"name": "all", "of_project": True})
    assert everywhere["wanted"]["router"] is None
    for each in (group, everywhere):
        assert cloud.ask(account, "DELETE", f"securitygroups/{each['id']}")[0] == 200


def test_tables_lead_to_gateways(cloud: Cloud, account: Account, vpc: dict[str, Any]) -> None:
    subnet = made(cloud, account, "subnets", {"router": vpc["id"], "cidr": "10.9.0.0/24"})
    gateway = made(cloud, account, "internetgateways", {})
    cloud.post(account, f"internetgateways/{gateway}/attach", {"router": vpc["id"]})
    address = made(cloud, account, "floatingips", {})
    nat = made(cloud, account, "natgateways", {"subnet": subnet, "floatingip": address})
    table = made(cloud, account, "routetables", {"router": vpc["id"]})
    out = {"cidr": "0.0.0.0/0", "target": "internetgateway", "to": gateway}
    assert len(cloud.post(account, f"routetables/{table}/routes", out)["wanted"]["routes"]) == 1
    again = {"cidr": "0.0.0.0/0", "target": "natgateway", "to": nat, "replace": True}
    assert cloud.post(account, f"routetables/{table}/routes", again)["wanted"]["routes"][0]["target"] == "natgateway"
    assert cloud.post(account, f"routetables/{table}/associate", {"subnet": subnet})["wanted"]["associations"]
    assert not cloud.post(account, f"routetables/{table}/disassociate", {"subnet": subnet})["wanted"]["associations"]
    assert cloud.refused(account, "POST", f"routetables/{table}/disassociate", {"subnet": subnet}) == "NotFound"
    removed = cloud.post(account, f"routetables/{table}/routes/remove", {"cidr": "0.0.0.0/0"})
    assert removed["wanted"]["routes"] == []
    for path in (f"natgateways/{nat}", f"floatingips/{address}", f"routetables/{table}"):
        assert cloud.ask(account, "DELETE", path)[0] == 200
    cloud.post(account, f"internetgateways/{gateway}/detach", {"router": vpc["id"]})
    assert cloud.ask(account, "DELETE", f"internetgateways/{gateway}")[0] == 200


def test_routers_and_subnets_have_ipv6(cloud: Cloud, account: Account, vpc: dict[str, Any]) -> None:
    early = {"router": vpc["id"], "cidr": "10.9.0.0/24", "ipv6": "auto"}
    assert cloud.refused(account, "POST", "subnets", early) == "InvalidValue"
    on = made(cloud, account, "subnets", {"router": vpc["id"], "cidr": "10.9.0.0/24"})
    (first,) = cloud.post(account, f"routers/{vpc['id']}/ipv6")["wanted"]["ipv6_ranges"]
    base = first["cidr"].removesuffix("00::/56")
    assert cloud.post(account, f"subnets/{on}/ipv6")["wanted"]["ipv6"]["cidr"] == f"{base}00::/64"
    chosen = cloud.post(
        account, "subnets", {**early, "cidr": "10.9.1.0/24", "ipv6": f"{base}02::/64", "ipv6_mode": "slaac"}
    )
    assert (chosen["wanted"]["ipv6"]["cidr"], chosen["wanted"]["ipv6_mode"]) == (f"{base}02::/64", "slaac")
    network = {"network": chosen["wanted"]["network"], "ipv6": "auto"}
    lowest = cloud.post(account, "subnets", {**network, "cidr": "10.9.2.0/24"})
    assert lowest["wanted"]["ipv6"]["cidr"] == f"{base}01::/64"
    for range_, code in ((f"{base}02::/64", "InvalidValue"), ("fd00::/64", "InvalidValue"), ("no", "InvalidValue")):
        bad = {**network, "cidr": "10.9.3.0/24", "ipv6": range_}
        assert cloud.refused(account, "POST", "subnets", bad) == code
    assert cloud.refused(account, "POST", f"subnets/{on}/ipv6", {"cidr": "auto"}) == "Conflict"
    assert cloud.post(account, f"subnets/{on}", {"assign_ipv6": True})["wanted"]["assign_ipv6"]
    assert cloud.refused(account, "POST", f"routers/{vpc['id']}/ranges/remove", {"cidr": first["cidr"]}) == "Conflict"
    for subnet in (on, chosen["id"], lowest["id"]):
        assert cloud.post(account, f"subnets/{subnet}/ipv6/remove")["wanted"]["ipv6"] is None
    assert cloud.refused(account, "POST", f"subnets/{on}/ipv6/remove") == "NotFound"
    removed = cloud.post(account, f"routers/{vpc['id']}/ranges/remove", {"cidr": first["cidr"]})
    assert removed["wanted"]["ipv6_ranges"] == []
    assert cloud.post(account, "routers", {"cidr": "10.8.0.0/16", "ipv6": True})["wanted"]["ipv6_ranges"]
    lab = made(cloud, account, "networks", {"name": "lab"})
    isolated = {"network": lab, "cidr": "10.7.0.0/24", "ipv6": "auto"}
    assert cloud.refused(account, "POST", "subnets", isolated) == "InvalidValue"


def test_tables_lead_to_egress_only_and_transit_gateways(cloud: Cloud, account: Account) -> None:
    router = made(cloud, account, "routers", {"cidr": "10.8.0.0/16", "ipv6": True})
    subnet = made(cloud, account, "subnets", {"router": router, "cidr": "10.8.0.0/24", "ipv6": "auto"})
    table = made(cloud, account, "routetables", {"router": router})
    egress = made(cloud, account, "egressgateways", {"router": router, "tags": {"a": "b"}})
    hub = made(cloud, account, "transitgateways", {"description": "hub"})
    routes = f"routetables/{table}/routes"
    out = {"cidr": "::/0", "target": "egressgateway", "to": egress}
    assert cloud.post(account, routes, out)["wanted"]["routes"][0]["target"] == "egressgateway"
    assert cloud.refused(account, "POST", routes, {**out, "cidr": "0.0.0.0/0"}) == "InvalidValue"
    across = {"cidr": "10.7.0.0/16", "target": "transitgateway", "to": hub}
    assert cloud.refused(account, "POST", routes, across) == "NotFound"
    attachment = made(
        cloud, account, "routerattachments", {"transitgateway": hub, "router": router, "subnets": [subnet]}
    )
    assert cloud.post(account, routes, across)["wanted"]["routes"][1]["target"] == "transitgateway"
    assert cloud.refused(account, "DELETE", f"transitgateways/{hub}") == "Conflict"
    for path in (f"routerattachments/{attachment}", f"transitgateways/{hub}", f"egressgateways/{egress}"):
        assert cloud.ask(account, "DELETE", path)[0] == 200


def test_acls_options_and_lists(cloud: Cloud, account: Account, vpc: dict[str, Any]) -> None:
    subnet = cloud.post(account, "subnets", {"router": vpc["id"], "cidr": "10.9.0.0/24"})
    acl = made(cloud, account, "networkacls", {"router": vpc["id"]})
    entry = {"number": 10, "protocol": 6, "port_min": 22, "port_max": 22, "cidr": "10.0.0.0/8"}
    assert len(cloud.post(account, f"networkacls/{acl}/entries", entry)["wanted"]["entries"]) == 1
    denied = {**entry, "action": "deny", "replace": True}
    assert cloud.post(account, f"networkacls/{acl}/entries", denied)["wanted"]["entries"][0]["action"] == "deny"
    associated = cloud.post(account, f"networkacls/{acl}/associate", {"subnet": subnet["id"]})
    assert associated["wanted"]["associations"][0]["subnet"] == subnet["uuid"]
    assert cloud.post(account, f"networkacls/{acl}/entries/remove", {"number": 10})["wanted"]["entries"] == []
    options = made(cloud, account, "dhcpoptionsets", {"domain": "lab", "servers": ["resolver"]})
    cloud.post(account, f"routers/{vpc['id']}", {"dhcpoptionset": options, "dns_hostnames": True})
    assert cloud.refused(account, "DELETE", f"dhcpoptionsets/{options}") == "Conflict"
    changed = cloud.post(account, f"routers/{vpc['id']}", {"dhcpoptionset": ""})
    assert (changed["wanted"]["dhcpoptionset"], changed["wanted"]["dns_hostnames"]) == (None, True)
    assert cloud.ask(account, "DELETE", f"dhcpoptionsets/{options}")[0] == 200
    ranged = cloud.post(account, f"routers/{vpc['id']}/ranges", {"cidr": "10.10.0.0/16"})
    assert [each["cidr"] for each in ranged["wanted"]["ranges"]] == ["10.10.0.0/16"]
    assert cloud.post(account, f"routers/{vpc['id']}/ranges/remove", {"cidr": "10.10.0.0/16"})["wanted"]["ranges"] == []
    offices = {"name": "offices", "max_entries": 3, "entries": [{"cidr": "192.0.2.0/24"}]}
    listed = made(cloud, account, "prefixlists", offices)
    added = cloud.post(account, f"prefixlists/{listed}", {"add": [{"cidr": "198.51.100.0/24"}], "current": 1})
    assert len(added["wanted"]["entries"]) == 2
    assert cloud.ask(account, "DELETE", f"prefixlists/{listed}")[0] == 200


def test_two_projects_link_their_routers(cloud: Cloud, account: Account, vpc: dict[str, Any]) -> None:
    other = cloud.account()
    peer = cloud.post(other, "routers", {"cidr": "10.11.0.0/16"})
    number = cloud.get(other, "projects")["projects"][0]["wanted"]["account_id"]
    links = [cloud.post(account, "peerings", {"router": vpc["id"], "peer": peer["id"], "account": number})]
    assert cloud.refused(account, "POST", f"peerings/{links[0]['id']}/accept") == "Forbidden"
    assert cloud.post(other, f"peerings/{links[0]['id']}/accept")["wanted"]["status"] == "active"
    assert cloud.ask(other, "DELETE", f"peerings/{links[0]['id']}")[0] == 200
    second = cloud.post(account, "peerings", {"router": vpc["id"], "peer": peer["id"], "account": number})
    assert cloud.post(other, f"peerings/{second['id']}/reject")["wanted"]["status"] == "rejected"


def test_no_path_touches_anothers_noun(cloud: Cloud) -> None:
    victim, stranger = cloud.account(), cloud.account()
    cloud.furnish(victim, "mine")
    for route in ROUTES:
        if "{id}" not in route.path:
            continue
        plural = route.path.partition("/")[0]
        project = cloud.get(victim, "projects")["projects"][0]["uuid"]
        for noun in cloud.get(victim, plural)[plural]:
            if noun["project"] == project:
                status, _, answer = cloud.ask(stranger, route.method, route.path.format(id=noun["id"]), {})
                assert (status, answer["error"]["code"]) == (404, "NotFound"), route.path


def test_a_transit_gateway_joins_routers_by_its_tables(cloud: Cloud, account: Account, vpc: dict[str, Any]) -> None:
    subnet = made(cloud, account, "subnets", {"router": vpc["id"], "cidr": "10.9.0.0/24"})
    gateway = made(cloud, account, "transitgateways", {"description": "between"})
    body = {"transitgateway": gateway, "router": vpc["id"], "subnets": [subnet]}
    attachment = made(cloud, account, "routerattachments", body)
    table = made(cloud, account, "transittables", {"transitgateway": gateway})
    path, which = f"transittables/{table}", {"attachment": attachment}
    assert cloud.post(account, f"{path}/routes", {"cidr": "10.8.0.0/16", **which})["wanted"]["routes"]
    assert cloud.post(account, f"{path}/routes", {"cidr": "10.8.0.0/16", "replace": True})["id"] == table
    assert not cloud.post(account, f"{path}/routes/remove", {"cidr": "10.8.0.0/16"})["wanted"]["routes"]
    assert cloud.post(account, f"{path}/propagate", which)["wanted"]["propagations"]
    assert not cloud.post(account, f"{path}/ignore", which)["wanted"]["propagations"]
    assert cloud.refused(account, "DELETE", f"transitgateways/{gateway}") == "Conflict"
    assert cloud.ask(account, "DELETE", path)[0] == 200
    assert cloud.ask(account, "DELETE", f"routerattachments/{attachment}")[0] == 200


def test_placement_groups_and_gateways_for_egress(cloud: Cloud, account: Account, vpc: dict[str, Any]) -> None:
    group = cloud.post(account, "placementgroups", {"name": "apart", "policy": "anti-affinity"})
    assert group["wanted"]["policy"] == "anti-affinity"
    assert cloud.refused(account, "POST", "placementgroups", {"name": "x", "policy": "near"}) == "InvalidValue"
    gateway = made(cloud, account, "egressgateways", {"router": vpc["id"]})
    for path in ("placementgroups/apart", f"egressgateways/{gateway}"):
        assert cloud.ask(account, "DELETE", path)[0] == 200
