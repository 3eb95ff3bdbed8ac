"""The image `tiny`: Debian's cloud kernel with busybox, dropbear and the guest agent, for quick boots and tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from pileus.providers.local.images import busybox, hook, programs
from pileus.providers.local.images.archive import debian_root, execute
from pileus.providers.local.images.disk import DiskLayout, make_disk
from pileus.providers.local.images.recipe import ImageRecipe

RECIPE = ImageRecipe(
    name="tiny",
    login_user="root",
    min_memory_mib=128,
    min_disk_gib=1,
    description="Small Linux for tests: Debian kernel, busybox, dropbear, guest agent, EC2 metadata",
    hook=hook.VERSION,
)

_LAYOUT = DiskLayout(size_mib=96, label="tinyroot", inodes=8192, partitioned=False)

_PACKAGES = (
    "busybox-static",
    "dropbear-bin",
    "e2fsprogs",
    "linux-image-cloud-amd64",
    "openssh-client",
    "openssh-sftp-server",
    "qemu-guest-agent",
)

_BOOT_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_scsi", "sd_mod", "ata_piix")

_MODULES = (
    *_BOOT_MODULES,
    *("virtio_console", "virtio-rng", "virtio_balloon", "button", "evdev", "sr_mod", "isofs", "vfat"),
    *("nls_cp437", "nls_iso8859-1", "nls_ascii", "loop", "overlay", "8021q", "i6300esb", "pvpanic-pci"),
)

_PARTS = busybox.ImageContents(
    directories=("etc/acpi/PWRF", "boot/extlinux"),
    programs=("usr/bin/scp", "usr/sbin/qemu-ga", "sbin/resize2fs", "sbin/e2fsck", "sbin/mke2fs"),
    links={"sbin/mkfs.ext4": "mke2fs", "sbin/mkfs.ext2": "mke2fs"},
    files={
        "tiny/rc": "etc/rc",
        "tiny/rc.stop": "etc/rc.stop",
        "tiny/hotplug": "sbin/hotplug",
        "busybox/udhcpc": "etc/udhcpc/default.script",
        "tiny/shutdown": "sbin/shutdown",
        "tiny/power": "etc/acpi/PWRF/00000080",
    },
    settings={
        "etc/inittab": (
            "::sysinit:/etc/rc\n"
            "ttyS0::respawn:/sbin/getty -L 115200 ttyS0 vt100\n"
            "tty1::respawn:/sbin/getty 38400 tty1 linux\n"
            "::ctrlaltdel:/sbin/reboot\n"
            "::shutdown:/etc/rc.stop\n"
        ),
        "boot/extlinux/extlinux.conf": (
            "DEFAULT tiny\nPROMPT 0\nTIMEOUT 0\nLABEL tiny\n KERNEL /boot/vmlinuz\n INITRD /boot/initrd\n"
            " APPEND console=tty0 console=ttyS0,115200 quiet no_timer_check mitigations=off init_on_alloc=0 nokaslr\n"
        ),
    },
)


def make(work: Path, disk: Path, progress: Callable[[str], None]) -> None:
    """Make the qcow2 image `disk` in the empty directory `work`; needs root. Raises `ImageBuildError`."""
    progress("fetching packages")
    packages, tree = work / "packages", work / "tree"
    debian_root("bookworm", packages, _PACKAGES, variant="extract")
    progress("laying out the files")
    kernel = next((packages / "boot").glob("vmlinuz-*"))
    release = kernel.name.removeprefix("vmlinuz-")
    busybox.lay_out(packages, tree, _PARTS)
    hook.install(tree / "sbin/await-identity")
    _copy_modules(packages, tree, release, _MODULES)
    shutil.copy(kernel, tree / "boot/vmlinuz")
    progress("packing the initial file system")
    _pack_initrd(packages, work, release, tree / "boot/initrd")
    progress("writing the disk")
    make_disk(tree, disk, _LAYOUT)


def needed_modules(modules_dep: str, names: Iterable[str]) -> set[str]:
    """Return the paths of the modules `names` and of all they depend on, from the text of a `modules.dep`.

    Names built into the kernel, and so missing there, are left out.
    """
    paths: set[str] = set()
    wanted = {name.replace("-", "_") for name in names}
    for line in modules_dep.splitlines():
        module, _, dependencies = line.partition(":")
        if Path(module).stem.replace("-", "_") in wanted:
            paths.update([module, *dependencies.split()])
    return paths


def _copy_modules(packages: Path, tree: Path, release: str, names: Iterable[str]) -> None:
    source = packages / "lib/modules" / release
    if not (source / "modules.dep").exists():
        execute(["depmod", "-b", packages, release])
    target = tree / "lib/modules" / release
    for name in needed_modules((source / "modules.dep").read_text(encoding="utf-8"), names):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        execute(["strip", "--strip-debug", "-o", target / name, source / name])
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(source / name, target / name)
    execute(["depmod", "-b", tree, release])


def _pack_initrd(packages: Path, work: Path, release: str, initrd: Path) -> None:
    tree = work / "initrd"
    for directory in ("bin", "sbin", "proc", "sys", "dev", "newroot"):
        (tree / directory).mkdir(parents=True)
    programs.install_busybox(packages, tree)
    _copy_modules(packages, tree, release, _BOOT_MODULES)
    programs.install("tiny/init", tree / "init")
    names = [str(path.relative_to(tree)) for path in sorted(tree.rglob("*"))]
    archive = work / "initrd.cpio"
    with archive.open("wb") as file:
        subprocess.run(
            ["cpio", "--create", "--format=newc", "--owner=0:0", "--quiet", "--directory", str(tree)],
            check=True,
            input="\n".join(names).encode(),
            stdout=file,
        )
    execute(["lz4", "-l", "-9", "-f", "-q", archive, initrd])
