"""OpenTofu with the AWS provider: a configuration is applied, found unchanged, and destroyed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.conftest import ROOT, Outside, program, ran
from tests.live.cloud import LiveCloud, until
from tests.live.test_floating import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cost(120), pytest.mark.allow_hosts(["127.0.0.0/8", OUTSIDE])]

PROVIDER = "registry.terraform.io/hashicorp/aws"
MIRRORS = ("/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins")
"""Folders where machines have the provider, after the one that TF_PROVIDER_MIRROR names."""


def mirror() -> Path:
    """Return the folder that has the AWS provider's program; without one the test fails, and says so."""
    folders = [Path(name) for name in (os.environ.get("TF_PROVIDER_MIRROR", ""), *MIRRORS) if name]
    for folder in folders:
        if any((folder / PROVIDER).glob("**/terraform-provider-aws*")):
            return folder
    pytest.fail(
        "the AWS provider is in none of the folders "
        f"{', '.join(map(str, folders))}: the Go module proxy has no version of it that OpenTofu runs. Name a "
        f"folder with {PROVIDER}/VERSION/OS_ARCH in TF_PROVIDER_MIRROR.",
        pytrace=False,
    )


@pytest.fixture
def tofu_environment(environment: dict[str, str], outside: Outside, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Variables of a run in `tmp_path` that takes the provider from a folder alone."""
    settings = tmp_path / "tofurc"
    settings.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror()}"\n  }}\n}}\n')
    shutil.copy(ROOT / "tests" / "clients" / "opentofu" / "main.tf", tmp_path)
    yield {
        **environment,
        "TF_CLI_CONFIG_FILE": str(settings),
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "TF_VAR_public_key": outside.public_key.read_text().strip(),
    }
    # The provider is a link to some 700 MB, and pytest keeps the folders of failed tests.
    shutil.rmtree(tmp_path / ".terraform", ignore_errors=True)


def test_a_configuration_is_applied_once(
    cloud: LiveCloud, outside: Outside, tofu_environment: dict[str, str], tmp_path: Path
) -> None:
    """`plan -detailed-exitcode` has status 0 if the provider reads exactly what it wrote."""

    def tofu(*words: str) -> str:
        return ran([program("tofu", "--opentofu"), *words], tmp_path, tofu_environment)

    tofu("init", "-no-color")
    assert "19 added, 0 changed, 0 destroyed" in tofu("apply", "-no-color", "-auto-approve")
    addresses = {name: output["value"] for name, output in json.loads(tofu("output", "-json")).items()}
    until(
        "the private guest goes out by the NAT gateway",
        lambda: (
            outside.fetched_through(addresses["public_address"], addresses["private_address"])
            == addresses["nat_address"]
        ),
    )
    assert "No changes" in tofu("plan", "-no-color", "-detailed-exitcode")
    assert "19 destroyed" in tofu("destroy", "-no-color", "-auto-approve")
    assert not cloud.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["false"]}])["Vpcs"]
    assert not cloud.ec2.describe_addresses()["Addresses"]
    until("all is well", lambda: "All is well" in cloud.pileus("doctor"))
