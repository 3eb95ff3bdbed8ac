"""Hosts in our own face: what an administrator sees of them, and does with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pileus.cli import tables
from pileus.model.host import LOST_AFTER, Host

if TYPE_CHECKING:
    from pileus.verbs.user import Account
    from tests.faces.rest.cloud import Cloud


def host(cloud: Cloud) -> dict[str, Any]:
    return cloud.get(cloud.admin, "hosts/stub")


def test_a_host_is_shown_with_what_it_holds_and_has(cloud: Cloud, account: Account) -> None:
    one = cloud.post(account, "instances", {"image": cloud.image()})["instances"][0]
    found = host(cloud)
    assert (found["state"], found["instances"] >= 1, one["trouble"]) == ("active", True, "")
    assert found["used"]["memory"] >= 512
    assert found["room"] == {"vcpus": None, "memory": None, "disk": None}
    line = tables.table("host", [found]).splitlines()[1].split()
    assert line[:2] == ["stub", "active"]
    assert line[-2] == f"{found['used']['memory']}/-"
    cloud.post(account, f"instances/{one['id']}/terminate")


def test_a_host_is_drained_and_activated(cloud: Cloud, account: Account) -> None:
    image = cloud.image()
    for word, state in (("drain", "drained"), ("maintenance", "maintenance")):
        assert cloud.post(cloud.admin, f"hosts/stub/{word}")["state"] == state
        assert cloud.refused(account, "POST", "instances", {"image": image}) == "NoCapacity"
        why = cloud.get(cloud.admin, f"explain/project/{account.project}")["journal"][-1]
        assert why["detail"] == f"no host can take it: 1 host known, refused 1 by state. Nearest: stub: {state}"
        own = cloud.get(account, f"explain/project/{account.project}")["journal"][-1]
        assert (own["outcome"], own["detail"]) == ("failed", "")
    assert cloud.post(cloud.admin, "hosts/stub/activate")["state"] == "active"
    given = cloud.post(cloud.admin, "hosts/stub/overcommit", {"vcpus": 4.0})
    assert given["wanted"]["overcommit"] == {"vcpus": 4.0, "memory": None, "disk": None}


def test_a_host_is_given_traits_that_a_flavor_demands(cloud: Cloud, account: Account) -> None:
    size = {"name": "fast", "vcpus": 1, "memory": 128, "disk": 1, "traits": ["ssd"]}
    assert cloud.refused(account, "POST", "flavors", size) == "Forbidden"
    assert cloud.post(cloud.admin, "flavors", size)["wanted"]["traits"] == ["ssd"]
    asked = {"image": cloud.image(), "flavor": "fast"}
    assert cloud.refused(account, "POST", "instances", asked) == "NoCapacity"
    assert cloud.post(cloud.admin, "hosts/stub/traits", {"add": ["ssd"]})["traits"] == ["ssd"]
    assert ",ssd" in f",{tables.table('host', [host(cloud)]).splitlines()[1].split()[5]}"
    one = cloud.post(account, "instances", asked)["instances"][0]
    assert cloud.post(cloud.admin, "flavors/fast/retire")["wanted"]["retired"]
    assert cloud.refused(account, "POST", "instances", asked) == "InvalidValue"
    assert cloud.get(account, f"instances/{one['id']}")["flavor"] == "fast"
    cloud.post(cloud.admin, "flavors/fast/offer")
    assert cloud.post(cloud.admin, "flavors/fast/traits", {"remove": ["ssd"]})["wanted"]["traits"] == []
    assert cloud.post(cloud.admin, "hosts/stub/traits", {"remove": ["ssd"]})["traits"] == []
    cloud.post(account, f"instances/{one['id']}/terminate")


def test_why_an_instance_is_where_it_is(cloud: Cloud, account: Account) -> None:
    one = cloud.post(account, "instances", {"image": cloud.image()})["instances"][0]
    path = f"explain/instance/{one['id']}"
    cloud.until(lambda: cloud.get(account, path)["settled"])
    told = cloud.get(cloud.admin, path)
    assert told["journal"][0]["detail"].startswith("stub by spread: 1 host known, 1 fit. Best: stub: ")
    assert told["journal"][0]["detail"] in tables.explanation(told)
    assert cloud.get(account, path)["journal"][0]["detail"] == ""  # how full hosts are is no tenant's business


def test_only_administrators_have_hosts(cloud: Cloud, account: Account) -> None:
    for word in ("drain", "activate", "maintenance", "overcommit", "traits", "remove", "admit"):
        assert cloud.refused(account, "POST", f"hosts/stub/{word}", {}) == "Forbidden"
    assert cloud.get(account, "hosts")["hosts"] == []
    assert cloud.refused(cloud.admin, "POST", "hosts/nowhere/drain") == "NotFound"


def test_a_lost_host_is_shown_with_its_instances(hostless: Cloud) -> None:
    """A report that is the last one: its machine is switched off."""
    hostless.join()
    hostless._parts.pop().stop()
    # And its link: an order that comes later is not answered any more.
    hostless.bus.stop()
    hostless.bus._hosts["stub"]._thread.join()
    one = hostless.post(hostless.admin, "instances", {"image": hostless.image()})["instances"][0]
    # Time stands still, and a report that is on its way yet is an older one than the last.
    now = hostless.core.store.now()
    hostless.core.store.now = lambda: now
    with hostless.core.store.write() as tx:
        (row,) = tx.list(Host)
        seen = msgspec.structs.replace(row.seen, heard=now - LOST_AFTER - 1, sequence=row.seen.sequence + 1000)
        tx.see(row, seen)
    assert host(hostless)["state"] == "lost"
    assert hostless.get(hostless.admin, f"instances/{one['id']}")["trouble"] == "host lost"
    waits = hostless.get(hostless.admin, f"explain/instance/{one['id']}")["waits_for"]
    assert "host stub, which was last heard of 31 s ago" in waits
    assert hostless.refused(hostless.admin, "POST", "hosts/stub/remove", {}) == "Conflict"
    hostless.post(hostless.admin, "hosts/stub/remove", {"forget": True})
    assert hostless.get(hostless.admin, f"instances/{one['id']}")["trouble"] == "host removed"
    waits = hostless.get(hostless.admin, f"explain/instance/{one['id']}")["waits_for"]
    assert "host stub, which was removed: it stays as it is until that host is readmitted" in waits
    assert hostless.post(hostless.admin, "hosts/stub/admit") == {}
