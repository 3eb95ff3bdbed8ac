"""Images of containers: a tree of files becomes a compressed tar archive, the same bytes for the same files."""

from __future__ import annotations

import stat
from pathlib import Path

from pileus.providers.local.images.archive import execute

_FORMAT = (
    *("--sort=name", "--numeric-owner", "--format=posix", "--xattrs", "--xattrs-include=security.capability"),
    # Times to the second, and no name of the process that made it.
    *("--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime,delete=mtime", "--clamp-mtime"),
)


def newest(tree: Path) -> int:
    """When the newest file of any package in `tree` was changed, in seconds since 1970: newer ones were made here."""
    mtime = 0
    for listed in (tree / "var/lib/dpkg/info").glob("*.list"):
        for name in listed.read_text(encoding="utf-8").splitlines():
            path = tree / name.lstrip("/")
            mtime = max(mtime, _changed(path))
    return mtime


def _changed(path: Path) -> int:
    try:
        about = path.lstat()
    except OSError:
        return 0
    return int(about.st_mtime) if stat.S_ISREG(about.st_mode) else 0


def make_tar(tree: Path, archive: Path, before: int) -> None:
    """Pack the files under `tree` into `archive` (tar, zstd), with no time later than `before`.

    Owners, modes and file capabilities are kept, so this needs root. Raises `ImageBuildError`.
    """
    for name in ("dev", "proc", "sys", "run", "tmp"):
        execute(["find", tree / name, "-mindepth", "1", "-delete"])
    # It tells files by their inodes, which are never the same again.
    (tree / "var/cache/ldconfig/aux-cache").unlink(missing_ok=True)
    tree.chmod(0o755)
    execute(
        [
            "tar",
            "-C",
            tree,
            *_FORMAT,
            f"--mtime=@{before}",
            "--use-compress-program=zstd -q -9 -T1",
            "-cf",
            archive,
            ".",
        ],
        env={"TZ": "UTC"},
    )
