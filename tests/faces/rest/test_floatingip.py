"""Floating addresses as documents, and the paths that give and take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pileus.verbs.user import Account
    from tests.faces.rest.cloud import Cloud


def test_an_address_from_allocated_to_released(cloud: Cloud, account: Account) -> None:
    made = cloud.post(account, "floatingips", {"tags": {"for": "web"}})
    assert (made["instance"], made["port"], made["private"], made["tags"]) == ("", "", "", {"for": "web"})
    box = cloud.post(account, "instances", {"image": cloud.image(), "name": "box"})["instances"][0]
    given = cloud.post(account, f"floatingips/{made['address']}/associate", {"instance": "box"})
    assert (given["id"], given["instance"], given["private"]) == (made["id"], box["id"], box["address"])
    shown = cloud.get(account, "instances/box")
    assert (shown["floating"], shown["loopback"]) == (made["address"], given["loopback"])
    assert given["loopback"].startswith("127."), "each answer has the address that this machine reaches as well"
    assert cloud.refused(account, "DELETE", f"floatingips/{made['id']}") == "Conflict"
    taken = cloud.post(account, f"floatingips/{made['id']}/disassociate")
    again = cloud.post(account, f"floatingips/{made['address']}/disassociate")
    assert taken["instance"] == again["instance"] == taken["loopback"] == ""
    assert cloud.get(account, "instances/box")["floating"] == ""
    by_port = cloud.post(account, f"floatingips/{made['id']}/associate", {"port": given["port"]})
    assert by_port["instance"] == box["id"]
    cloud.post(account, f"instances/{box['id']}/terminate")
    (left,) = cloud.get(account, "floatingips")["floatingips"]
    assert (left["address"], left["instance"]) == (made["address"], "")
    assert cloud.ask(account, "DELETE", f"floatingips/{made['address']}")[0] == 200
    assert cloud.refused(account, "POST", f"floatingips/{made['address']}/associate", {"instance": "x"}) == "NotFound"


def test_an_address_may_be_asked_for_and_stays_where_it_is_refused(cloud: Cloud, account: Account) -> None:
    made = cloud.post(account, "floatingips", {"address": "198.51.100.201"})
    assert made["address"] == "198.51.100.201"
    assert cloud.refused(account, "POST", "floatingips", {"address": "198.51.100.201"}) == "InvalidValue"
    names = ("one", "two")
    for name in names:
        cloud.post(account, "instances", {"image": cloud.image(), "name": name})
    path = f"floatingips/{made['id']}/associate"
    cloud.post(account, path, {"instance": "one"})
    assert cloud.refused(account, "POST", path, {"instance": "two", "reassociate": False}) == "Conflict"
    other = cloud.account()
    for method, rest in (("POST", "/disassociate"), ("DELETE", "")):
        assert cloud.refused(other, method, f"floatingips/{made['address']}{rest}") == "NotFound"
