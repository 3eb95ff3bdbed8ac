"""Installs the toy provider: its package and its entry point, in a Python environment of a test's own."""

from __future__ import annotations

import contextlib
import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pileus.app import kits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pileus.model.kit import Kit

_PACKAGE = Path(__file__).parent / "toycloud"


def install(folder: Path) -> None:
    """Put the package, and what says that it is a provider, into a folder of packages."""
    shutil.copytree(_PACKAGE, folder / "toycloud", ignore=shutil.ignore_patterns("__pycache__"))
    described = folder / "toycloud-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: toycloud\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[pileus.providers]\ntoy = toycloud.kit:KIT\n")


@contextlib.contextmanager
def loaded(folder: Path) -> Iterator[Kit]:
    """Install it for this process, whose packages are also looked for in `folder`."""
    install(folder)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield kits.load("toy")
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == "toycloud"]:
            del sys.modules[name]


def environment(folder: Path) -> Path:
    """A Python environment with this one's packages and the toy: its interpreter.

    Processes of a cloud take nothing from PYTHONPATH; they run by the interpreter that runs `pileus`.
    """
    packages = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    install(packages)
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "ours.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in ours))
    base = Path(sys.base_prefix) / "bin"
    (folder / "pyvenv.cfg").write_text(f"home = {base}\ninclude-system-site-packages = false\n")
    (folder / "bin").mkdir()
    python = folder / "bin" / "python"
    python.symlink_to(base / f"python3.{sys.version_info.minor}")
    return python


def pileus(python: Path, state: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command of that environment on a state directory."""
    variables: Mapping[str, str] = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(state.parent), **settings}
    return subprocess.run(
        [str(python), "-I", "-m", "pileus.app.main", *words, "--state", str(state)],
        env=variables,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
