"""Debian with systemd: what its images of machines and of containers have in common."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from pileus.providers.local.images.archive import debian_root, execute

MASK = "/dev/null"
"""Where the link of a unit or a generator leads that is not to run."""

_TRACES = (
    *("etc/ssh/ssh_host_*", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed"),
    *("root/.bash_history", "var/log/*.log", "var/log/apt/*"),
)
"""The globs of files that must not be the same in two guests, and of traces of the build."""


def write_files(source: str, folder: Path, links: Mapping[str, str]) -> None:
    """Copy our files of an image into the new folder `folder`; `links` are made in that of systemd's settings."""
    with resources.as_file(resources.files(__package__).joinpath("files", source)) as source_folder:
        shutil.copytree(source_folder, folder)
    for path in folder.rglob("*"):
        runs = path.is_dir() or path.read_bytes().startswith(b"#!")
        path.chmod(0o755 if runs else 0o644)
    for name, target in links.items():
        link = folder / "etc/systemd" / name
        link.parent.mkdir(mode=0o755, exist_ok=True)
        link.symlink_to(target)


def install(tree: Path, packages: Sequence[str], files: Path) -> None:
    """Install packages in the new directory `tree`, with our `files` there before them. Raises `ImageBuildError`."""
    copied = f"--extract-hook=cp -a {shlex.quote(str(files))}/. $1"
    debian_root("bookworm", tree, packages, options=[copied])


def add_user(tree: Path, user: str, groups: str) -> None:
    """Make the login user as cloud-init would in every guest; without a password, and nobody's keys."""
    execute(["chroot", tree, "useradd", "-m", "-c", "Debian", "-s", "/bin/bash", "-G", groups, user])
    execute(["chroot", tree, "install", "-d", "-m", "700", "-o", user, "-g", user, f"/home/{user}/.ssh"])
    (tree / "var/lib/pileus").mkdir(mode=0o755)


def clean(tree: Path, *, masked: Sequence[str], enabled: Sequence[str], traces: Sequence[str] = ()) -> None:
    """Have units run, or not, and remove what is not to be shared; `traces` of the build (globs) besides."""
    execute(["systemctl", f"--root={tree}", "mask", *masked])
    execute(["systemctl", f"--root={tree}", "enable", *enabled])
    for pattern in (*_TRACES, *traces):
        for path in tree.glob(pattern):
            path.unlink()
    # Without this folder, a login runs no programs for a message of the day that tells the kernel's version.
    shutil.rmtree(tree / "etc/update-motd.d", ignore_errors=True)
    # An empty file gets a new id at boot; without one, systemd would also apply all its presets anew.
    (tree / "etc/machine-id").write_bytes(b"")
    (tree / "etc/resolv.conf").unlink(missing_ok=True)
    (tree / "etc/resolv.conf").write_bytes(b"")
    (tree / "etc/resolv.conf").chmod(0o644)
    (tree / "etc/hostname").write_text("debian\n", encoding="utf-8")


def mark_updated(tree: Path, when: int) -> None:
    """As after a first boot (at `when`, ns since 1970), so that none repeats what installing the packages has done."""
    for name in ("etc/.updated", "var/.updated"):
        (tree / name).touch()
    for name in ("usr", "etc/.updated", "var/.updated"):
        os.utime(tree / name, ns=(when, when))
