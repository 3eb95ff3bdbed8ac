"""The image `debian-12`: a lean Debian with cloud-init, for real use and quick to boot even when emulated."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from pileus.providers.local.images.archive import debian_root, execute
from pileus.providers.local.images.disk import DiskLayout, make_disk, new_signature
from pileus.providers.local.images.recipe import ImageRecipe

RECIPE = ImageRecipe(
    name="debian-12",
    login_user="admin",
    min_memory_mib=512,
    min_disk_gib=1,
    description="Debian 12 (bookworm) with cloud-init and the guest agent",
)

_LAYOUT = DiskLayout(size_mib=1024, label="debian-12", inodes=65536, partitioned=True)

_PACKAGES = (
    *("linux-image-cloud-amd64", "initramfs-tools", "lz4", "udev", "kmod", "systemd-sysv", "dbus"),
    *("cloud-init", "cloud-guest-utils", "fdisk", "e2fsprogs", "openssh-server", "qemu-guest-agent", "sudo"),
    *("ifupdown", "isc-dhcp-client", "iproute2", "iputils-ping", "netbase", "ca-certificates", "curl"),
    *("less", "procps", "vim-tiny"),
)

_FILES = {
    "cloud.cfg": "etc/cloud/cloud.cfg.d/90_pileus.cfg",
    "ds-identify.cfg": "etc/cloud/ds-identify.cfg",
    "interfaces": "etc/network/interfaces",
    "initramfs.conf": "etc/initramfs-tools/conf.d/pileus",
    "initramfs-modules": "usr/share/initramfs-tools/modules.d/pileus",
    "sshd.conf": "etc/ssh/sshd_config.d/60-pileus.conf",
}
"""Files of ours, put in place before the packages that read them are configured."""

_MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer"),
    *("e2scrub_reap.service", "fstrim.timer", "systemd-pstore.service"),
)
"""Units that cost time at boot or wake an idle guest."""

_IDENTITY = (
    *("etc/ssh/ssh_host_*", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed"),
    *("root/.bash_history", "var/log/*.log", "var/log/apt/*"),
)
"""What must not be the same in two guests, and traces of the build, by glob."""


def make(work: Path, disk: Path, progress: Callable[[str], None]) -> None:
    """Make the qcow2 image `disk` in the empty directory `work`; needs root. Raises `ImageBuildError`."""
    tree, ours = work / "tree", work / "files"
    signature = new_signature()
    _write_files(ours, f"{signature:08x}-01")
    progress("installing packages (takes about a minute)")
    hook = f"--extract-hook=cp -r {shlex.quote(str(ours))}/. $1"
    debian_root("bookworm", tree, _PACKAGES, options=[hook])
    progress("removing what is not to be shared")
    _clean(tree)
    progress("writing the disk")
    make_disk(tree, disk, _LAYOUT, signature=signature)


def _write_files(folder: Path, partuuid: str) -> None:
    texts = {
        target: resources.files(__package__).joinpath("files", "debian-12", source).read_text(encoding="utf-8")
        for source, target in _FILES.items()
    }
    texts["etc/fstab"] = f"PARTUUID={partuuid} / ext4 defaults,noatime 0 1\n"
    # The links in the root directory follow the newest kernel when the guest upgrades it.
    texts["boot/extlinux/extlinux.conf"] = (
        "DEFAULT debian\nPROMPT 0\nTIMEOUT 0\nLABEL debian\n KERNEL /vmlinuz\n INITRD /initrd.img\n"
        f" APPEND root=PARTUUID={partuuid} ro console=tty0 console=ttyS0,115200 quiet net.ifnames=0\n"
    )
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _clean(tree: Path) -> None:
    execute(["systemctl", f"--root={tree}", "mask", *_MASKED])
    for pattern in _IDENTITY:
        for path in tree.glob(pattern):
            path.unlink()
    # An empty file gets a new id at boot; without one, systemd would also apply all its presets anew.
    (tree / "etc/machine-id").write_bytes(b"")
    (tree / "etc/hostname").write_text("debian\n", encoding="utf-8")
