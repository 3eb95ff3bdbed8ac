"""The supervisor of one cloud: starts again what dies of its processes and daemons, and keeps the listening socket.

Runs as `python -m pileus.app.supervise --state DIR`, started by `pileus up`. Its work is data, one `ProcessDeclaration`
each, in DIR/run/supervised.json, so that it imports nothing of ours but four small modules. A part is alive while its
pid file is locked; deaths are heard of through pidfds, of children and of others alike, and a zombie is dead. A part
that did answer and no longer does is said to be silent, and after a minute killed: whatever it carried stands still.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pileus.app import processes
from pileus.app.probe import ProcessProbe
from pileus.app.state import StateDirectory
from pileus.model.kit import ProcessDeclaration
from pileus.posix import locks
from pileus.posix.files import read_json, write_json

FIRST_PAUSE = 0.1
"""Seconds between the first death of a part and its start."""

LONGEST_PAUSE = 10.0
"""Seconds between death and start of a part that keeps on dying; each pause is twice the one before."""

CALM = 30.0
"""Seconds that a part has to live for its earlier deaths to be forgotten."""

STARTING = 30.0
"""Seconds that a part may take to lock its pid file; it is killed then."""

_POLL = 0.01
_BUSY = 0.05


@dataclass
class Pause:
    """How long to wait before each start: doubles with each death, forgets after a calm life. Times in seconds."""

    next: float = FIRST_PAUSE

    def after(self, life: float) -> float:
        """The pause after a life of that many seconds."""
        if life >= CALM:
            self.next = FIRST_PAUSE
        pause, self.next = self.next, min(2 * self.next, LONGEST_PAUSE)
        return pause


@dataclass
class SupervisedProcess:
    """A part as it stands: with a pidfd while a process of it is known, else with the time of its next start."""

    part: ProcessDeclaration
    pid: int = 0
    handle: int = -1
    since: float = 0.0
    start_at: float = 0.0
    starting: bool = False
    pause: Pause = field(default_factory=Pause)
    probe: ProcessProbe = field(init=False)

    def __post_init__(self) -> None:
        self.probe = ProcessProbe(self.part.at, self.part.question)

    @property
    def alive(self) -> bool:
        """Whether a process is known."""
        return self.handle >= 0

    def follow(self, pid: int, now: float, *, starting: bool) -> None:
        """Take `pid` for this part's process. ProcessLookupError when it has ended meanwhile, and was not our child."""
        self.handle = os.pidfd_open(pid)
        self.pid, self.since, self.starting = pid, now, starting
        self.probe.begin(now)

    def lost(self, now: float) -> None:
        """Its process ended: reap it if it is ours, and set the time of the next start."""
        os.close(self.handle)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        self.pid, self.handle, self.starting = 0, -1, False
        self.probe.begin(now)
        self.start_at = now + self.pause.after(now - self.since)


class Supervisor:
    """Looks after `parts` of the cloud in `state` until SIGTERM; `listener` is the API's socket, -1 for none.

    While a part starts, the lock that `pileus up` and `down` take is held: neither sees a process without its pid file.
    """

    def __init__(self, state: StateDirectory, parts: Sequence[ProcessDeclaration], listener: int) -> None:
        self._watched = [SupervisedProcess(part) for part in parts]
        self._listener = listener
        self._counts = state.run / "restarts.json"
        self._restarts: dict[str, int] = read_json(self._counts) or {}
        self._silent: dict[str, float] | None = None
        self._told = silence_file(state)
        self._lock_file = state.run / "up.lock"
        self._lock: int | None = None
        self._wake, tell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(tell)

    def run(self) -> None:
        """Start what does not run, wait for deaths, for ever. SIGHUP ends every pause."""
        while True:
            now = time.monotonic()
            for process in self._watched:
                if not process.alive:
                    self._revive(process, now)
                elif process.starting:
                    self._look(process, now)
                else:
                    self._ask(process, now)
            self._unlock()
            self._tell()
            self._wait()

    def _revive(self, process: SupervisedProcess, now: float) -> None:
        """Adopt the process that runs, or start one if its time has come."""
        running = processes.owner(Path(process.part.pidfile))
        if running is not None:
            with contextlib.suppress(ProcessLookupError):
                process.follow(running, now, starting=False)
            return
        if now < process.start_at or not self._take_lock():
            return
        # Whoever held the lock may have started it.
        if processes.owner(Path(process.part.pidfile)) is not None:
            return
        self._start(process, now)

    def _start(self, process: SupervisedProcess, now: float) -> None:
        part = process.part
        keep = [self._listener] if part.listens else []
        try:
            if part.stale:
                Path(part.stale).unlink(missing_ok=True)
            child = processes.execute(part.argv, Path(part.log), keep=keep)
        except OSError as error:
            _say(f"{part.name} cannot be started: {error}")
            process.start_at = now + process.pause.after(0.0)
            return
        child.returncode = 0  # reaped by number
        process.follow(child.pid, now, starting=True)
        self._restarts[part.name] = self._restarts.get(part.name, 0) + 1
        _say(f"{part.name} started again, pid {child.pid}")
        # A full disk must not keep the cloud down.
        with contextlib.suppress(OSError):
            write_json(self._counts, self._restarts)

    def _look(self, process: SupervisedProcess, now: float) -> None:
        """Whether a part that starts has locked its pid file."""
        if processes.owner(Path(process.part.pidfile)) is not None:
            process.starting = False
        elif now - process.since > STARTING:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process.handle, signal.SIGKILL)

    def _ask(self, process: SupervisedProcess, now: float) -> None:
        process.probe.ask(now)
        if process.probe.hung:
            _say(f"{process.part.name}, pid {process.pid}, left {process.probe.missed} questions unanswered: killed")
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process.handle, signal.SIGKILL)

    def _tell(self) -> None:
        """Write down who is silent, and since when (seconds since the epoch), if that has changed."""
        before, now = self._silent or {}, time.time()
        silent = {
            process.part.name: before.get(process.part.name, now - process.probe.silent)
            for process in self._watched
            if process.alive and process.probe.silent
        }
        if silent != self._silent:
            for name in silent.keys() - before:
                _say(f"{name} does not answer")
            self._silent = silent
            with contextlib.suppress(OSError):
                write_json(self._told, silent)

    def _wait(self) -> None:
        """Until a process ends or answers, a signal comes, or it is time to start, to ask or to look at something."""
        now = time.monotonic()
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        times = []
        by_handle: dict[int, SupervisedProcess] = {}
        for process in self._watched:
            if process.alive:
                by_handle[process.handle] = process
                poll.register(process.handle, select.POLLIN)
                if process.starting:
                    times.append(_POLL)
                elif process.part.at:
                    times.append(max(0.0, process.probe.due - now))
                if process.probe.link is not None:
                    by_handle[process.probe.link.fileno()] = process
                    poll.register(process.probe.link, select.POLLIN)
            else:
                times.append(max(process.start_at - now, _BUSY))
        ready = poll.poll(min(times) * 1000 if times else None)
        now = time.monotonic()
        for descriptor, _ in ready:
            if descriptor == self._wake:
                self._hurry()
                continue
            process = by_handle[descriptor]
            if descriptor == process.handle:
                _say(f"{process.part.name}, pid {process.pid}, ended")
                process.lost(now)
            else:
                process.probe.hear()

    def _hurry(self) -> None:
        os.read(self._wake, 4096)
        for process in self._watched:
            process.start_at, process.pause = 0.0, Pause()

    def _take_lock(self) -> bool:
        if self._lock is None:
            # Not where somebody removes the whole state directory.
            with contextlib.suppress(FileNotFoundError):
                self._lock = locks.take_at_once(self._lock_file)
        return self._lock is not None

    def _unlock(self) -> None:
        if self._lock is not None and not any(process.starting for process in self._watched):
            os.close(self._lock)
            self._lock = None


def plan(state: StateDirectory) -> Path:
    """The file that says what is looked after."""
    return state.run / "supervised.json"


def read_plan(state: StateDirectory) -> list[ProcessDeclaration]:
    """Return the parts to supervise; empty where none were written down."""
    parts = (read_json(plan(state)) or {}).get("parts", [])
    return [ProcessDeclaration(**{**part, "argv": tuple(part["argv"])}) for part in parts]


def restarts(state: StateDirectory) -> dict[str, int]:
    """How often each part was started again since the cloud was last down."""
    return dict(read_json(state.run / "restarts.json") or {})


def silence_file(state: StateDirectory) -> Path:
    """Where the supervisor says who does not answer."""
    return state.run / "silent.json"


def silent(state: StateDirectory) -> dict[str, float]:
    """The parts that run and do not answer, each with the time (seconds since the epoch) since when."""
    return dict(read_json(silence_file(state)) or {})


def forget(state: StateDirectory) -> None:
    """Start counting anew."""
    (state.run / "restarts.json").unlink(missing_ok=True)
    silence_file(state).unlink(missing_ok=True)


@contextlib.contextmanager
def starting(state: StateDirectory, parts: Sequence[ProcessDeclaration], listener: int) -> Iterator[None]:
    """A supervisor of `state` that begins its work when the block ends well, and ends when it does not.

    The caller holds the lock of `up`; `listener` is a descriptor, and is not closed here; -1 for none.
    """
    write_json(plan(state), {"parts": [asdict(part) for part in parts]}, 0o600)
    gate, begin = os.pipe()
    arguments = ["--state", str(state.root), "--fd", str(listener), "--gate", str(gate)]
    argv = processes.module("pileus.app.supervise", *arguments)
    try:
        try:
            child = processes.execute(argv, state.log("supervisor"), keep=[gate] if listener < 0 else [listener, gate])
        finally:
            os.close(gate)
        processes.await_held(state.pidfile("supervisor"), child, state.log("supervisor"))
        try:
            yield
        except BaseException:
            processes.stop(child.pid, 1.0)
            raise
        os.write(begin, b"\n")
    finally:
        os.close(begin)


def main() -> None:
    """The supervisor process: takes over what runs, once `up` says that all of it did run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--gate", type=int, required=True)
    arguments = parser.parse_args()
    state = StateDirectory(arguments.state)
    # Before it can be found by its pid file, whose finders send it.
    signal.signal(signal.SIGHUP, lambda *_: None)
    if arguments.fd >= 0:
        os.set_inheritable(arguments.fd, False)
    if processes.hold(state.pidfile("supervisor")) is None:
        sys.exit(f"Another supervisor runs on {state.root}.")
    supervisor = Supervisor(state, read_plan(state), arguments.fd)
    go_ahead = os.read(arguments.gate, 1)
    os.close(arguments.gate)
    if go_ahead:
        supervisor.run()


def _say(text: str) -> None:
    # Nor must a full disk keep the supervisor from its work.
    with contextlib.suppress(OSError):
        os.write(1, f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n".encode())


if __name__ == "__main__":
    main()
