"""The import contracts of pyproject.toml hold here, and break on every kind of trespass."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import tree

CONTRACTS = tree.ROOT / "pyproject.toml"
ROOMS = (
    *("app", "bus", "cli", "faces", "host", "loops", "mcc", "model"),
    *("objects", "posix", "providers", "rules", "store", "verbs"),
)


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the package `pileus` in `folder` against the project's contracts."""
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run(
        [str(program), "--no-cache", "--config", str(CONTRACTS)],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )


def house(folder: Path, files: dict[str, str]) -> Path:
    """Build a package with all rooms, two faces and two providers, empty but for `files`."""
    package = folder / "pileus"
    folders = [*ROOMS, "faces/wire", "faces/ec2", "faces/rest", "providers/stub", "providers/local"]
    for name in ["", *folders]:
        (package / name).mkdir(exist_ok=True)
        (package / name / "__init__.py").touch()
    for name, text in files.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(text)
    return folder


def test_contracts_hold_here() -> None:
    result = lint(tree.ROOT / "src")
    assert result.returncode == 0, result.stdout + result.stderr


def test_contracts_allow_what_the_rooms_are_for(tmp_path: Path) -> None:
    files = {
        "app/up.py": "import pileus.faces.wire, pileus.loops, pileus.model, pileus.store\n",
        "faces/ec2/codec.py": "import pileus.faces.wire, pileus.verbs, pileus.model\n",
        "host/agent.py": "import pileus.bus, pileus.model, pileus.posix\n",
        "loops/runner.py": "import pileus.store, pileus.bus, pileus.model\n",
        "providers/local/machine.py": "import libvirt, pileus.model\n",
        "providers/local/network.py": "import ovsdbapp\n",
        "store/tables.py": "import sqlalchemy, pileus.model\n",
        "verbs/instance.py": "import pileus.store, pileus.objects\n",
    }
    result = lint(house(tmp_path, files))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("services/__init__.py", ""),
        ("utils.py", ""),
        ("model/x.py", "import pileus.store\n"),
        ("model/x.py", "import sqlalchemy\n"),
        ("model/x.py", "import socket\n"),
        ("store/x.py", "import pileus.bus\n"),
        ("store/x.py", "import pileus.verbs\n"),
        ("verbs/x.py", "import pileus.loops\n"),
        ("rules/x.py", "import pileus.verbs\n"),
        ("loops/x.py", "import pileus.verbs\n"),
        ("verbs/x.py", "def f():\n    from sqlalchemy import text\n"),
        ("host/x.py", "import pileus.loops\n"),
        ("host/x.py", "import pileus.providers.stub\n"),
        ("host/x.py", "import pileus.store\n"),
        ("host/x.py", "import pileus.verbs\n"),
        ("loops/x.py", "import pileus.faces\n"),
        ("loops/x.py", "import pileus.providers.stub\n"),
        ("mcc/x.py", "import pileus.model\n"),
        ("posix/x.py", "import pileus.model\n"),
        ("faces/ec2/x.py", "import pileus.faces.rest\n"),
        ("faces/wire/x.py", "import pileus.faces.ec2\n"),
        ("cli/x.py", "import pileus.app\n"),
        ("providers/stub/x.py", "import pileus.providers.local\n"),
        ("providers/stub/x.py", "import libvirt\n"),
        ("app/x.py", "import ovsdbapp\n"),
        ("app/x.py", "import pileus.providers.stub\n"),
        ("app/x.py", "import pileus.faces.rest\n"),
    ],
)
def test_trespass_breaks_a_contract(tmp_path: Path, name: str, text: str) -> None:
    result = lint(house(tmp_path, {name: text}))
    assert result.returncode == 1, result.stdout + result.stderr
    assert "BROKEN" in result.stdout
