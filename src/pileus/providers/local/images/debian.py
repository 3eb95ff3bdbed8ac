"""The image `debian-12`: a lean Debian with cloud-init, for real use and quick to boot even when emulated."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from pileus.providers.local.images import hook, systemd
from pileus.providers.local.images.archive import execute
from pileus.providers.local.images.disk import DiskLayout, make_disk, new_signature
from pileus.providers.local.images.recipe import ImageRecipe

RECIPE = ImageRecipe(
    name="debian-12",
    login_user="admin",
    min_memory_mib=512,
    min_disk_gib=1,
    description="Debian 12 (bookworm) with cloud-init and the guest agent",
    hook=hook.VERSION,
)

_LAYOUT = DiskLayout(size_mib=1024, label="debian-12", inodes=65536, partitioned=True)

_PACKAGES = (
    *("linux-image-cloud-amd64", "initramfs-tools", "lz4", "udev", "kmod", "systemd-sysv", "dbus"),
    *("cloud-init", "cloud-guest-utils", "fdisk", "e2fsprogs", "openssh-server", "qemu-guest-agent", "sudo"),
    *("ifupdown", "isc-dhcp-client", "iproute2", "iputils-ping", "netbase", "ca-certificates", "curl"),
    *("less", "procps", "vim-tiny"),
)

_MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer"),
    *("e2scrub_reap.service", "fstrim.timer", "systemd-pstore.service"),
    *("cloud-init-local.service", "cloud-init-hotplugd.socket", "ifupdown-pre.service", "systemd-update-utmp.service"),
    *("systemd-repart.service", "modprobe@dm_mod.service", "modprobe@loop.service", "modprobe@drm.service"),
)
"""Units that cost time at boot or wake an idle guest; no network interface needs a device event first, or is
configured by cloud-init."""

_ENABLED = ("deferred-start.service", "pileus-cloud-init.service", "pileus-lease.service", "pileus-template.service")

_NO_GENERATORS = (
    *("cloud-init-generator", "systemd-cryptsetup-generator", "systemd-gpt-auto-generator"),
    *("systemd-hibernate-resume-generator", "systemd-integritysetup-generator", "systemd-rc-local-generator"),
    *("systemd-system-update-generator", "systemd-sysv-generator", "systemd-veritysetup-generator"),
)
"""Programs that look at every boot for what no disk of these has; cloud-init is enabled for good."""

_DEFERRED = (
    *("systemd-random-seed.service", "systemd-machine-id-commit.service"),
    *("systemd-journal-flush.service", "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount"),
    *("dev-hugepages.mount", "dev-mqueue.mount", "kmod-static-nodes.service", "sys-fs-fuse-connections.mount"),
    *("sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
)
"""Units that `sysinit.target` no longer wants; `deferred-start.service` starts them after sshd."""

_GROUPS = "adm,audio,cdrom,dialout,dip,floppy,netdev,plugdev,sudo,video"
"""The groups of cloud-init's default user on Debian."""


def make(work: Path, disk: Path, progress: Callable[[str], None]) -> None:
    """Make the qcow2 image `disk` in the empty directory `work`; needs root. Raises `ImageBuildError`."""
    tree, ours = work / "tree", work / "files"
    signature = new_signature()
    _write_files(ours, f"{signature:08x}-01")
    progress("installing packages (takes about a minute)")
    systemd.install(tree, _PACKAGES, ours)
    _add_user(tree)
    progress("removing what is not to be shared")
    systemd.clean(tree, masked=_MASKED, enabled=_ENABLED)
    systemd.mark_updated(tree, (tree / "usr").stat().st_mtime_ns)
    progress("writing the disk")
    make_disk(tree, disk, _LAYOUT, signature=signature)


def _write_files(folder: Path, partuuid: str) -> None:
    links = {f"system/sysinit.target.wants/{unit}": systemd.MASK for unit in _DEFERRED}
    links |= {f"system-generators/{name}": systemd.MASK for name in _NO_GENERATORS}
    links["system/multi-user.target.wants/cloud-init.target"] = "/lib/systemd/system/cloud-init.target"
    systemd.write_files("debian-12", folder, links)
    (folder / "etc/fstab").write_text(f"PARTUUID={partuuid} / ext4 defaults,noatime 0 1\n", encoding="utf-8")
    hook.install(folder / "usr/lib/pileus/await-identity")
    hook.compiled("first-login", folder / "usr/lib/pileus/first-login")
    # What first-login compares with: an administrator's own interfaces are ifupdown's from the start.
    shutil.copyfile(folder / "etc/network/interfaces", folder / "usr/lib/pileus/interfaces")
    loader = folder / "boot/extlinux"
    loader.mkdir(parents=True)
    # The links in the root directory follow the newest kernel when the guest upgrades it. An emulated machine may stand
    # still while the kernel counts its timer's ticks: without no_timer_check it then panics.
    (loader / "extlinux.conf").write_text(
        "DEFAULT debian\nPROMPT 0\nTIMEOUT 0\nLABEL debian\n KERNEL /vmlinuz\n INITRD /initrd.img\n"
        f" APPEND root=PARTUUID={partuuid} ro console=tty0 console=ttyS0,115200 quiet net.ifnames=0 no_timer_check\n",
        encoding="utf-8",
    )


def _add_user(tree: Path) -> None:
    user = RECIPE.login_user
    systemd.add_user(tree, user, _GROUPS)
    keys = ["-o", user, "-g", user, "/dev/null", f"/home/{user}/.ssh/authorized_keys"]
    execute(["chroot", tree, "install", "-m", "600", *keys])
