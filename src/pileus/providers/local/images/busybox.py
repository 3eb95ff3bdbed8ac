"""A small system of busybox and dropbear: what the tiny images of machines and of containers have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pileus.providers.local.images import programs

_DIRECTORIES = (
    *("bin", "sbin", "lib64", "proc", "sys", "dev", "run", "mnt", "usr/bin", "usr/sbin", programs.LIBRARIES),
    *("etc/dropbear", "etc/udhcpc", "var/log", "var/lib/tiny"),
)

_PROGRAMS = ("usr/sbin/dropbear", "usr/bin/dropbearkey", "usr/bin/dbclient", "usr/lib/openssh/sftp-server")

_LINKS = {
    "etc/mtab": "/proc/mounts",
    "var/run": "/run",
    "usr/lib/sftp-server": "openssh/sftp-server",
    "usr/bin/ssh": "dbclient",
}

_FILES = {"busybox/metadata": "sbin/metadata", "busybox/bash": "bin/bash"}

_SETTINGS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nsshd:x:100:65534::/run:/bin/false\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/shells": "/bin/sh\n/bin/bash\n",
    "etc/hostname": "tiny\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/profile": "export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n",
    "etc/os-release": (
        'NAME="Pileus tiny"\nPRETTY_NAME="Pileus tiny 1 (Debian 12 packages)"\nID=tiny\nID_LIKE=debian\nVERSION_ID=1\n'
    ),
}


@dataclass(frozen=True)
class ImageContents:
    """The contents of one image beside the shared ones.

    Directories, and programs of Debian's, by their paths; links by where they are; executables of ours by the paths of
    their sources below `files`; and files of settings.
    """

    directories: tuple[str, ...]
    programs: tuple[str, ...]
    links: Mapping[str, str]
    files: Mapping[str, str]
    settings: Mapping[str, str]


def lay_out(packages: Path, tree: Path, parts: ImageContents) -> None:
    """Make the system in the new directory `tree` from the unpacked `packages`. Raises `ImageBuildError`."""
    for directory in (*_DIRECTORIES, *parts.directories):
        (tree / directory).mkdir(parents=True, exist_ok=True)
    (tree / "root/.ssh").mkdir(parents=True, mode=0o700)
    (tree / "root").chmod(0o700)
    (tree / "tmp").mkdir()
    (tree / "tmp").chmod(0o1777)
    copied = (*_PROGRAMS, *parts.programs)
    for name in copied:
        programs.copy(packages / name, tree / name)
    programs.copy_libraries(packages, tree, copied)
    for name, target in {**_LINKS, **parts.links}.items():
        (tree / name).symlink_to(target)
    programs.install_busybox(packages, tree)
    for name, text in {**_SETTINGS, **parts.settings}.items():
        (tree / name).write_text(text, encoding="utf-8")
    shadow = tree / "etc/shadow"
    shadow.write_text("root:*:19000:0:99999:7:::\n", encoding="utf-8")
    shadow.chmod(0o600)
    for source, target in {**_FILES, **parts.files}.items():
        programs.install(source, tree / target)


def newest(packages: Path) -> int:
    """When the newest program that every such image has was last changed, in seconds since 1970."""
    return max(int((packages / name).stat().st_mtime) for name in _PROGRAMS)
