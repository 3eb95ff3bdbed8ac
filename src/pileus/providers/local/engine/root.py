"""The network engine's root: Open vSwitch and OVN from Debian 13, for hosts whose own packages are older.

Open vSwitch 3.1 of Debian 12 is not fit for the user-space datapath; 3.5 is. The daemons run chrooted; nothing is
installed on the host itself.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from typing import TYPE_CHECKING

from pileus.providers.local.images.archive import debian_root
from pileus.providers.local.layout import SHARED

if TYPE_CHECKING:
    from pathlib import Path

ROOT = SHARED / "engine"
SUITE = "trixie"
PACKAGES = ("openvswitch-switch", "ovn-central", "ovn-host")
MARK = "etc/pileus-engine"
VERSION = f"1 {SUITE} {' '.join(PACKAGES)}\n"
"""What a root holds that was made by this code; another text means that it is made anew."""


def current(root: Path = ROOT) -> bool:
    """Whether `root` is there and is what this code would make."""
    mark = root / MARK
    return mark.is_file() and mark.read_text() == VERSION


def make(root: Path = ROOT) -> None:
    """Make `root` whole or not at all; needs root and the machine's Debian mirror. Raises ImageBuildError."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".engine-", dir=root.parent) as folder:
        # Daemons that run from an older root keep it until they end.
        fresh, old = root.parent / folder / "new", root.parent / folder / "old"
        debian_root(SUITE, fresh, PACKAGES)
        (fresh / MARK).write_text(VERSION)
        (fresh / "srv").mkdir(exist_ok=True)
        if root.exists():
            root.rename(old)
        fresh.rename(root)
        shutil.rmtree(old, ignore_errors=True)


def main() -> int:
    """For bin/setup: make the root unless it is current."""
    if not current():
        make()
    return 0


if __name__ == "__main__":
    sys.exit(main())
