"""How a guest ended, from the log that libvirt keeps of every domain.

libvirt holds the reason in memory only: its restart forgets it for every guest that is off. The domain's log
outlives both daemons, and names who sent QEMU its last signal, which tells a guest's own shutdown from one that
somebody forced on QEMU.
"""

from __future__ import annotations

import re
from pathlib import Path

from pileus.model.provider import Cause
from pileus.providers.local.layout import Layout

_TAIL = 64 * 1024
_LONGEST = 256 * 1024
_START = b": starting up libvirt version"
_END = re.compile(rb": shutting down, reason=([a-z ]+)$", re.MULTILINE)
_SIGNAL = re.compile(rb"terminating on signal \d+(?: from pid \d+ \((.*)\))?$", re.MULTILINE)


def domain_log(layout: Layout, name: str) -> Path:
    """Where libvirt logs QEMU's command line, messages and end for the domain `name`."""
    return layout.libvirt / "log" / "qemu" / f"{name}.log"


def cause(layout: Layout, name: str) -> Cause:
    """Return the cause of the end of the domain `name`, which is off: empty when it never ran.

    Guest: libvirt saw the guest shut down, and it was libvirt that then ended QEMU. Everything else, a log that does
    not say included, is "other".
    """
    try:
        with domain_log(layout, name).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            text = file.read()
    except FileNotFoundError:
        return ""
    # A run that said more than that is one all the same.
    return read_cause(text) or ("other" if size > _TAIL else "")


def read_cause(text: bytes) -> Cause:
    """The cause from the end of a domain's log; see `cause`."""
    _, started, run = text.rpartition(_START)
    if not started:
        return ""
    ends = _END.findall(run)
    if not ends or ends[-1] != b"shutdown":
        return "other"
    signals = _SIGNAL.findall(run)
    return "guest" if all(sender.endswith(b"libvirtd") for sender in signals) else "other"


def trim(layout: Layout, name: str) -> None:
    """Empty the log of a domain that is about to start, once it has grown long."""
    path = domain_log(layout, name)
    if path.exists() and path.stat().st_size > _LONGEST:
        path.write_bytes(b"")


def forget(layout: Layout, name: str) -> None:
    """Remove the log of a domain that is gone."""
    domain_log(layout, name).unlink(missing_ok=True)
