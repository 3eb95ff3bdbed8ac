"""User namespaces that say how a project's range of users maps: what an idmapped mount is made with."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

from pileus.providers.local.container.ranges import SIZE

_READY = b"."


class Maps:
    """A descriptor of one user namespace for each range, kept: its making costs a process."""

    def __init__(self) -> None:
        self._made: dict[int, int] = {}
        self._lock = threading.Lock()

    def namespace(self, base: int) -> int:
        """The namespace in which users 0 to SIZE are the machine's from `base` on. Raises OSError."""
        with self._lock:
            if base not in self._made:
                self._made[base] = _make(base)
            return self._made[base]

    def close(self) -> None:
        """Let go of them; mounts made with them stay."""
        with self._lock:
            for descriptor in self._made.values():
                os.close(descriptor)
            self._made.clear()


def _make(base: int) -> int:
    # A namespace has to be entered to be made, which no thread of this process may do; it lives on without its maker.
    maker = ["unshare", "--user", "sh", "-c", "printf .; read -r _"]
    with subprocess.Popen(maker, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as inside:
        if inside.stdin is None or inside.stdout is None or inside.stdout.read(1) != _READY:
            raise OSError("no user namespace can be made")
        own = Path(f"/proc/{inside.pid}")
        for name in ("uid_map", "gid_map"):
            (own / name).write_text(f"0 {base} {SIZE}\n")
        return os.open(own / "ns" / "user", os.O_RDONLY | os.O_CLOEXEC)
