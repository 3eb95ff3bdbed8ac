"""The image `tiny-container`: busybox and dropbear, for containers that are there at once, and for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pileus.providers.local.images import busybox
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

_PARTS = busybox.ImageContents(
    directories=("usr/lib/openssh",),
    programs=(),
    links={},
    files={"tiny-container/rc": "etc/rc", "tiny-container/udhcpc": "etc/udhcpc/default.script"},
    settings={"etc/inittab": "::sysinit:/etc/rc\n::ctrlaltdel:/sbin/reboot\n", "etc/resolv.conf": ""},
)


def make(work: Path, archive: Path, progress: Callable[[str], None]) -> None:
    """Make the archive in the empty directory `work`; needs root. Raises `ImageBuildError`."""
    progress("fetching packages")
    packages, tree = work / "packages", work / "tree"
    debian_root("bookworm", packages, _PACKAGES, variant="extract")
    progress("laying out the files")
    busybox.lay_out(packages, tree, _PARTS)
    progress("packing the files")
    make_tar(tree, archive, busybox.newest(packages))
