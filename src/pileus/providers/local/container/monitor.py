"""A running container from outside: its monitor (LXC's process on this machine) and its first process.

Nothing is asked of LXC, which would take ten milliseconds and more: a lock that the monitor's parent holds says that
there is one, a hook says which the first process is, and a file when it began and how it ended.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shlex
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pileus.model.errors import Fault
from pileus.model.provider import Cause
from pileus.model.threads import Thread
from pileus.posix import processes
from pileus.posix.locks import is_locked, take
from pileus.providers.local.container import kernel
from pileus.providers.local.guestnet.namespaces import NETNS

_NEEDED = (Path("/proc/self/ns/user"), Path("/proc/self/ns/cgroup"), Path("/dev/loop-control"), Path("/sys/fs/cgroup"))
_SCRIPT, _HOOK = Path(__file__).with_name("run.sh"), Path(__file__).with_name("hook.sh")
_START = 30.0
_POLL = 0.005
_ENDED = re.compile(r"ended (?P<status>\d+)(?: by signal (?P<signal>\d+))?")
"""The last line of a life file whose container has ended; see run.sh."""

_BY_ITSELF = (0, 128 + signal.SIGINT)
"""Exit statuses of LXC for a container that nobody ended from outside, where its log names no signal."""

_LONGEST = 64 * 1024
_KEPT = ("/", "/proc", "/sys", "/dev", "/usr", "/etc", "/lib", "/lib64", "/run/lxc", "/bin", "/sbin")
_ERROR = re.compile(r" ERROR +\S+ - \S+? - (.*)$", re.MULTILINE)
_SYSTEMD = signal.SIGRTMIN + 3
_LOCK = 9


def available() -> bool:
    """Whether this machine can run containers: LXC is installed, and the kernel has what it needs."""
    return shutil.which("lxc-start") is not None and all(path.exists() for path in _NEEDED)


class Monitor:
    """The monitor of the container whose folder is `folder`, called `name` by LXC."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._init, self._alive, self._life = folder / "init", folder / "alive", folder / "life"

    @property
    def hook(self) -> str:
        """The value of `lxc.hook.start-host` in LXC's configuration."""
        return shlex.join(["/bin/sh", str(_HOOK), str(self._folder)])

    # -- what is -------------------------------------------------------------------------------------------------

    def running(self) -> bool:
        """Whether the container is there, from its start on until its end is written down."""
        return is_locked(self._alive) or self.init() is not None

    def pid(self) -> int | None:
        """The process to wait for the end of; None where there is none."""
        if not is_locked(self._alive):
            return None
        with contextlib.suppress(OSError, ValueError):
            return int(self._alive.read_text())
        return None

    def init(self) -> int | None:
        """The container's first process, by its number on this machine; None while there is none."""
        try:
            number = int(self._init.read_text())
            status = _status(number)
            parent = Path(f"/proc/{status['PPid']}/cmdline").read_bytes()
        except (OSError, ValueError, KeyError):
            return None
        # Numbers are used again: it is the child of a process that names this container.
        ours = os.fsencode(self._folder) in parent and status["NSpid"].split()[-1] == "1"
        return number if ours and not status["State"].startswith("Z") else None

    def cause(self) -> Cause:
        """Return the cause of the container's end; empty if it never ran, "other" also for an unrecorded end."""
        try:
            lines = self._life.read_text().splitlines()
        except FileNotFoundError:
            return ""
        end = _ENDED.fullmatch(lines[-1]) if lines else None
        if end is None:
            return "other"
        # The kernel ends the first process by SIGINT when the container asks for its shutdown (reboot(2)).
        by_itself = int(end["signal"]) == signal.SIGINT if end["signal"] else int(end["status"]) in _BY_ITSELF
        return "guest" if by_itself else "other"

    def ran(self) -> bool:
        """Whether it was ever started."""
        return self._life.exists()

    # -- what is done --------------------------------------------------------------------------------------------

    def start(self, network: str, stage: Callable[[], None], keep: Iterable[Path], at: Path) -> int:
        """Start it with what `stage` mounts, in the network namespace `network`; the process to wait for.

        `stage` is called in the container's own mount namespace, where of the machine's own mounts only those that
        `keep` lies on, or that lie below it, are left; `at` is a folder there that everybody may pass. Returns when
        the first process is there. Raises Fault, OSError.
        """
        self._init.unlink(missing_ok=True)
        if self._life.exists() and self._life.stat().st_size > _LONGEST:
            self._life.unlink()
        descriptor = take(self._alive)
        try:
            arguments = ["/bin/sh", str(_SCRIPT), str(self._folder), self._name, str(at)]
            number = kernel.apart(lambda: self._spawn(arguments, descriptor, network, stage, list(keep)))
            with self._alive.open("r+") as file:
                file.write(f"{number}\n")
        finally:
            os.close(descriptor)
        until = time.monotonic() + _START
        while not self._init.exists():
            if processes.ended(number):
                raise Fault("ContainerFailed", f"LXC does not start it: {self._said()}")
            if time.monotonic() > until:
                raise Fault("ContainerFailed", f"LXC has not started it in {_START:.0f} s: {self._said()}")
            time.sleep(_POLL)
        return number

    def _spawn(self, arguments: list[str], lock: int, network: str, stage: Callable[[], None], keep: list[Path]) -> int:
        kernel.enter_network(NETNS / network)
        kernel.leave_mounts()
        drop_mounts(keep)
        stage()
        (self._folder / "lxc.log").unlink(missing_ok=True)
        output = str(self._folder / "lxc.out")
        return os.posix_spawn(
            arguments[0],
            arguments,
            {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, lock, _LOCK),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM],
        )

    def _said(self) -> str:
        try:
            text = (self._folder / "lxc.log").read_text(errors="replace")
        except OSError as error:
            return f"it wrote no log ({error})"
        return " | ".join(_ERROR.findall(text)[:3])[:600] or text[-600:]

    def ask(self) -> None:
        """Have the container shut itself down, by the signal that its first process takes for that."""
        number = self.init()
        if number is not None:
            processes.send(number, _shutdown_signal(number))

    def cut(self) -> None:
        """End every process of the container; the monitor sees it, and tidies up."""
        number = self.init()
        if number is not None:
            processes.send(number, signal.SIGKILL)

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within `seconds`."""
        until = time.monotonic() + seconds
        while self.running():
            if time.monotonic() > until:
                return False
            time.sleep(_POLL)
        return True


class ExitWatcher:
    """Calls back when a container's monitor has ended, by its instance's uuid; reaps those that are our children."""

    def __init__(self) -> None:
        self._tell: Callable[[str], None] | None = None
        self._news = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[str, int]] = {}
        self._thread: Thread | None = None
        self._stopped = threading.Event()

    def add(self, uuid: str, number: int) -> None:
        """Watch the process `number` for the instance `uuid`."""
        try:
            descriptor = os.pidfd_open(number)
        except ProcessLookupError:
            return
        with self._lock:
            self._waiting[descriptor] = (uuid, number)
            if self._thread is None:
                self._thread = Thread("containers", self._run, self._stopped)
                self._thread.start()
        os.eventfd_write(self._news, 1)

    def tell(self, report: Callable[[str], None]) -> None:
        """From now on call `report`."""
        self._tell = report

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        os.eventfd_write(self._news, 1)
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._news, select.POLLIN)
        while not self._stopped.is_set():
            with self._lock:
                for descriptor in self._waiting:
                    poll.register(descriptor, select.POLLIN)
            for descriptor, _ in poll.poll():
                if descriptor == self._news:
                    with contextlib.suppress(BlockingIOError):
                        os.eventfd_read(self._news)
                    continue
                poll.unregister(descriptor)
                with self._lock:
                    uuid, number = self._waiting.pop(descriptor)
                os.close(descriptor)
                processes.ended(number)
                if self._tell is not None:
                    self._tell(uuid)


def drop_mounts(keep: list[Path]) -> None:
    """Leave only the system's mounts, and those that `keep` needs.

    A copy of a mount keeps alive what was mounted: other clouds' network namespaces, other containers' disks.
    """
    points = [line.split()[4] for line in Path("/proc/thread-self/mountinfo").read_text().splitlines()]
    dropped: list[str] = []
    for point in sorted(point.encode().decode("unicode_escape") for point in points):
        path = Path(point)
        # What is mounted below goes with what it is mounted on; every system call waits for all processors.
        if point.startswith(tuple(f"{parent}/" for parent in dropped)):
            continue
        system = any(
            point == system_mount or (system_mount != "/" and point.startswith(f"{system_mount}/"))
            for system_mount in _KEPT
        )
        if not system and not any(needed.is_relative_to(path) or path.is_relative_to(needed) for needed in keep):
            with contextlib.suppress(OSError):
                kernel.unmount(path)
                dropped.append(point)


def _status(number: int) -> dict[str, str]:
    """/proc/PID/status (proc(5)) by field."""
    lines = Path(f"/proc/{number}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _shutdown_signal(number: int) -> int:
    """Return the signal that shuts this first process down: systemd's, busybox's, or LXC's for all others."""
    status = _status(number)
    handled_signals = int(status["SigBlk"], 16) | int(status["SigCgt"], 16)
    if handled_signals >> (_SYSTEMD - 1) & 1:
        return _SYSTEMD
    with contextlib.suppress(OSError):
        if Path(f"/proc/{number}/exe").readlink().name == "busybox":
            return signal.SIGUSR2
    return signal.SIGPWR
