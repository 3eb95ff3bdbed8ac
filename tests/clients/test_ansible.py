"""Ansible's collection amazon.aws: a playbook makes a VPC with guests, changes nothing again, and takes it down."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.clients.conftest import ROOT, Outside, program, ran
from tests.live.cloud import LiveCloud, until
from tests.live.test_floating import OUTSIDE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.cost(180), pytest.mark.allow_hosts(["127.0.0.0/8", OUTSIDE])]

PLAYBOOKS = ROOT / "tests" / "clients" / "playbooks"


def test_a_playbook_makes_a_vpc_once(
    cloud: LiveCloud, outside: Outside, environment: dict[str, str], tmp_path: Path
) -> None:
    """The playbook logs in and fetches by itself."""
    variables = {
        "from_outside": outside.command,
        "public_key": str(outside.public_key),
        "ssh_config": str(outside.ssh_config),
        "url": outside.url,
    }
    environment = {**environment, "ANSIBLE_HOME": str(tmp_path / "ansible"), "ANSIBLE_LOCALHOST_WARNING": "false"}

    def changes(name: str) -> int:
        words = [program("ansible-playbook", "--clients"), "--extra-vars", json.dumps(variables), name]
        recap = ran(words, PLAYBOOKS, environment).rpartition("PLAY RECAP")[2]
        counts = {word: int(number) for word, number in re.findall(r"(\w+)=(\d+)", recap)}
        assert counts["failed"] == counts["ignored"] == counts["rescued"] == 0, recap
        return counts["changed"]

    assert changes("site.yml") == 11
    assert changes("site.yml") == 0
    assert changes("teardown.yml") == 9
    assert changes("teardown.yml") == 0
    assert not cloud.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["false"]}])["Vpcs"]
    assert not cloud.ec2.describe_addresses()["Addresses"]
    until("all is well", lambda: "All is well" in cloud.pileus("doctor"))
