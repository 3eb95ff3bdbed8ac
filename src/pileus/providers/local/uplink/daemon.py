"""The uplink of one cloud as a daemon: started and ended with the network engine, where the cloud has one."""

from __future__ import annotations

import contextlib
import shutil
import sys

from pileus.model.errors import Fault
from pileus.posix import processes
from pileus.posix.locks import locked
from pileus.providers.local.engine.daemons import Daemon
from pileus.providers.local.engine.fabric import Fabric
from pileus.providers.local.layout import Layout
from pileus.providers.local.uplink import rules
from pileus.providers.local.uplink.process import forward, inside

NAME = rules.LINK

PROGRAMS = {"slirp4netns": "slirp4netns", "nft": "nftables"}
"""The programs that an uplink needs, with their Debian packages."""

_MODULE = "pileus.providers.local.uplink.process"
_READY = 15.0


def daemon(layout: Layout, fabric: Fabric, rate: int) -> Daemon:
    """The daemon; `rate`: bytes a second each way. Its command needs root and the cloud's namespace."""
    pidfile = layout.engine / "run" / f"{NAME}.pid"
    options = {
        "netns": layout.netns,
        "outside": fabric.outside,
        "outside-ipv6": fabric.outside_ipv6,
        "rate": str(rate),
        "pidfile": str(pidfile),
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    return Daemon(
        name=NAME,
        argv=(sys.executable, "-I", "-m", _MODULE, *words),
        ready=lambda: processes.owner(pidfile) is not None,
        pidfile=pidfile,
        output=layout.engine / "log" / f"{NAME}.out",
    )


def pid(layout: Layout) -> int | None:
    """The running uplink's process, or None."""
    return processes.owner(layout.engine / "run" / f"{NAME}.pid")


def up(layout: Layout, fabric: Fabric, rate: int) -> None:
    """Start the uplink unless it runs; return once it serves. The network engine runs. Raises Fault."""
    for program, package in PROGRAMS.items():
        if shutil.which(program, path=processes.PATH) is None:
            text = f"--internet needs {program}: install Debian's package {package} (bin/setup does)."
            raise Fault("UplinkUnavailable", text, permanent=True)
    with locked(layout.engine / "run" / f"{NAME}.lock"):
        if why := daemon(layout, fabric, rate).start(_READY):
            raise Fault("UplinkUnavailable", why)


def down(layout: Layout) -> None:
    """End the uplink, and take its rules out of the cloud's namespace. Safe to repeat."""
    number = pid(layout)
    if number is None:
        return
    processes.stop(number, 1.0)
    # Where the namespace itself is gone, so is all that was in it.
    with contextlib.suppress(OSError):
        forward(layout.netns, on=False)
        inside(layout.netns, "nft", "-f", "-", text=rules.without_table())
