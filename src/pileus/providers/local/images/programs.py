"""Programs from Debian's packages without the packages: busybox, and what others need to run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from pileus.providers.local.images.archive import execute

LIBRARIES = "usr/lib/x86_64-linux-gnu"
"""Where libraries are, below a root."""

LOADER = "lib64/ld-linux-x86-64.so.2"
"""The dynamic loader of the libraries."""


def needed_libraries(objdump: str) -> list[str]:
    """Return the names of shared libraries that `objdump -p` lists as NEEDED."""
    return re.findall(r"^\s+NEEDED\s+(\S+)$", objdump, re.MULTILINE)


def install(source: str, target: Path) -> None:
    """Copy a program of ours, by its path below `files`, to `target`."""
    target.write_bytes(resources.files(__package__).joinpath("files", source).read_bytes())
    target.chmod(0o755)


def copy(source: Path, target: Path) -> None:
    """Copy a program with its time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def install_busybox(packages: Path, tree: Path) -> None:
    """Copy busybox from the unpacked `packages` into `tree`, with a link for each of its commands."""
    busybox = tree / "bin/busybox"
    busybox.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(packages / "bin/busybox", busybox)
    for applet in execute([busybox, "--list-full"]).split():
        link = tree / applet
        if applet != "linuxrc" and not link.is_symlink() and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to("/bin/busybox")


def copy_libraries(packages: Path, tree: Path, programs: Sequence[str]) -> None:
    """Copy into `tree` every library that its `programs`, by their paths, need. Raises `ImageBuildError`."""
    library_paths = {path.name: path for path in packages.rglob("*.so*") if path.exists()}
    shutil.copy(library_paths[Path(LOADER).name], tree / LOADER)
    unread = [tree / name for name in programs]
    while unread:
        for library in needed_libraries(execute(["objdump", "-p", unread.pop()])):
            target = tree / LIBRARIES / library
            if not library.startswith("ld-linux") and not target.exists():
                shutil.copy(library_paths[library], target)
                unread.append(target)
    (tree / "etc").mkdir(exist_ok=True)
    (tree / "etc/ld.so.conf").write_text(f"/{LIBRARIES}\n", encoding="utf-8")
    execute(["ldconfig", "-r", tree])
