"""`mccserver`: a whole cloud of the shape that MiniCloud had. Containers on one flat network, and nothing to set up.

It is `pileus up` with the mcc door open. Its database is one that may be lost: what runs tells of itself at the start.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import sys
import time
from pathlib import Path
from typing import IO

from pileus.app import processes
from pileus.app.state import StateDirectory, opened
from pileus.cli.mcc import usage
from pileus.cli.mcc.tools import Given, refusal, tool
from pileus.cli.problem import Problem, words
from pileus.model import addresses
from pileus.posix.files import read_json, write_json

LISTEN, PORT, RANGE = "0.0.0.0", "8080", "192.168.1.1-192.168.1.254"  # noqa: S104  (as the original's)

ROOT = Path("/var/lib/pileus/mcc")
"""The state directory where root names none."""

DOOR = "mcc.json"
"""Where it is kept how the server was started that runs, among what is said of its processes."""


def run() -> None:
    """The executable."""
    sys.exit(tool(usage.SERVER, (), _serve))


def _serve(options: Given) -> int:
    try:
        state = opened(_state(options).root)
        if "stop" in options:
            from pileus.app.up import down  # noqa: PLC0415  (dear, and --help is to be quick)

            down(state, say=_tell)
        else:
            _up(state, options)
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


def _up(state: StateDirectory, options: Given) -> None:
    where, pool = _address(options), _range(options)
    from pileus.app import kits  # noqa: PLC0415  (dear, and --help is to be quick)

    kit = kits.load(options.get("provider", ""))
    if kit.needs_root and os.geteuid() != 0:
        raise Problem(
            "Containers, and the network between them, need root to begin with: use sudo. Its database and all that "
            "answers calls run as the user pileus even so. (--provider stub needs no root, and pretends.)"
        )
    os.environ |= {"PILEUS_MCC_LISTEN": where, "PILEUS_MCC_RANGE": pool}
    from pileus.app.up import up  # noqa: PLC0415  (dear, and --help is to be quick)

    runs = any(processes.owner(state.pidfile(name)) for name in ("supervisor", "cloud"))
    before = read_json(state.run / DOOR) if runs else None
    if before not in (None, {"listen": where, "range": pool}):
        raise Problem(
            f"A server runs in {state.root} already, at {before['listen']}, with the range {before['range']}: "
            "mccserver --stop first."
        )
    with contextlib.ExitStack() as open_:
        log_file = open_.enter_context(_log(state)) if "foreground" in options else None
        endpoints = up(state, kit.name, None, _tell)
        if endpoints.get("mcc", "").rpartition(":")[2] != where.rpartition(":")[2]:
            raise Problem(f"A cloud runs in {state.root} already, with another door, or none: mccserver --stop first.")
        if not runs:
            write_json(state.run / DOOR, {"listen": where, "range": pool}, 0o600)
        if kit.builder() is not None:
            from pileus.app.build import BUILT, add_all  # noqa: PLC0415  (the stub has its own)

            add_all(state.root, _tell)
            if not any(BUILT.glob("*.tar.*")):
                _tell("there is no image of containers yet: pileus image build debian-12-container")
        link = state.root / "log" / "mcc-server.log"
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
        time.sleep(0.2)


def _state(options: Given) -> StateDirectory:
    path = options.get("state") or os.environ.get("PILEUS_STATE") or ""
    if path:
        return StateDirectory(Path(os.path.abspath(path)))  # noqa: PTH100  (links stay as they are written)
    if os.geteuid() == 0:
        return StateDirectory(ROOT)
    from pileus.cli.client import default_state  # noqa: PLC0415  (dear)

    return StateDirectory(default_state().with_name("mcc"))


def _address(options: Given) -> str:
    port, listen = options.get("port", PORT), options.get("listen", LISTEN)
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise refusal(usage.SERVER, f"invalid argument: --port {port}")
    try:
        address = ipaddress.ip_address("127.0.0.1" if listen == "localhost" else listen)
    except ValueError as error:
        raise refusal(usage.SERVER, f"invalid argument: --listen {listen}") from error
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _range(options: Given) -> str:
    ip_range = options.get("iprange", RANGE)
    try:
        addresses.around(*addresses.pool(ip_range))
    except ValueError as error:
        raise refusal(usage.SERVER, f"invalid argument: --iprange {ip_range}") from error
    return ip_range


def _tell(text: str) -> None:
    sys.stdout.flush()
    print(f"mccserver: {text}", file=sys.stderr)  # noqa: T201  (this is a command)
