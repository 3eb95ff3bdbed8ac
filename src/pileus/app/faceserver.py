"""A whole cloud for the tools of one face: `pileus up` with that face's own port open, by a program of its own name."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import IO

from pileus.app import entrypoints, processes
from pileus.app.settings import variable
from pileus.app.state import StateDirectory, opened
from pileus.cli.problem import Problem, words
from pileus.cli.serverprogram import GROUP, ServerLaunch
from pileus.posix.files import read_json, write_json


def run() -> None:
    """The executable: its name says which program of the entry points it is."""
    for program in entrypoints.of(GROUP):
        if program.name == _program():
            sys.exit(program.load()(_serve))
    sys.exit(f"{_program()}: there is no such server")


def _serve(launch: ServerLaunch) -> int:
    try:
        state = opened(_state(launch).root)
        if launch.stops:
            from pileus.app.up import down  # noqa: PLC0415  (dear, and --help is to be quick)

            down(state, say=_tell)
        else:
            _up(state, launch)
    except Problem as problem:
        _tell(problem.message)
        return problem.status
    except OSError as error:
        reason = words(error)
        if not reason:
            raise
        _tell(reason)
        return 1
    return 0


def _up(state: StateDirectory, launch: ServerLaunch) -> None:
    from pileus.app import kits  # noqa: PLC0415  (dear, and --help is to be quick)

    kit = kits.load(launch.provider)
    if kit.needs_root and os.geteuid() != 0:
        raise Problem(launch.needs_root)
    os.environ |= {variable(name, launch.face): value for name, value in launch.settings.items()}
    from pileus.app.up import up  # noqa: PLC0415  (dear, and --help is to be quick)

    # How the server was started that runs, among what is said of its processes.
    settings_file = state.run / f"{launch.face}.json"
    runs = any(processes.owner(state.pidfile(name)) for name in ("supervisor", "cloud"))
    before = read_json(settings_file) if runs else None
    if before not in (None, launch.settings):
        described = launch.described.format_map(before)
        raise Problem(f"A server runs in {state.root} already, {described}: {_program()} --stop first.")
    with contextlib.ExitStack() as open_:
        log_file = open_.enter_context(_log(state)) if launch.follows else None
        endpoints = up(state, kit.name, None, _tell)
        if endpoints.get(launch.face, "").rpartition(":")[2] != launch.listen.rpartition(":")[2]:
            raise Problem(
                f"A cloud runs in {state.root} already, with another listener, or none: {_program()} --stop first."
            )
        if not runs:
            write_json(settings_file, dict(launch.settings), 0o600)
        if kits.builds_images(state):
            from pileus.app.build import BUILT, add_all  # noqa: PLC0415  (the stub has its own)

            add_all(state.root, _tell)
            if not any(BUILT.glob(launch.images)):
                _tell(launch.no_images)
        link = state.root / "log" / launch.log
        with contextlib.suppress(FileExistsError):
            link.symlink_to("cloud.log")
        if log_file is not None:
            _follow(state, log_file)


def _log(state: StateDirectory) -> IO[bytes]:
    """The cloud's log, from its end on."""
    state.prepare()
    state.log("cloud").touch()
    log = state.log("cloud").open("rb")
    log.seek(0, os.SEEK_END)
    return log


def _follow(state: StateDirectory, log: IO[bytes]) -> None:
    """Print what the cloud says, until somebody ends this; then end the cloud."""
    from pileus.app.up import down  # noqa: PLC0415  (dear)

    ended: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda signum, _frame: ended.append(signum))
    while True:
        last = bool(ended)
        if last:
            down(state, say=_tell)
        while part := log.read(1 << 16):
            sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
        if last or (read_json(state.endpoints) is None and not ended):
            return
        time.sleep(0.2)  # a log is followed by looking


def _state(launch: ServerLaunch) -> StateDirectory:
    path = launch.state or os.environ.get("PILEUS_STATE") or ""
    if path:
        return StateDirectory(Path(os.path.abspath(path)))  # noqa: PTH100  (links stay as they are written)
    if os.geteuid() == 0:
        return StateDirectory(launch.root)
    from pileus.cli.client import default_state  # noqa: PLC0415  (dear)

    return StateDirectory(default_state().with_name(launch.face))


def _program() -> str:
    return Path(sys.argv[0]).name


def _tell(text: str) -> None:
    sys.stdout.flush()
    print(f"{_program()}: {text}", file=sys.stderr)  # noqa: T201  (this is a command)
