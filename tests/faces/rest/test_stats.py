"""What instances use, by our own face: measured when it is asked for, and only one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pileus.model.errors import Fault

if TYPE_CHECKING:
    from pileus.verbs.user import Account
    from tests.faces.rest.cloud import Cloud


def _running(cloud: Cloud, account: Account) -> dict[str, Any]:
    (made,) = cloud.post(account, "instances", {"image": cloud.image()})["instances"]
    cloud.until(lambda: cloud.get(account, f"instances/{made['id']}")["state"] == "running")
    return dict(made)


def test_a_guest_that_runs_uses_more_and_more(cloud: Cloud, account: Account) -> None:
    made = _running(cloud, account)
    path = f"instances/{made['id']}/stats"
    first = cloud.get(account, path)
    assert (first["id"], first["state"], first["trouble"]) == (made["id"], "running", "")
    assert first["memory_limit_bytes"] >= first["memory_bytes"] > 0
    assert first["since"] > 0
    cloud.until(lambda: cloud.get(account, path)["cpu_seconds"] > first["cpu_seconds"])
    (nic,) = cloud.get(account, path)["nics"]
    assert nic["id"].startswith("eni-")
    cloud.until(lambda: cloud.get(account, path)["nics"][0]["received_bytes"] > nic["received_bytes"])
    assert cloud.get(account, path)["uptime"] > 0
    (listed,) = cloud.get(account, "stats")["stats"]
    assert listed.keys() == first.keys()
    assert listed["id"] == made["id"]


def test_a_stopped_one_uses_its_disk_alone(cloud: Cloud, account: Account) -> None:
    made = _running(cloud, account)
    cloud.post(account, f"instances/{made['id']}/stop")
    cloud.until(lambda: cloud.get(account, f"instances/{made['id']}")["state"] == "stopped")
    found = cloud.get(account, f"instances/{made['id']}/stats")
    assert (found["state"], found["uptime"], found["since"], found["trouble"]) == ("stopped", 0, None, "")
    assert (found["cpu_seconds"], found["memory_bytes"], found["nics"][0]["sent_bytes"]) == (0, 0, 0)
    assert found["disk_allocated_bytes"] > 0


def test_another_projects_instance_is_not_there(cloud: Cloud, account: Account) -> None:
    made = _running(cloud, account)
    other = cloud.account()
    assert cloud.refused(other, "GET", f"instances/{made['id']}/stats") == "NotFound"
    assert cloud.get(other, "stats")["stats"] == []
    assert cloud.get(other, "stats", all="1")["stats"] == [], "only administrators see all"
    assert made["id"] in {one["id"] for one in cloud.get(cloud.admin, "stats", all="1")["stats"]}
    assert cloud.refused(account, "GET", "instances/i-00000000000000000/stats") == "NotFound"
    assert cloud.get(cloud.admin, f"instances/{made['id']}/stats")["id"] == made["id"]


def test_a_host_that_cannot_say_says_why(cloud: Cloud, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _running(cloud, account)

    def refuse(call: str, _uuid: str) -> None:
        if call == "open":
            raise Fault("HypervisorUnavailable", "libvirtd does not answer")

    monkeypatch.setattr(cloud.provider, "_faults", refuse)
    status, _, found = cloud.ask(account, "GET", f"instances/{made['id']}/stats")
    assert (status, found["error"]["code"]) == (502, "Fault")
    (listed,) = cloud.get(account, "stats")["stats"]
    assert (listed["state"], listed["trouble"]) == ("running", "libvirtd does not answer")
    assert listed["cpu_seconds"] == 0


def test_a_host_that_is_not_heard_is_not_asked(cloud: Cloud, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    _running(cloud, account)
    monkeypatch.setattr("pileus.model.host.LOST_AFTER", -1.0)
    monkeypatch.setattr(cloud.provider, "_faults", lambda call, _: pytest.fail("it is asked") if call == "open" else 0)
    (listed,) = cloud.get(account, "stats")["stats"]
    assert (listed["trouble"], listed["uptime"]) == ("host lost", 0)


def test_pages_end_where_lists_do(cloud: Cloud, account: Account) -> None:
    made = cloud.post(account, "instances", {"image": cloud.image(), "least": 3, "most": 3})["instances"]
    first = cloud.get(account, "stats", limit="2")
    rest = cloud.get(account, "stats", after=first["next"])
    assert [one["id"] for one in first["stats"] + rest["stats"]] == [one["id"] for one in made]
    assert rest["next"] is None
    assert cloud.refused(account, "GET", "stats", limit="0") == "InvalidValue"


def test_hosts_are_asked_once_however_many_instances_they_have(
    cloud: Cloud, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = cloud.post(account, "instances", {"image": cloud.image(), "least": 5, "most": 5})["instances"]
    cloud.until(lambda: all(one["state"] == "running" for one in cloud.get(account, "instances")["instances"]))
    asked: list[str] = []
    monkeypatch.setattr(cloud.provider, "_faults", lambda call, uuid: asked.append(uuid) if call == "open" else None)
    assert len(cloud.get(account, "stats")["stats"]) == len(made)
    assert asked == [""]
