"""Launches by the REST face: nouns by id, uuid and name, and all that a guest can be given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.faces.rest.cloud import Cloud


def test_nouns_are_named_in_any_way(cloud: Cloud) -> None:
    account = cloud.account()
    key = cloud.post(account, "keypairs", {"name": "mine"})
    subnet = cloud.get(account, "subnets")["subnets"][0]
    group = cloud.get(account, "securitygroups")["securitygroups"][0]
    ways: list[dict[str, Any]] = [
        {"key_name": "mine", "group_names": ["default"]},
        {"keypair": key["id"], "groups": [group["id"]], "subnet": subnet["id"]},
        {"keypair": key["uuid"], "groups": [group["uuid"]], "subnet": subnet["uuid"], "group_names": ["default"]},
        {"key_name": "mine", "interfaces": [{"subnet": subnet["id"], "groups": [group["id"]]}]},
    ]
    for way in ways:
        body = {"image": cloud.image(), "flavor": "m1.tiny", **way}
        (instance,) = cloud.post(account, "instances", body)["instances"]
        assert (instance["key"], instance["groups"]) == ("mine", ["default"])


def test_what_a_guest_is_given_is_shown_by_no_answer(cloud: Cloud) -> None:
    account = cloud.account()
    body = {
        "image": cloud.image(),
        "flavor": "m1.tiny",
        "password": "correct horse",
        "files": [{"path": "/etc/motd", "content": "c2VjcmV0", "owner": "root", "mode": "0600"}],
        "metadata": {"colour": "blue"},
        "config_drive": True,
        "on_failure": "stay",
        "name": "web",
        "name_pool": "zone",
    }
    (instance,) = cloud.post(account, "instances", body)["instances"]
    shown = instance["wanted"]
    assert (shown["metadata"], shown["config_drive"], shown["on_failure"]) == ({"colour": "blue"}, True, "stay")
    for path in ("instances", f"instances/{instance['id']}", f"explain/instance/{instance['id']}"):
        text = str(cloud.get(account, path))
        assert not any(word in text for word in ("correct horse", "$6$", "c2VjcmV0", "password"))
    assert cloud.refused(account, "POST", "instances", body) == "Duplicate"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"files": [{"path": "etc/motd"}]}, "InvalidValue"),
        ({"files": [{"path": "/a", "mode": "rwx"}]}, "InvalidValue"),
        ({"password": "a\nb"}, "InvalidValue"),
        ({"metadata": {"": "b"}}, "InvalidValue"),
        ({"disks": [{"size": 1}]}, "Unsupported"),
        ({"kernel_arguments": "quiet"}, "Unsupported"),
        ({"keypair": "none"}, "NotFound"),
        ({"placementgroup": "none"}, "NotFound"),
        ({"group_names": ["none"]}, "NotFound"),
        ({"on_failure": "explode"}, "InvalidValue"),
    ],
    ids=str,
)
def test_bad_launches_are_refused(cloud: Cloud, wrong: dict[str, Any], code: str) -> None:
    account = cloud.account()
    assert cloud.refused(account, "POST", "instances", {"image": cloud.image(), "flavor": "m1.tiny", **wrong}) == code
