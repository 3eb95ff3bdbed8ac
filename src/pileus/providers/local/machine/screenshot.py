"""A machine's screen, as the PNG that QEMU makes of it."""

from __future__ import annotations

from typing import Any

from pileus.model import bounds
from pileus.model.errors import Fault
from pileus.providers.local.machine.hypervisor import Hypervisor

_CHUNK = 1 << 18
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def taken(hypervisor: Hypervisor, domain: Any) -> bytes:
    """The screen of a running domain. Raises Fault."""
    stream = hypervisor.call(hypervisor.connection().newStream)
    hypervisor.call(domain.screenshot, stream, 0)
    picture: bytes = hypervisor.call(_received, stream)
    if not picture.startswith(_SIGNATURE):
        # A QEMU before 7.1 gives a pixmap.
        raise Fault("HypervisorFailed", "The screen did not come as PNG.")
    return picture


def _received(stream: Any) -> bytes:
    """All of a stream."""
    parts, size = [], 0
    while data := stream.recv(_CHUNK):
        parts.append(data)
        size += len(data)
        if size > bounds.SCREEN.most:
            stream.abort()
            raise Fault("HypervisorFailed", f"The screen has more than {bounds.SCREEN.most} bytes.")
    stream.finish()
    return b"".join(parts)
