"""`pileus central`: the network engine's databases, for a cloud whose hosts are machines of their own."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from pileus.app import kits, processes
from pileus.app.state import StateDirectory
from pileus.app.supervise import Supervisor
from pileus.cli.problem import Problem


def serve(state: StateDirectory, provider: str = "") -> None:
    """Run the databases until SIGTERM or SIGINT; what the hosts' switches were told holds on without. Raises Problem.

    Started again after a SIGKILL it takes over what runs.
    """
    kit = kits.load(provider)
    if kit.needs_root and os.geteuid() != 0:
        raise Problem("Running the network engine needs root: use sudo.")
    for folder in (state.root, state.run, state.log("central").parent):
        folder.mkdir(mode=0o755 if folder == state.root else 0o700, parents=True, exist_ok=True)
    if processes.hold(state.pidfile("central")) is None:
        raise Problem(f"Another central runs on {state.root}.")
    with kits.as_problems():
        central = kit.central(kits.site(kit, state))
    if central is None:
        raise Problem(f"The network engine of '{kit.name}' has no databases of its own.")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    signal.signal(signal.SIGHUP, lambda *_: None)
    with kits.as_problems():
        try:
            central.begin(_say)
            print(f"ready: {central.address}", flush=True)  # noqa: T201  (it is its log)
            Supervisor(state, central.processes(), -1).run()
        finally:
            # What is half ended would be found as running by the next one.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            central.end(_say, instances=False)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  (it is its log)


def _end(*_signal: object) -> NoReturn:
    sys.exit(0)
