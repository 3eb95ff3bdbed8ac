"""awscli: the section of the tutorial that makes a VPC with a public and a private guest, as it is printed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.clients.conftest import ROOT, ran
from tests.live.cloud import LiveCloud, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.cost(120)

SECTION = "A network of your own"


def blocks(title: str) -> list[str]:
    """Return the blocks of a section of the tutorial."""
    text = (ROOT / "docs" / "tutorial.md").read_text()
    section = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)


def test_the_tutorials_vpc(cloud: LiveCloud, environment: dict[str, str], tmp_path: Path) -> None:
    """The section needs the key pair of an earlier one, and no more."""
    assert len(blocks(SECTION)) >= 6
    script = "\n".join(["set -euo pipefail", *blocks("A key and a way in"), *blocks(SECTION)])
    assert "hello from outside" in ran(["bash", "-c", script], tmp_path, environment)
    assert not cloud.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["false"]}])["Vpcs"]
    assert not cloud.ec2.describe_addresses()["Addresses"]
    until("all is well", lambda: "All is well" in cloud.pileus("doctor"))
