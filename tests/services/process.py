"""A server that a test starts for itself: in a folder of its own, as a user without rights, ended with the test."""

from __future__ import annotations

import os
import pwd
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


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
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
