"""The Debian packages, installed in a root file system that has Python and nothing else, and run there."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pileus.providers.local.images.archive import debian_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[2]

BEGIN = """
set -euo pipefail
mount -t proc proc /proc
mount -t tmpfs tmpfs /tmp
ip link set lo up
export HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
dpkg -i /root/*.deb >/dev/null
"""

STUB = """
pileus up --provider stub --state /tmp/s >/dev/null
export MCC_SERVER=$(python3 -c 'import json; print(json.load(open("/tmp/s/endpoints.json"))["mcc"][7:])')
mcc-add-key -n k -p 'ssh-rsa AAAA k'
mcc-run-instances -i stub-container -t basic -k k -n web
for _ in $(seq 100); do mcc-list-instances | grep -q running && break; sleep 0.2; done
mcc-list-instances
pileus list --state /tmp/s | grep -c web
pileus down --instances --state /tmp/s
mccserver --provider stub -r 10.0.0.100-10.0.0.200 -l 127.0.0.1 --state /tmp/m
MCC_SERVER=127.0.0.1:8080 mcc-run-instances -i stub-container -t basic -k k
mccserver --stop --state /tmp/m
id -un pileus
"""

TOOLS = """
test ! -e /usr/bin/pileus
mcc-list-keys
mcc-add-key -n k -p x && mcc-list-keys
mcc-list-images || true
python3 -c 'from pileus.mcc import Server; print(Server("host:1").port)'
"""


@pytest.fixture(scope="module")
def packages() -> Iterator[Path]:
    """The packages of this working tree."""
    with tempfile.TemporaryDirectory(prefix="pileus-dist-") as folder:
        done = subprocess.run(
            [str(ROOT / "packaging" / "deb"), folder], capture_output=True, text=True, check=False, timeout=1500
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        yield Path(folder)


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A clean root with Python, and with what the package of the cloud cannot do without."""
    with tempfile.TemporaryDirectory(prefix="pileus-base-", dir="/var/tmp") as folder:
        root = Path(folder) / "root"
        # The release that they were built on: its Python is theirs.
        release = platform.freedesktop_os_release()["VERSION_CODENAME"]
        debian_root(release, root, ("python3", "libvirt0", "iproute2"))
        yield root


def inside(base: Path, folder: Path, debs: list[Path], script: str) -> str:
    """What a script says in a copy of the root, with these packages installed, in namespaces of its own."""
    root = folder / "root"
    subprocess.run(["cp", "-a", str(base), str(root)], check=True)
    for deb in debs:
        shutil.copy(deb, root / "root" / deb.name)
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child", "chroot", str(root),
         "/bin/bash", "-c", BEGIN + script],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a copy of the root fits, and devices and owners are kept."""
    with tempfile.TemporaryDirectory(prefix="pileus-clean-", dir="/var/tmp") as made:
        yield Path(made)


@pytest.mark.cost(60)
def test_the_wheel_alone_runs_a_cloud_over_the_stub(tmp_path: Path) -> None:
    """Without libvirt's Python module, which is compiled against headers; over guests it is said what is missing."""
    tree, venv = tmp_path / "tree", tmp_path / "venv"
    for name in ("src", "requirements"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("README.md", "LICENSE", "pyproject.toml"):
        shutil.copy(ROOT / name, tree)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, tree])
    run([sys.executable, "-m", "venv", "--without-pip", venv])
    # Hashes in a list of constraints would have to be of the wheel too.
    pinned = [line.split()[0] for line in (ROOT / "requirements/pileus.txt").read_text().splitlines() if "==" in line]
    (tmp_path / "pinned").write_text("\n".join(line for line in pinned if not line.startswith("#")))
    (wheel,) = tmp_path.glob("*.whl")
    run([*pip, "--python", venv / "bin/python", "install", "-c", tmp_path / "pinned", wheel])
    assert "libvirt" not in run([*pip, "--python", venv / "bin/python", "list"])
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    program = "import os; print(os.environ['AWS_ENDPOINT_URL'])"
    words: list[str | Path] = [venv / "bin/pileus", "run", "--provider", "stub", "--", sys.executable, "-c", program]
    assert run(words, environment).startswith("http://127.0.0.1:")
    state = tmp_path / "s"
    refused = subprocess.run(
        [venv / "bin/pileus", "up", "--state", state], env=environment, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "libvirt's Python module is not installed: pip install 'pileus[local]'" in refused.stderr
    run([venv / "bin/pileus", "purge", "--yes", "--state", state], environment)


def run(words: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> str:
    """Run a command, and return its standard output."""
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.cost(240)
def test_the_cloud_runs_where_only_its_package_is(packages: Path, base: Path, folder: Path) -> None:
    said = inside(base, folder, sorted(packages.glob("*.deb")), STUB)
    assert said == (
        "\t\tID\tIP\nINST\t500\t10.98.0.4\n"
        "\t\tID\tIP\t\tSTATUS\t\tTEMPLATE\t\t\tNAME\n"
        "INSTANCE\t500\t10.98.0.4\trunning\t\tstub-container\t\tweb\n"
        "1\n"
        "\t\tID\tIP\nINST\t500\t10.0.0.100\n"
        "pileus\n"
    )


@pytest.mark.cost(60)
def test_the_tools_need_nothing_but_python(packages: Path, base: Path, folder: Path) -> None:
    (deb,) = packages.glob("pileus-mcc_*.deb")
    assert deb.stat().st_size < 64 * 1024
    said = inside(base, folder, [deb], TOOLS)
    assert said == "KEY\tk\nMCC_SERVER environment variable is not defined.\n1\n"


def test_a_wheel_is_built_beside_them(packages: Path) -> None:
    assert len(list(packages.glob("pileus-*.whl"))) == 1
