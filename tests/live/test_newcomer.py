"""A user without root, with Python alone, runs the documented pipeline: the wheel, the stub, and 100 tests by boto3."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
UID = 64321
"""A user that no file of the machine belongs to."""

TESTS = """
import os
import boto3
import pytest

@pytest.mark.parametrize("number", range(100))
def test_launch(pileus_cloud, number):
    assert os.geteuid() == {uid}
    ec2 = boto3.client("ec2")
    assert ec2.describe_instances()["Reservations"] == []
    image = ec2.describe_images()["Images"][0]["ImageId"]
    (launched,) = ec2.run_instances(ImageId=image, InstanceType="t2.micro", MinCount=1, MaxCount=1)["Instances"]
    (reservation,) = ec2.describe_instances()["Reservations"]
    assert reservation["Instances"][0]["InstanceId"] == launched["InstanceId"]
    assert boto3.client("sts").get_caller_identity()["Account"] == reservation["OwnerId"]
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of the user's, with the wheel of this working tree and the tests."""
    with tempfile.TemporaryDirectory(prefix="pileus-newcomer-", dir="/var/tmp") as name:
        folder = Path(name)
        tree = folder / "tree"
        tree.mkdir()
        for part in ("README.md", "LICENSE", "pyproject.toml"):
            shutil.copy(ROOT / part, tree)
        for part in ("requirements", "src"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
        pip = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "-w", str(folder / "dist"), str(tree)], check=True)
        shutil.rmtree(tree)
        # The versions that this project is tested with; a new one of another project is no fault of the wheel's.
        locked = (ROOT / "requirements" / "dev.txt").read_text()
        (folder / "pinned.txt").write_text("\n".join(re.findall(r"^[a-z][^ ]+==[^ ]+", locked, re.MULTILINE)))
        (folder / "test_launch.py").write_text(TESTS.format(uid=UID))
        subprocess.run(["chown", "-R", f"{UID}:{UID}", str(folder)], check=True)
        yield folder


def as_user(home: Path, command: str, *, offline: bool) -> str:
    """Run a shell's command as the user, and return its output; `offline` in a network namespace with lo alone."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or "proxy" in name.lower()}
    settings |= {"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", "PIP_CONSTRAINT": "pinned.txt"}
    words = ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", "--no-new-privs", "--inh-caps=-all"]
    words += ["bash", "-euc", command]
    if offline:
        words = ["unshare", "--net", "--pid", "--mount-proc", "--fork", "--kill-child", "sh", "-c",
                 'ip link set lo up; "$@"; status=$?; ps -eo args; exit $status', "sh", *words]  # fmt: skip
    run = subprocess.run(
        words, cwd=home, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=900,
    )  # fmt: skip
    assert run.returncode == 0, f"{command}\n{run.stdout[-8000:]}"
    return run.stdout


@pytest.mark.cost(150)
def test_a_user_without_root_runs_the_documented_pipeline(home: Path) -> None:
    page = (ROOT / "docs" / "testing.md").read_text()
    (recipe,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (job,) = yaml.safe_load(recipe)["jobs"].values()
    *installs, tests = (step["run"] for step in job["steps"] if "run" in step)
    for command in installs:
        as_user(home, command, offline=False)
    # The stub does without libvirt's module, which a wheel may have brought.
    as_user(home, "venv/bin/pip uninstall --quiet --yes libvirt-python", offline=False)
    output = as_user(home, tests, offline=True)
    assert "100 passed" in output, output[-4000:]
    processes = output.partition("100 passed")[2]
    assert "ps -eo args" in processes
    assert "pileus.app" not in processes, "a process is left over"
    assert [path for path in Path("/tmp").glob("pileus-run-*") if path.stat().st_uid == UID] == []
