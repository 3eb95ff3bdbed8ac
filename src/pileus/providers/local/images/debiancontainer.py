"""The image `debian-12-container`: Debian with systemd and OpenSSH for containers, without a kernel and its devices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pileus.providers.local.images import systemd
from pileus.providers.local.images.archive import execute
from pileus.providers.local.images.recipe import ImageRecipe
from pileus.providers.local.images.tar import make_tar, newest

RECIPE = ImageRecipe(
    name="debian-12-container",
    login_user="admin",
    min_memory_mib=64,
    min_disk_gib=1,
    description="Debian 12 (bookworm) for containers, with systemd, OpenSSH and cloud-init",
    format="tar",
)

_PACKAGES = (
    *("systemd-sysv", "dbus", "openssh-server", "sudo", "cloud-init", "iproute2", "iputils-ping", "netbase"),
    *("ca-certificates", "curl", "less", "procps", "vim-tiny"),
)

_MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
    *("e2scrub_reap.service", "systemd-pstore.service", "systemd-update-utmp.service", "console-getty.service"),
    *(
        "systemd-update-utmp-runlevel.service",
        "getty@tty1.service",
        "systemd-remount-fs.service",
        "systemd-modules-load.service",
        "systemd-sysctl.service",
    ),
    *("systemd-networkd-wait-online.service", "systemd-network-generator.service", "systemd-random-seed.service"),
    *("systemd-repart.service", "systemd-binfmt.service", "systemd-machine-id-commit.service"),
    *("modprobe@configfs.service", "modprobe@dm_mod.service", "modprobe@drm.service", "modprobe@efi_pstore.service"),
    *("modprobe@fuse.service", "modprobe@loop.service", "kmod-static-nodes.service"),
    *("dev-hugepages.mount", "dev-mqueue.mount", "proc-sys-fs-binfmt_misc.automount", "sys-fs-fuse-connections.mount"),
    *("sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
    # pileus-metadata.service runs cloud-init where it is asked for.
    *("cloud-init-local.service", "cloud-init.service", "cloud-config.service", "cloud-final.service"),
    *("cloud-init-hotplugd.socket", "cloud-init.target"),
)
"""Units for what belongs to the machine that the container runs on, and what wakes an idle one."""

_ENABLED = (
    *("systemd-networkd.service", "pileus-identity.service", "pileus-metadata.service", "pileus-resolver.path"),
    *("pileus-resolver.service", "ssh.service"),
)

_NO_GENERATORS = (
    *("cloud-init-generator", "systemd-cryptsetup-generator", "systemd-debug-generator", "systemd-fstab-generator"),
    *("systemd-getty-generator", "systemd-gpt-auto-generator", "systemd-hibernate-resume-generator"),
    *("systemd-integritysetup-generator", "systemd-rc-local-generator", "systemd-run-generator"),
    *("systemd-system-update-generator", "systemd-sysv-generator", "systemd-veritysetup-generator"),
)
"""Programs that look at every start for what no container has."""

_GROUPS = "adm,audio,cdrom,dialout,dip,floppy,plugdev,sudo,video"
"""The groups of cloud-init's default user on Debian that exist in a container."""

_TRACES = ("var/cache/apt/*.bin", "var/cache/ldconfig/*", "etc/*-", "var/lib/dpkg/*-old")
"""Of the build, in an archive that is the same each time it is made."""


def make(work: Path, archive: Path, progress: Callable[[str], None]) -> None:
    """Make the archive in the empty directory `work`; needs root. Raises `ImageBuildError`."""
    tree, ours = work / "tree", work / "files"
    generators = {f"system-generators/{name}": systemd.MASK for name in _NO_GENERATORS}
    systemd.write_files("debian-12-container", ours, generators)
    progress("installing packages (takes about half a minute)")
    systemd.install(tree, _PACKAGES, ours)
    _add_user(tree)
    progress("removing what is not to be shared")
    systemd.clean(tree, masked=_MASKED, enabled=_ENABLED, traces=_TRACES)
    (tree / "etc/fstab").write_bytes(b"")
    progress("packing the files")
    mtime = newest(tree)
    systemd.mark_updated(tree, mtime * 10**9)
    make_tar(tree, archive, mtime)


def _add_user(tree: Path) -> None:
    user = RECIPE.login_user
    systemd.add_user(tree, user, _GROUPS)
    sudo = tree / "etc/sudoers.d/90-cloud-init-users"
    sudo.write_text(f"{user} ALL=(ALL) NOPASSWD:ALL\n", encoding="utf-8")
    sudo.chmod(0o440)
    # The day it was made on, which two builds need not share.
    execute(["chroot", tree, "chage", "-d", "19000", user])
