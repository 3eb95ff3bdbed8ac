"""Programs of LXC that join a container which runs: a command within it, or its console.

They start in the namespaces of the container's monitor. There LXC's socket is, and LXC's folder is nobody else's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import struct
import termios
import tty
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pileus.model.errors import Fault
from pileus.model.execution import Window
from pileus.posix import processes
from pileus.providers.local.container import kernel
from pileus.providers.local.container.disk import STAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pileus.model.execution import Command
    from pileus.providers.local.container.monitor import Monitor

_NO_ESCAPE = "^_"
"""The value of lxc-console's --escape that lets every key through (src/lxc/tools/lxc_console.c, etoc: -1)."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Attached:
    """A process that joined a container, and the descriptors of its streams in this process; -1 for none.

    With a `terminal` this descriptor is its input and output, and `errors` is -1.
    """

    pid: int
    input: int
    output: int
    errors: int = -1
    terminal: bool = False

    def resize(self, window: Window) -> None:
        """Give the terminal another size; without a terminal nothing happens."""
        if self.terminal:
            fcntl.ioctl(self.output, termios.TIOCSWINSZ, struct.pack("HHHH", *window, 0, 0))

    def close_input(self) -> None:
        """Tell the command that no input follows: by ^D where there is a terminal. Safe to repeat."""
        if self.input < 0:
            return
        if self.terminal:
            with contextlib.suppress(OSError):
                os.write(self.input, b"\x04")
        else:
            os.close(self.input)
        self.input = -1

    def close(self) -> None:
        """Close the descriptors; a terminal's processes get SIGHUP."""
        for descriptor in {self.input, self.output, self.errors} - {-1}:
            os.close(descriptor)
        self.input = self.output = self.errors = -1

    def send(self, number: int) -> None:
        """Send a signal to the process within the container, which is the child of the one that joined."""
        for child in _children(self.pid):
            processes.send(child, number)


def run(monitor: Monitor, folder: Path, name: str, command: Command) -> Attached:
    """Start a command within a container, as the container's root. Raises Fault, OSError."""
    words = [_program("lxc-attach"), f"--lxcpath={STAGE}", f"--rcfile={folder / 'config'}", f"--name={name}"]
    # Quiet: the client knows the command's name, and says better what a status of 126 or 127 means.
    words += ["--quiet", "--clear-env", f"--set-var=PATH={_PATH}", "--set-var=HOME=/root", "--set-var=USER=root"]
    if command.terminal:
        words += [f"--set-var=TERM={command.terminal}", "--", *command.words]
        return _with_terminal(monitor, words, Window(command.rows, command.columns))
    return _with_pipes(monitor, [*words, "--", *command.words])


def console(monitor: Monitor, name: str) -> Attached:
    """Join the console of a container. Raises Fault, OSError."""
    words = [_program("lxc-console"), f"--lxcpath={STAGE}", f"--name={name}", "--tty=0", f"--escape={_NO_ESCAPE}"]
    return _with_terminal(monitor, words, Window())


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Fault("Unsupported", f"{name} is not installed on this host; bin/setup does it.")
    return path


def _with_terminal(monitor: Monitor, words: list[str], window: Window) -> Attached:
    ours, theirs = os.openpty()
    try:
        # The terminal within the container has the line discipline: this one passes every byte on.
        tty.setraw(theirs)
        attached = Attached(-1, ours, ours, terminal=True)
        attached.resize(window)
        # A session's leader gets the first terminal that it opens as its own, and LXC writes to its own terminal.
        opened = (os.POSIX_SPAWN_OPEN, 0, os.ttyname(theirs), os.O_RDWR, 0)
        attached.pid = _spawn(monitor, words, [opened, *_duplicates((0, 1), (0, 2))])
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return attached


def _with_pipes(monitor: Monitor, words: list[str]) -> Attached:
    pipes = [os.pipe() for _ in range(3)]
    (input_read, input_write), (output_read, output_write), (errors_read, errors_write) = pipes
    try:
        files = _duplicates((input_read, 0), (output_write, 1), (errors_write, 2))
        pid = _spawn(monitor, words, files)
    except BaseException:
        for descriptor in (input_write, output_read, errors_read):
            os.close(descriptor)
        raise
    finally:
        for descriptor in (input_read, output_write, errors_write):
            os.close(descriptor)
    return Attached(pid, input_write, output_read, errors_read)


def _duplicates(*pairs: tuple[int, int]) -> list[tuple[int, ...]]:
    return [(os.POSIX_SPAWN_DUP2, *pair) for pair in pairs]


def _spawn(monitor: Monitor, words: list[str], files: Sequence[tuple[object, ...]]) -> int:
    number = monitor.pid()
    if number is None or monitor.init() is None:
        raise Fault("GuestStopped", "The container does not run.")
    namespaces = Path(f"/proc/{number}/ns")

    def spawn() -> int:
        kernel.enter_network(namespaces / "net")
        kernel.enter_mounts(namespaces / "mnt")
        return os.posix_spawn(
            words[0],
            words,
            {"PATH": _PATH, "LC_ALL": "C.UTF-8"},
            file_actions=files,
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
        )

    return kernel.apart(spawn)


def _children(pid: int) -> list[int]:
    """The processes whose parent is `pid` (proc(5), stat: the fourth field, behind the name in parentheses)."""
    children = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid:
                    children.append(int(folder.name))
    return children
