"""The image `tiny-container`: busybox and dropbear, for containers that are there at once, and for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pileus.providers.local.images import programs
from pileus.providers.local.images.archive import debian_root
from pileus.providers.local.images.recipe import ImageRecipe
from pileus.providers.local.images.tar import make_tar

RECIPE = ImageRecipe(
    name="tiny-container",
    login_user="root",
    min_memory_mib=32,
    min_disk_gib=1,
    description="Small Linux for containers and tests: busybox, dropbear, EC2 metadata",
    format="tar",
)

_PACKAGES = ("busybox-static", "dropbear-bin", "openssh-sftp-server")

_PROGRAMS = (
    "usr/sbin/dropbear",
    "usr/bin/dropbearkey",
    "usr/bin/dbclient",
    "usr/lib/openssh/sftp-server",
)

_DIRECTORIES = (
    *("bin", "sbin", "lib64", "proc", "sys", "dev", "run", "mnt", "usr/bin", "usr/sbin", programs.LIBRARIES),
    *("usr/lib/openssh", "etc/dropbear", "etc/udhcpc", "var/log", "var/lib/tiny"),
)

_LINKS = {
    "etc/mtab": "/proc/mounts",
    "var/run": "/run",
    "usr/lib/sftp-server": "openssh/sftp-server",
    "usr/bin/ssh": "dbclient",
}

_GUEST_FILES = {
    "tiny-container/rc": "etc/rc",
    "tiny-container/udhcpc": "etc/udhcpc/default.script",
    "busybox/metadata": "sbin/metadata",
    "busybox/bash": "bin/bash",
}
"""Executables of ours, by the path of their source file."""

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
    "etc/inittab": "::sysinit:/etc/rc\n::ctrlaltdel:/sbin/reboot\n",
    "etc/resolv.conf": "",
}


def make(work: Path, archive: Path, progress: Callable[[str], None]) -> None:
    """Make the archive in the empty directory `work`; needs root. Raises `ImageBuildError`."""
    progress("fetching packages")
    packages, tree = work / "packages", work / "tree"
    debian_root("bookworm", packages, _PACKAGES, variant="extract")
    progress("laying out the files")
    _lay_out(packages, tree)
    progress("packing the files")
    make_tar(tree, archive, programs.newest(packages, _PROGRAMS))


def _lay_out(packages: Path, tree: Path) -> None:
    for directory in _DIRECTORIES:
        (tree / directory).mkdir(parents=True, exist_ok=True)
    (tree / "root/.ssh").mkdir(parents=True, mode=0o700)
    (tree / "root").chmod(0o700)
    (tree / "tmp").mkdir()
    (tree / "tmp").chmod(0o1777)
    for name in _PROGRAMS:
        programs.copy(packages / name, tree / name)
    programs.copy_libraries(packages, tree, _PROGRAMS)
    for name, target in _LINKS.items():
        (tree / name).symlink_to(target)
    programs.install_busybox(packages, tree)
    for name, text in _SETTINGS.items():
        (tree / name).write_text(text, encoding="utf-8")
    shadow = tree / "etc/shadow"
    shadow.write_text("root:*:19000:0:99999:7:::\n", encoding="utf-8")
    shadow.chmod(0o600)
    for source, target in _GUEST_FILES.items():
        programs.install(source, tree / target)
