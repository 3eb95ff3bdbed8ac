"""`pileus central`: OVN's databases and northd, for a cloud whose hosts are machines of their own."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from pileus.app import processes
from pileus.app.settings import Settings
from pileus.app.state import StateDirectory
from pileus.app.supervise import ProcessDeclaration, Supervisor
from pileus.cli.problem import Problem
from pileus.model.errors import Fault
from pileus.posix.files import write_file
from pileus.providers.local.engine import chassis
from pileus.providers.local.engine.daemons import daemons
from pileus.providers.local.engine.fabric import Fabric, OvnTlsFiles
from pileus.providers.local.layout import Layout

_END = "-----END CERTIFICATE-----\n"


def fabric(state: StateDirectory, chosen: Settings) -> Fabric:
    """The databases' part in the networks. Raises Problem for want of a setting."""
    if not chosen.southbound_listen:
        raise Problem("PILEUS_SOUTHBOUND_LISTEN=ADDRESS:PORT has to say where the hosts' controllers come.")
    address, _, port = chosen.southbound_listen.rpartition(":")
    return Fabric(
        chassis="central",
        switches=False,
        listen=f"pssl:{port}:{address}",
        tls=_papers(state, chosen.southbound_certificate),
    )


def _papers(state: StateDirectory, path: str) -> OvnTlsFiles:
    """The file that `pileus certificate` printed, and of it the authority's certificate alone, which is the last."""
    file = Path(path)
    try:
        pem_text = file.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        text = "PILEUS_SOUTHBOUND_CERTIFICATE has to name a file with what 'pileus certificate ADDRESS' printed"
        raise Problem(f"{text}: {error}.") from error
    authority = pem_text.split(_END)[-2:-1]
    if not authority or pem_text.count(_END) < 2 or "PRIVATE KEY" not in pem_text:
        raise Problem(f"{file} lacks a key, its certificate or the authority's: 'pileus certificate' prints all three.")
    write_file(state.run / "authority.pem", (authority[0] + _END).encode("ascii"), 0o600)
    return OvnTlsFiles(key=file, certificate=file, ca=state.run / "authority.pem")


def serve(state: StateDirectory, chosen: Settings) -> None:
    """Run the databases until SIGTERM or SIGINT; what the hosts' switches were told holds on without. Raises Problem.

    Started again after a SIGKILL it takes over what runs.
    """
    if os.geteuid() != 0:
        raise Problem("Running the network engine needs root: use sudo.")
    for folder in (state.root, state.run, state.log("central").parent):
        folder.mkdir(mode=0o755 if folder == state.root else 0o700, parents=True, exist_ok=True)
    if processes.hold(state.pidfile("central")) is None:
        raise Problem(f"Another central runs on {state.root}.")
    layout, part = Layout(state.root), fabric(state, chosen)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    signal.signal(signal.SIGHUP, lambda *_: None)
    try:
        chassis.up(layout, fabric=part)
        declarations = [
            ProcessDeclaration(
                daemon.name,
                daemon.argv,
                str(daemon.pidfile),
                str(daemon.output),
                at=str(daemon.at),
                question=daemon.question,
            )
            for daemon in daemons(layout, fabric=part)
        ]
        print(f"ready: {layout.northbound}", flush=True)  # noqa: T201  (it is its log)
        Supervisor(state, declarations, -1).run()
    except Fault as fault:
        raise Problem(f"{fault.code}: {fault.message}") from fault
    finally:
        # What is half ended would be found as running by the next one.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        chassis.down(layout, fabric=part)


def _end(*_signal: object) -> NoReturn:
    sys.exit(0)
