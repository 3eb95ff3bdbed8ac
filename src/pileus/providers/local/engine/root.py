"""Where Open vSwitch, OVN and lxcfs come from: a Debian 13 root; the host's own are left alone.

Older releases than 3.5 and 25.03 abort in the user-space datapath's connection tracking and lose TCP of guests with
default offloads. `python -m pileus.providers.local.engine.root` builds the root where it is missing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from pileus.providers.local.images.archive import debian_root, execute, work_folder
from pileus.providers.local.images.recipe import ImageBuildError
from pileus.providers.local.layout import SHARED

ROOT = SHARED / "engine-2"
"""The root file system that holds Open vSwitch, OVN and lxcfs; clouds of earlier versions have theirs beside it."""

LEAST = {"ovs-vswitchd": (3, 5), "ovn-controller": (25, 3)}
"""The oldest releases that serve, by the daemon that tells its own."""

_SUITE = "trixie"
_PACKAGES = ("openvswitch-switch", "ovn-central", "ovn-host", "lxcfs")
_STAMP = "etc/pileus-engine"
# Raise it when the contents of the root are to change; bin/setup then builds it anew.
_EDITION = f"{_SUITE} 2"
_PLACES = ("usr/sbin", "usr/bin")


def parse_version(text: str) -> tuple[int, ...]:
    """Return the release that `ovs-vswitchd --version` or `ovn-controller --version` tells; () if none.

    >>> parse_version("ovs-vswitchd (Open vSwitch) 3.5.0")
    (3, 5, 0)
    """
    match = re.search(r"(?:^|\s)(\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def is_built(root: Path = ROOT) -> bool:
    """Say whether `root` holds the engine of this edition."""
    stamp = root / _STAMP
    return stamp.is_file() and stamp.read_text(encoding="utf-8").startswith(f"{_EDITION}\n")


def installed(root: Path = ROOT) -> dict[str, str]:
    """Return the versions that the daemons of `root` reported at its build, by name in `LEAST`; {} where none is."""
    try:
        versions = (root / _STAMP).read_text(encoding="utf-8").splitlines()[1:]
    except OSError:
        return {}
    return dict(zip(LEAST, versions, strict=False))


def build(progress: Callable[[str], None], root: Path = ROOT) -> None:
    """Build the engine root at `root`; it appears whole, and replaces an older one. Needs root.

    Daemons that run in an older root run on. Raises `ImageBuildError`.
    """
    with work_folder(root.parent, root.name) as work:
        fresh = work / "root"
        progress(f"installing {', '.join(_PACKAGES)} from Debian's {_SUITE}")
        debian_root(_SUITE, fresh, _PACKAGES)
        versions = [_told(fresh, name) for name in LEAST]
        (fresh / _STAMP).write_text("\n".join([_EDITION, *versions]) + "\n", encoding="utf-8")
        if root.exists():
            root.rename(work / "old")
        fresh.rename(root)


def _told(root: Path, name: str) -> str:
    place = next(place for place in _PLACES if (root / place / name).is_symlink() or (root / place / name).exists())
    version_line = execute(["chroot", root, f"/{place}/{name}", "--version"]).splitlines()[0]
    if parse_version(version_line) < LEAST[name]:
        message = f"Debian's {_SUITE} has {version_line}, which is too old"
        raise ImageBuildError(message)
    return version_line


def main() -> None:
    """Build the root if it is missing; say in the last line how it stands."""
    if is_built():
        _say("in place")
        return
    try:
        build(_say)
    except ImageBuildError as error:
        sys.exit(f"network engine: {error}")
    _say("built")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
