"""The user of a guest's QEMU: one of its own, so that an escape from a guest owns nothing but that guest.

No account has these numbers, and no file but the instance's own disks belongs to one. Files that all QEMUs share, and
may only read, belong to their group.
"""

from __future__ import annotations

import contextlib
import grp
import os
from pathlib import Path
from typing import Any

GROUP = "libvirt-qemu"
"""The group of every QEMU, as Debian's packages name it."""

GROUP_ID = 64055
"""Its number where no package made it: the one that Debian keeps for it."""

_FIRST, _BITS = 0x70000000, 27
"""Beyond what user namespaces and systemd hand out (systemd's "Users, Groups, UIDs and GIDs")."""

_READER = _FIRST + (1 << _BITS)
"""The user who looks into images: no guest's."""


def user(instance: str) -> int:
    """The user id of the QEMU of the instance with this uuid. Two may share one by chance: these are less apart."""
    return _FIRST + (int(instance[:8], 16) & ((1 << _BITS) - 1))


def group() -> int:
    """The group id of all QEMUs."""
    with contextlib.suppress(KeyError):
        return grp.getgrnam(GROUP).gr_gid
    return GROUP_ID


def nobody() -> dict[str, Any]:
    """Return subprocess.run's options for a program as nobody's user, who reads what all QEMUs may; {} without root."""
    return {"user": _READER, "group": group(), "extra_groups": []} if os.geteuid() == 0 else {}


def give(path: Path, uid: int, gid: int, mode: int) -> None:
    """Have `path` belong so, and be as open as `mode` says; only root gives anything away. Raises OSError."""
    path_stat = path.stat(follow_symlinks=False)
    if os.geteuid() == 0 and (path_stat.st_uid, path_stat.st_gid) != (uid, gid):
        os.chown(path, uid, gid, follow_symlinks=False)
    if path_stat.st_mode & 0o7777 != mode:
        path.chmod(mode)
