"""Commands in a guest over ssh, kept open: by the host process's loopback listener, and by the switch alone."""

from __future__ import annotations

import itertools
import queue
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.live.cloud import SSH, until

if TYPE_CHECKING:
    from tests.live.cloud import LiveCloud

_ANSWER = 60.0
COUNT = "n=0; while echo $n; do n=$((n+1)); sleep 0.2; done"
"""What makes a guest count aloud."""


def routes(cloud: LiveCloud, ident: str, key: Path) -> dict[str, list[str]]:
    """The ssh commands for the two ways: `loopback`, and `switch` from the network's own namespace."""
    found = cloud.instance(ident)
    names = (path.name for path in Path("/run/netns").iterdir())
    (namespace,) = [name for name in names if name.startswith(f"{cloud.layout.netns}-")]
    # Nothing but TCP itself may give a session up.
    quiet = [*SSH, "-T", "-o", "ServerAliveInterval=0", "-i", str(key)]
    return {
        "loopback": [*quiet, f"root@{found['PublicIpAddress']}"],
        "switch": ["ip", "netns", "exec", namespace, *quiet, f"root@{found['PrivateIpAddress']}"],
    }


class Session:
    """A command in the guest that prints lines; each is kept with the time (monotonic seconds) at which it came."""

    def __init__(self, words: list[str], command: str) -> None:
        self._process = subprocess.Popen(
            [*words, command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.heard: list[tuple[float, str]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.heard.append((time.monotonic(), line.strip()))
            self._lines.put(line.strip())
        self._lines.put("")

    def write(self, line: str) -> None:
        """Send a line to the command; lost when the session is over."""
        assert self._process.stdin
        try:
            self._process.stdin.write(f"{line}\n")
        except BrokenPipeError:
            return

    def read(self, seconds: float = _ANSWER) -> str:
        """The next line; empty when the session is over or nothing comes."""
        try:
            return self._lines.get(timeout=seconds)
        except queue.Empty:
            return ""

    @property
    def open(self) -> bool:
        """Whether ssh still runs."""
        return self._process.poll() is None

    def end(self) -> None:
        """Close it."""
        self._process.kill()
        self._process.communicate()


class Shell(Session):
    """A shell that answers one command after the other."""

    def __init__(self, words: list[str]) -> None:
        super().__init__(words, "sh")

    def ask(self, command: str) -> str:
        """The first line that a command prints; empty when the session is over."""
        self.write(command)
        return self.read()

    def say(self, word: str) -> str:
        """What the guest's shell answers to `echo`; empty when the session is over."""
        return self.ask(f"echo {word}")


class Counter(Session):
    """A guest that counts aloud, five numbers a second."""

    def __init__(self, words: list[str], command: str = "") -> None:
        super().__init__(words, command or COUNT)

    def goes_on(self, since: float) -> bool:
        """Whether a number came after `since`."""
        return self.open and bool(self.heard) and self.heard[-1][0] > since

    def silence(self, since: float) -> float:
        """The longest time in seconds, from `since` to now, in which no number came."""
        times = [when for when, _ in self.heard[-5000:] if when >= since]
        marks = [since, *times, time.monotonic()]
        return max(later - earlier for earlier, later in itertools.pairwise(marks))

    def whole(self) -> bool:
        """Whether no number was lost, doubled or changed on the way."""
        return [number for _, number in self.heard] == [str(n) for n in range(len(self.heard))]


def talking(words: list[str]) -> Shell:
    """A shell over a session that is made as soon as the guest can be reached."""

    def begin() -> Shell | None:
        shell = Shell(words)
        if shell.say("hello") == "hello":
            return shell
        shell.end()
        return None

    found: Shell = until("a session that answers", begin)
    return found


def counting(words: list[str], command: str = "") -> Counter:
    """A counter, by `command` if the guest is to ask another one, over a session that is made as soon as it can be."""

    def begin() -> Counter | None:
        counter = Counter(words, command)
        if counter.read() == "0":
            return counter
        counter.end()
        return None

    found: Counter = until("a session that counts", begin)
    return found
