"""A server that a test starts for itself: in a folder of its own, as a user without rights, ended with the test."""

from __future__ import annotations

import errno
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATIENCE = 60.0
"""Seconds for a server to answer, or to end."""


_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CHOICE = 12_000
_given: set[int] = set()


def free_port(address: str = "127.0.0.1") -> int:
    """A port of `address` that nobody listens at now, and that this process was not given before.

    It is below those that the kernel hands to clients. One of these could be a client's, of whatever program, by the
    time the server takes it, or takes it again after it was killed; and a client that asks for its dead server again
    and again can come to be connected to itself.
    """
    end = int(_RANGE.read_text().split()[0])
    while True:
        # Not by the seed of the tests: what runs beside these has the same one.
        port = end - 1 - secrets.randbelow(min(_CHOICE, end - 1024))
        if port in _given:
            continue
        with socket.socket() as listener:
            try:
                listener.bind((address, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
        _given.add(port)
        return port


class Process:
    """One server's folder and process. `user` runs it when the test is root's: some servers refuse root."""

    def __init__(self, name: str, user: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"pileus-{name}-"))
        self.port = free_port()
        self.log = self.folder / "log"
        self._user = user
        self._child: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            account = pwd.getpwnam(user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)

    def command(self, *words: str | Path) -> list[str]:
        """The command as the server's user runs it."""
        words = tuple(map(str, words))
        if os.geteuid():
            return [*map(str, words)]
        return ["setpriv", f"--reuid={self._user}", f"--regid={self._user}", "--init-groups", "--", *map(str, words)]

    def run(self, *words: str | Path) -> None:
        """Run a command of the server's to its end; what it says goes into the log. Raises CalledProcessError."""
        with self.log.open("ab") as log:
            done = subprocess.run(
                self.command(*words), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            )
        assert done.returncode == 0, self.log.read_text(errors="replace")

    def own(self, folder: Path) -> None:
        """Give everything in `folder` to the server's user."""
        if os.geteuid() == 0:
            account = pwd.getpwnam(self._user)
            for path in (folder, *folder.rglob("*")):
                os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)

    def spawn(self, words: Sequence[str | Path], answers: Callable[[], bool]) -> None:
        """Start the server, and wait until it answers."""
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command(*words),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # who ends a run by Ctrl-C leaves it to the run to end this
            )
        end = time.monotonic() + PATIENCE
        while not answers():
            assert self._child.poll() is None, self.log.read_text(errors="replace")
            assert time.monotonic() < end, self.log.read_text(errors="replace")
            time.sleep(0.05)

    def tell(self, number: signal.Signals) -> None:
        """Signal the server; nothing when it does not run."""
        if self._child is not None:
            self._child.send_signal(number)

    @property
    def runs(self) -> bool:
        """Whether it was started, and not ended since."""
        return self._child is not None and self._child.poll() is None

    def end(self, number: signal.Signals) -> None:
        """Signal the server, and wait for its end; nothing when it does not run."""
        if self._child is not None:
            self._child.send_signal(number)
            self._child.wait(PATIENCE)
            self._child = None

    def remove(self) -> None:
        """End it at once, and remove its folder."""
        self.end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
