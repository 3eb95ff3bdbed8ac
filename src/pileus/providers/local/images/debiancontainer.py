"""The image `debian-12-container`: Debian with systemd and OpenSSH for containers, without a kernel and its devices."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from pileus.providers.local.images.archive import debian_root, execute
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
"""Those of cloud-init's default user on Debian, which are in a container."""

_IDENTITY = (
    *("etc/ssh/ssh_host_*", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed", "root/.bash_history"),
    *("var/log/*.log", "var/log/apt/*", "var/cache/apt/*.bin", "var/cache/ldconfig/*", "etc/*-", "var/lib/dpkg/*-old"),
)
"""What must not be the same in two containers, and traces of the build, by glob."""


def make(work: Path, archive: Path, progress: Callable[[str], None]) -> None:
    """Make the archive in the empty directory `work`; needs root. Raises `ImageBuildError`."""
    tree, ours = work / "tree", work / "files"
    _write_files(ours)
    progress("installing packages (takes about half a minute)")
    copied = f"--extract-hook=cp -a {shlex.quote(str(ours))}/. $1"
    debian_root("bookworm", tree, _PACKAGES, options=[copied])
    _add_user(tree)
    progress("removing what is not to be shared")
    _clean(tree)
    progress("packing the files")
    made = newest(tree)
    _mark_updated(tree, made)
    make_tar(tree, archive, made)


def _write_files(folder: Path) -> None:
    with resources.as_file(resources.files(__package__).joinpath("files", "debian-12-container")) as source:
        shutil.copytree(source, folder)
    for path in folder.rglob("*"):
        runs = path.is_dir() or path.read_bytes().startswith(b"#!")
        path.chmod(0o755 if runs else 0o644)
    generators = folder / "etc/systemd/system-generators"
    generators.mkdir(mode=0o755)
    for name in _NO_GENERATORS:
        (generators / name).symlink_to("/dev/null")


def _add_user(tree: Path) -> None:
    """Make the login user as cloud-init would; without a password, and nobody's keys."""
    user = RECIPE.login_user
    execute(["chroot", tree, "useradd", "-m", "-c", "Debian", "-s", "/bin/bash", "-G", _GROUPS, user])
    execute(["chroot", tree, "install", "-d", "-m", "700", "-o", user, "-g", user, f"/home/{user}/.ssh"])
    sudo = tree / "etc/sudoers.d/90-cloud-init-users"
    sudo.write_text(f"{user} ALL=(ALL) NOPASSWD:ALL\n", encoding="utf-8")
    sudo.chmod(0o440)
    # The day it was made on, which two builds need not share.
    execute(["chroot", tree, "chage", "-d", "19000", user])
    (tree / "var/lib/pileus").mkdir(mode=0o755)


def _clean(tree: Path) -> None:
    execute(["systemctl", f"--root={tree}", "mask", *_MASKED])
    execute(["systemctl", f"--root={tree}", "enable", *_ENABLED])
    for pattern in _IDENTITY:
        for path in tree.glob(pattern):
            path.unlink()
    # Without this folder, a login runs no programs for a message of the day that tells the kernel's version.
    shutil.rmtree(tree / "etc/update-motd.d", ignore_errors=True)
    # An empty file gets a new id at the first start; without one, systemd would also apply all its presets anew.
    (tree / "etc/machine-id").write_bytes(b"")
    (tree / "etc/resolv.conf").unlink(missing_ok=True)
    (tree / "etc/resolv.conf").write_bytes(b"")
    (tree / "etc/resolv.conf").chmod(0o644)
    (tree / "etc/hostname").write_text("debian\n", encoding="utf-8")
    (tree / "etc/fstab").write_bytes(b"")


def _mark_updated(tree: Path, made: int) -> None:
    """As after a first start, so that none repeats what installing the packages has done."""
    os.utime(tree / "usr", (made, made))
    for name in ("etc/.updated", "var/.updated"):
        (tree / name).touch()
        os.utime(tree / name, (made, made))
